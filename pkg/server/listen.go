package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// bindAgain is the pause between two attempts to bind an address in use.
	bindAgain = 100 * time.Millisecond
	// answerWithin is the time within which a live server answers a probe.
	answerWithin = time.Second
)

// Listen listens on an address: "host:port", or "unix:" and the path of a
// socket, with the mode and group of its file, if they matter, as a query:
//
//	unix:/run/gm.sock?mode=0660&group=www-data
//
// A socket file that a dead server has left behind is replaced; if a server
// still listens on it, Listen returns an error.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	path, unix := cutUnix(addr)
	if !unix {
		var lc net.ListenConfig
		return lc.Listen(ctx, "tcp", addr)
	}
	sock, err := parseUnixSocket(path)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", addr, err)
	}
	l, err := sock.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", addr, err)
	}
	return l, nil
}

// ListenPatiently is Listen that tries again, for as long as patience, while
// the address is in use and nobody answers there: the system may need a moment
// to take the sockets of a killed server down.
func ListenPatiently(ctx context.Context, addr string, patience time.Duration) (net.Listener, error) {
	over := time.Now().Add(patience)
	for {
		l, err := Listen(ctx, addr)
		if !errors.Is(err, syscall.EADDRINUSE) || !time.Now().Before(over) || answers(addr) {
			return l, err
		}
		select {
		case <-time.After(bindAgain):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// answers reports whether a server answers at a TCP address. A killed one
// accepts nothing more, or closes at once.
func answers(addr string) bool {
	nc, err := net.DialTimeout("tcp", addr, answerWithin)
	if err != nil {
		return false
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(answerWithin)) //nolint:errcheck // the read shows it
	if _, err := nc.Write([]byte("version\r\n")); err != nil {
		return false
	}
	n, _ := nc.Read(make([]byte, 1))
	return n > 0
}

// errNotSocket is returned for a path where something else than a socket is.
var errNotSocket = errors.New("file exists and is not a socket")

// errInUse is returned for a socket on which another server listens.
var errInUse = fmt.Errorf("another server listens there: %w", syscall.EADDRINUSE)

// clearStale removes a socket file on which nobody listens.
func clearStale(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode().Type() != os.ModeSocket:
		return errNotSocket
	}
	nc, err := net.DialTimeout("unix", path, answerWithin)
	switch {
	case err == nil:
		nc.Close()
		return errInUse
	case errors.Is(err, os.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (%v)", errInUse, err) // one whose backlog is full, say
	}
	return os.Remove(path)
}
