package transport

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOptionsOfATCPConnection reads the options back from the system.
func TestOptionsOfATCPConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, tc := range map[string]struct {
		options Options
		want    map[int]int // values of IPPROTO_TCP
		alive   int
	}{
		"all": {
			Options{KeepAlive: 90 * time.Second, KeepAliveInterval: 7 * time.Second, KeepAliveCount: 4, UserTimeout: 12 * time.Second},
			map[int]int{unix.TCP_KEEPIDLE: 90, unix.TCP_KEEPINTVL: 7, unix.TCP_KEEPCNT: 4, unix.TCP_USER_TIMEOUT: 12_000},
			1,
		},
		"none": {Options{}, map[int]int{unix.TCP_USER_TIMEOUT: 0}, 0},
	} {
		mine, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		its, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.options.Set(its); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		raw, err := its.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE); err != nil || got != tc.alive {
				t.Errorf("%s: keepalive %d, %v, want %d", name, got, err, tc.alive)
			}
			for option, want := range tc.want {
				if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
					t.Errorf("%s: option %d is %d, %v, want %d", name, option, got, err, want)
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
		mine.Close()
		its.Close()
		if err := tc.options.Set(its); (err != nil) != (name == "all") {
			t.Errorf("%s: on a closed connection: %v", name, err)
		}
	}
}
