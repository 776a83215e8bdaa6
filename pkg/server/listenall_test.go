package server_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gm/pkg/server"
)

func closeListeners(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}

// TestListenAllRefuses checks that an address without a listener is an error.
func TestListenAllRefuses(t *testing.T) {
	for addr, want := range map[string]string{
		"[2001:db8::1]:0":                   "listen",
		"2001:db8::1":                       "listen",
		"192.0.2.1":                         "listen",
		"a:b:c":                             `bad address "a:b:c"`,
		"localhost:http":                    `port "http": must be a number up to 65535`,
		"localhost:65536":                   `port "65536": must be a number up to 65535`,
		"unix:":                             "no path",
		"unix:?mode=0660":                   "no path",
		"unix:/nonexistent/dir/s":           "no such file",
		"unix:" + t.TempDir() + "/s?mode=9": "not an octal number",
		"unix:" + t.TempDir() + "/s?user=x": "unknown option",
		"unix:" + t.TempDir() + "/s?group=nosuchgroup": "nosuchgroup",
	} {
		ls, err := server.ListenAll(t.Context(), []string{addr}, 0)
		if err == nil {
			closeListeners(ls)
			t.Errorf("%q: %d listeners and no error", addr, len(ls))
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", addr, err, want)
		}
	}
}

// TestListenOnLocalhostTakesOnePort checks that all listeners of a free port have the
// same one.
func TestListenOnLocalhostTakesOnePort(t *testing.T) {
	ls, err := server.ListenAll(t.Context(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeListeners(ls)
	port := ls[0].Addr().(*net.TCPAddr).Port
	for _, l := range ls {
		if l.Addr().(*net.TCPAddr).Port != port {
			t.Errorf("%v is on another port than %d", l.Addr(), port)
		}
	}
}

// TestBindIsTriedAgainWhileNobodyAnswers listens where the socket of a killed server
// exists for another moment.
func TestBindIsTriedAgainWhileNobodyAnswers(t *testing.T) {
	killed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := killed.Addr().(*net.TCPAddr).Port
	go func() {
		for range 2 {
			if nc, err := killed.Accept(); err == nil { // the probe for a running server
				nc.Close()
			}
		}
		killed.Close()
	}()
	ls, err := server.ListenAll(t.Context(), []string{"127.0.0.1:" + strconv.Itoa(port)}, 0)
	if err != nil {
		t.Fatalf("listen where a killed server was: %v", err)
	}
	closeListeners(ls)
}

// TestBindIsNotTriedAgainWhereAServerAnswers checks that the address of a running server
// is an error at once.
func TestBindIsNotTriedAgainWhereAServerAnswers(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	asked := make(chan int, 100)
	go func() {
		for n := 1; ; n++ {
			nc, err := other.Accept()
			if err != nil {
				return
			}
			asked <- n
			nc.Write([]byte("OK 1.0\n"))
			nc.Close()
		}
	}()
	ls, err := server.ListenAll(t.Context(), []string{other.Addr().String()}, 0)
	if err == nil {
		closeListeners(ls)
		t.Fatal("two servers on one port")
	}
	if len(asked) != 1 {
		t.Errorf("asked %d times", len(asked))
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want %v", err, syscall.EADDRINUSE)
	}
}
