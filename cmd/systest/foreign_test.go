package systest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNoGearmanServer connects each verb to a server of another protocol: the verb ends on
// its own, with 76, and names the server.
func TestNoGearmanServer(t *testing.T) {
	verbs := []string{
		"submit -f f x",
		"submit -b -f f x",
		"submit -f f -t 1m x",
		"submit --retries 1 -f f x",
		"submit --first -f f -f g x",
		"submit -f f --in 1s x",
		"map -f f a b c",
		"map -b -f f --reduce g x",
		"map -f f --reduce g a b c",
		"submit -f f a b c",
		"submit -b -f f a b c",
		"pipe f g",
		"submit --require-worker -f f x",
		"work -f f -- cat",
		"work -f f -f g -j 3 --keep -- cat",
		"ping",
		"status",
		"status f",
		"workers",
		"jobs",
		"job H:x:1",
		"wait H:x:1",
		"result H:x:1",
		"retry H:x:1",
		"cancel H:x:1",
		"admin version",
		"admin pid",
		"admin maxqueue f 3",
		"admin create f",
	}
	for name, start := range map[string]func(t *testing.T) string{
		"HTTP":  startHTTP,
		"HTTPS": startTLS,
		"SSH":   func(t *testing.T) string { return startForeign(t, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", false) },
		"SMTP":  func(t *testing.T) string { return startForeign(t, "220 mail.example.org ESMTP\r\n", false) },
		"echo":  func(t *testing.T) string { return startForeign(t, "", true) },
		"chargen": func(t *testing.T) string {
			return startForeign(t, strings.Repeat("!\"#$%&'()*+,-./0123456789\r\n", 1<<16), false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := start(t)
			for _, verb := range verbs {
				if name == "HTTPS" && (strings.HasPrefix(verb, "work") || strings.HasPrefix(verb, "wait")) {
					continue // it hangs up, as a server does that ends: gm work goes on trying, gm wait exits with 75
				}
				cmd := exec.Command("gm", append([]string{"--server", addr}, strings.Fields(verb)...)...)
				cmd.Stdin = strings.NewReader("a\nb\n")
				var said strings.Builder
				cmd.Stderr = &said
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
				_ = cmd.Wait() // ProcessState says it
				if !late.Stop() {
					t.Errorf("gm %s does not end", verb)
				} else if code := cmd.ProcessState.ExitCode(); code != 76 || !strings.Contains(said.String(), addr) || !strings.Contains(said.String(), "\nhint: ") {
					t.Errorf("gm %s: got exit code %d, want 76, the server and a hint:\n%s", verb, code, said.String())
				}
			}
		})
	}
}

func startHTTP(t *testing.T) string {
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func startTLS(t *testing.T) string {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.TLS = &tls.Config{}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// startForeign starts a server that sends a greeting, and then echoes its input or ignores
// it.
func startForeign(t *testing.T, greeting string, echo bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			serving.Go(func() {
				defer nc.Close()
				_, _ = io.WriteString(nc, greeting)
				to := io.Discard
				if echo {
					to = nc
				}
				_, _ = bufio.NewReader(nc).WriteTo(to)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}
