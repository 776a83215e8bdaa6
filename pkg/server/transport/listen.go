package transport

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
	// answerWithin is the time in which a live server answers a probe.
	answerWithin = time.Second
)

// Listen listens on an address: "host:port", or "unix:" and the path of a socket. The
// mode and group of a socket's file may follow as a query:
//
//	unix:/run/gm.sock?mode=0660&group=www-data
//
// Listen replaces a socket file that a dead server has left behind. If a server still
// listens on it, Listen returns an error.
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

// ListenPatiently calls Listen again, for as long as patience, while the address is in
// use and no server answers there: the system may need a moment to remove the sockets
// of a killed server.
func ListenPatiently(ctx context.Context, addr string, patience time.Duration) (net.Listener, error) {
	over := time.Now().Add(patience)
	for {
		l, err := Listen(ctx, addr)
		if !errors.Is(err, syscall.EADDRINUSE) || !time.Now().Before(over) || hasLiveServer(addr) {
			return l, err
		}
		select {
		case <-time.After(bindAgain):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// hasLiveServer reports whether a server answers at a TCP address. A killed one accepts
// no connection, or closes it at once.
func hasLiveServer(addr string) bool {
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

// errNotSocket is returned for the path of a file that is no socket.
var errNotSocket = errors.New("file exists and is not a socket")

// errInUse is returned for a socket on which another server listens.
var errInUse = fmt.Errorf("another server listens there: %w", syscall.EADDRINUSE)

// removeStaleSocket removes a socket file on which no server listens.
func removeStaleSocket(path string) error {
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
		return fmt.Errorf("%w (%v)", errInUse, err) // for example one whose backlog is full
	}
	return os.Remove(path)
}
