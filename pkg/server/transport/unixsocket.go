package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrAddress is returned by Listen for an address that it cannot parse.
var ErrAddress = errors.New("bad address")

// unixSocket is the address of a unix socket, with the attributes of its file.
type unixSocket struct {
	path  string
	mode  os.FileMode // 0 stands for the mode that the umask gives
	group int         // -1 stands for the group that the system gives
}

// cutUnix returns the rest of addr after "unix:".
func cutUnix(addr string) (rest string, ok bool) { return strings.CutPrefix(addr, "unix:") }

// parseUnixSocket parses PATH[?mode=MODE&group=GROUP].
func parseUnixSocket(s string) (unixSocket, error) {
	sock := unixSocket{path: s, group: -1}
	query := ""
	if at := strings.LastIndexByte(s, '?'); at >= 0 {
		sock.path, query = s[:at], s[at+1:]
	}
	if sock.path == "" {
		return sock, fmt.Errorf("%w: unix: has no path", ErrAddress)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return sock, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	for key, all := range values {
		value := all[len(all)-1]
		switch key {
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 32)
			if err != nil || mode == 0 || mode > 0o777 {
				return sock, fmt.Errorf("%w: mode %q is not an octal number from 1 to 777", ErrAddress, value)
			}
			sock.mode = os.FileMode(mode)
		case "group":
			if sock.group, err = groupID(value); err != nil {
				return sock, fmt.Errorf("%w: %w", ErrAddress, err)
			}
		default:
			return sock, fmt.Errorf("%w: unknown option %q; there are mode and group", ErrAddress, key)
		}
	}
	return sock, nil
}

// listen makes the socket. The lock of the directory keeps two servers from removing
// each other's socket file as stale.
func (sock *unixSocket) listen(ctx context.Context) (net.Listener, error) {
	unlock, err := lockDir(filepath.Dir(sock.path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStaleSocket(sock.path); err != nil {
		return nil, err
	}
	var l net.Listener
	err = withUmask(sock.mode != 0 || sock.group >= 0, func() (err error) {
		var lc net.ListenConfig
		l, err = lc.Listen(ctx, "unix", sock.path)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := sock.setAttributes(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// setAttributes sets the group before the mode: the wrong group never has access.
func (sock *unixSocket) setAttributes() error {
	if sock.group >= 0 {
		if err := os.Lchown(sock.path, -1, sock.group); err != nil {
			return fmt.Errorf("set group: %w", err)
		}
	}
	mode := sock.mode
	if mode == 0 && sock.group >= 0 {
		mode = 0o660
	}
	if mode != 0 {
		if err := os.Chmod(sock.path, mode); err != nil {
			return fmt.Errorf("set mode: %w", err)
		}
	}
	return nil
}
