package udf_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
)

// identity is a certificate that signs itself, and its key, in one file.
type identity struct {
	file string
	pair tls.Certificate
}

// newIdentity makes a certificate for names and addresses.
func newIdentity(t *testing.T, hosts ...string) identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	err = errors.Join(pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	if err != nil {
		t.Fatal(err)
	}
	id := identity{file: filepath.Join(publicDir(t), "identity.pem")}
	if err := os.WriteFile(id.file, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if id.pair, err = tls.X509KeyPair(text.Bytes(), text.Bytes()); err != nil {
		t.Fatal(err)
	}
	return id
}

// publicDir returns a temporary directory that other users may read.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startTLSProxy starts a proxy with TLS, like stunnel, for the server at target.
func startTLSProxy(t *testing.T, target string, config *tls.Config) (port string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	forward(t, l, target)
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// forward connects each connection to l with target until the end of the test.
func forward(t *testing.T, l net.Listener, target string) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", target)
				if err != nil {
					return
				}
				go func() {
					defer out.Close()
					_, _ = io.Copy(out, in)
				}()
				_, _ = io.Copy(in, out)
			}()
		}
	}()
}

// needTLS skips the test if the extension was built without OpenSSL.
func needTLS(t *testing.T, s *session) {
	t.Helper()
	_, err := s.query("SELECT set_config('gearman.tls', 'on', false)")
	var failure *pq.Error
	if errors.As(err, &failure) && strings.Contains(failure.Detail, "without OpenSSL") {
		t.Skip("libssl-dev is not there: the extension is without TLS")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func testTLS(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	needTLS(t, s)
	id, other := newIdentity(t, "localhost"), newIdentity(t, "jobs.example", "127.0.0.1")
	port := startTLSProxy(t, p.jobs.addr, &tls.Config{Certificates: []tls.Certificate{id.pair}})
	numbered := startTLSProxy(t, p.jobs.addr, &tls.Config{Certificates: []tls.Certificate{other.pair}})
	s.exec(t, "SET gearman.connect_timeout = '20s'")

	for _, test := range []struct {
		server, ca, verify, failure string
	}{
		{"localhost:" + port, id.file, "name", ""},
		{"localhost:" + port, other.file, "name", "certificate"},
		{"localhost:" + port, "", "name", "certificate"},
		{"127.0.0.1:" + port, id.file, "name", "IP address mismatch"},
		{"127.0.0.1:" + port, id.file, "chain", ""},
		{"127.0.0.1:" + port, other.file, "chain", "certificate"},
		{"127.0.0.1:" + port, "", "none", ""},
		{"127.0.0.1:" + numbered, other.file, "name", ""},
		{"jobs.example:" + numbered, other.file, "name", ""},
		{"jobs.example:" + port, id.file, "name", "ostname mismatch"},
		{"localhost:" + numbered, other.file, "name", "ostname mismatch"},
	} {
		s.exec(t, fmt.Sprintf("SET gearman.servers = '%s'; SET gearman.tls_ca = '%s'; SET gearman.tls_verify = '%s'",
			test.server, test.ca, test.verify))
		got, err := s.query("SELECT gman_do('reverse', 'ab')")
		if test.failure == "" {
			if err != nil || got != "ba" {
				t.Errorf("%v: gman_do = %q, %v", test, got, err)
			}
			continue
		}
		checkState(t, fmt.Sprintf("%v: gman_do", test), got, err, "08001")
		if err != nil && !strings.Contains(err.Error(), test.failure) {
			t.Errorf("%v: the error is %v", test, err)
		}
	}

	s.exec(t, fmt.Sprintf("RESET gearman.tls_verify; SET gearman.servers = 'localhost:%s'; SET gearman.tls_ca = '%s'", port, id.file))
	s.want(t, `SELECT gman_do('reverse', w) = reverse(w) FROM (SELECT repeat('abcdefgh', 2097152) AS w) AS large`, "true")
	s.want(t, "SELECT count(gman_do_background('reverse', i::text)) FROM generate_series(1, 200) AS i", "200")
	s.want(t, "SELECT gman_sum('length', repeat('x', i)) FROM generate_series(1, 300) AS i", "45150")

	// Without valid files nothing is sent, also not without encryption.
	s.exec(t, "SET gearman.tls_ca = '/nonexistent'")
	for range 2 {
		s.wantState(t, "SELECT gman_do('reverse', 'ab')", "F0000")
	}
	s.exec(t, "RESET gearman.tls_ca; RESET gearman.servers; SET gearman.connect_timeout = '2s'")
	s.wantState(t, "SELECT gman_do('reverse', 'ab')", "08001") // the server has no TLS
	s.exec(t, "SET gearman.tls = off")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testTLSClient(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	needTLS(t, s)
	id, client := newIdentity(t, "localhost"), newIdentity(t, "client")
	pool := x509.NewCertPool()
	pool.AddCert(client.pair.Leaf)
	port := startTLSProxy(t, p.jobs.addr, &tls.Config{
		Certificates: []tls.Certificate{id.pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	})
	s.exec(t, fmt.Sprintf("SET gearman.connect_timeout = '20s'; SET gearman.servers = 'localhost:%s'; SET gearman.tls_ca = '%s'", port, id.file))
	s.wantState(t, "SELECT gman_do('reverse', 'ab')", "08001")
	s.exec(t, "SET gearman.tls_cert = '"+client.file+"'")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

// testHandshakeInterrupts sees that the handshake with a silent server ends.
func testHandshakeInterrupts(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	needTLS(t, s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.exec(t, "SET gearman.servers = '"+l.Addr().String()+"'; SET gearman.connect_timeout = '500ms'")
	got, err := s.query("SELECT gman_do('reverse', 'ab')")
	checkState(t, "a handshake without an answer", got, err, "08001")
	if err != nil && !strings.Contains(err.Error(), "TLS handshake with 127.0.0.1") {
		t.Errorf("the error is %v", err)
	}
	checkInterrupts(t, p, s, "SELECT gman_do('reverse', 'ab')")
}
