package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Listen listens on an address: "host:port", or "unix:" and the path of a
// socket. A socket that a dead server has left behind is replaced; one that
// answers is an error.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	path, unix := strings.CutPrefix(addr, "unix:")
	if !unix {
		return lc.Listen(ctx, "tcp", addr)
	}
	l, err := lc.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if nc, dialErr := net.DialTimeout("unix", path, time.Second); dialErr == nil {
		nc.Close()
		return nil, fmt.Errorf("listen %s: another server is there", addr)
	} else if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("listen %s: it is not a socket", addr)
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("listen %s: %w", addr, err)
	}
	return lc.Listen(ctx, "unix", path)
}
