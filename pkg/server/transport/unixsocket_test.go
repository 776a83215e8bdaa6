//go:build unix

package transport_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gm/pkg/server/transport"
)

func TestUnixSocketModeAndGroup(t *testing.T) {
	groups, err := os.Getgroups()
	if err != nil || len(groups) == 0 {
		groups = []int{os.Getgid()}
	}
	group := strconv.Itoa(groups[len(groups)-1])
	dir := t.TempDir()
	for query, want := range map[string]os.FileMode{
		"?mode=0600":                  0o600,
		"?mode=666":                   0o666,
		"?mode=0660&group=" + group:   0o660,
		"?group=" + group:             0o660,
		"?group=" + group + "&mode=0": 0,
	} {
		path := filepath.Join(dir, "s")
		l, err := transport.Listen(t.Context(), "unix:"+path+query)
		if want == 0 {
			if !errors.Is(err, transport.ErrAddress) {
				t.Errorf("%s: %v, want %v", query, err, transport.ErrAddress)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", query, got, want)
		}
		if gid := fi.Sys().(*syscall.Stat_t).Gid; strings.Contains(query, "group") && strconv.Itoa(int(gid)) != group {
			t.Errorf("%s: group %d, want %s", query, gid, group)
		}
		l.Close()
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// The umask of the process is as it was.
func TestUnixSocketWithoutModeFollowsTheUmask(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, query := range []string{"?mode=0600", ""} {
		l, err := transport.Listen(t.Context(), "unix:"+path+query)
		if err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		if got, want := fi.Mode().Perm(), os.FileMode(0o777&^mask); query == "" && got != want {
			t.Errorf("mode %o, want %o", got, want)
		}
		l.Close()
	}
}

// Of several servers that find a stale socket at once, one gets it.
func TestStaleUnixSocketGoesToOneServer(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "s")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		const servers = 4
		listeners := make(chan net.Listener, servers)
		var wg sync.WaitGroup
		for range servers {
			wg.Go(func() {
				if l, err := transport.Listen(t.Context(), "unix:"+path); err == nil {
					listeners <- l
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("Listen: %v", err)
				}
			})
		}
		wg.Wait()
		close(listeners)
		if n := len(listeners); n != 1 {
			t.Errorf("%d servers have the socket", n)
		}
		for l := range listeners {
			if nc, err := net.Dial("unix", path); err != nil {
				t.Errorf("the socket's file is not the listener's: %v", err)
			} else {
				nc.Close()
			}
			l.Close()
		}
	}
}
