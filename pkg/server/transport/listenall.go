package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bindPatience is the time for which ListenAll tries to bind an address that is in use
// although no server answers there.
const bindPatience = 6 * time.Second

// ListenAll listens on all addresses. An address is unix:PATH as for [Listen], or HOST,
// HOST:PORT, :PORT, V6, [V6] or [V6]:PORT; commas separate several in one text. No
// address is localhost. port is that of addresses without one; with port 0 all of them
// get the same free port. The host localhost is both IPv4 and IPv6 if the machine has
// them. An address in use is tried again as by [ListenPatiently], for six seconds.
//
// An error that wraps [ErrAddress] is that of an address that ListenAll cannot parse. After
// an error no listener is open.
func ListenAll(ctx context.Context, addrs []string, port int) ([]net.Listener, error) {
	if len(addrs) == 0 {
		addrs = []string{"localhost"}
	}
	var all []net.Listener
	for _, list := range addrs {
		for addr := range strings.SplitSeq(list, ",") {
			ls, err := listenOn(ctx, strings.TrimSpace(addr), &port)
			if err != nil {
				closeListeners(all)
				return nil, err
			}
			all = append(all, ls...)
		}
	}
	return all, nil
}

// listenOn listens on one address. *port is the port of addresses without one; if it is
// 0, listenOn sets it to the free port that it has chosen.
func listenOn(ctx context.Context, addr string, port *int) ([]net.Listener, error) {
	if _, unix := cutUnix(addr); unix {
		l, err := Listen(ctx, addr)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	host, p, err := splitAddress(addr, *port)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		return listenOnPort(ctx, []string{host}, p, port)
	}
	both := []string{"127.0.0.1", "::1"}
	ls, err := listenOnPort(ctx, both, p, port)
	for range 10 {
		if p != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		ls, err = listenOnPort(ctx, both, p, port) // a port that is free for one family can be taken for the other
	}
	return ls, err
}

// listenOnPort listens on all hosts, on one port. If p is 0 it chooses a free port and
// sets *port to it.
func listenOnPort(ctx context.Context, hosts []string, p int, port *int) ([]net.Listener, error) {
	free := p == 0
	var all []net.Listener
	var missing error // the error of a host that was left out
	for _, h := range hosts {
		l, err := listenTCP(ctx, net.JoinHostPort(h, strconv.Itoa(p)), free)
		if len(hosts) > 1 && isFamilyMissing(err) {
			missing = err
			continue
		}
		if err != nil {
			closeListeners(all)
			return nil, err
		}
		all = append(all, l)
		p = l.Addr().(*net.TCPAddr).Port
	}
	if len(all) == 0 {
		return nil, missing
	}
	if free {
		*port = p
	}
	return all, nil
}

// listenTCP listens on a host and port. For a free port it tries only once.
func listenTCP(ctx context.Context, addr string, free bool) (net.Listener, error) {
	if free {
		return Listen(ctx, addr)
	}
	return ListenPatiently(ctx, addr, bindPatience)
}

// isFamilyMissing reports whether err is the error of a machine without addresses of a
// family, such as IPv6.
func isFamilyMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// splitAddress splits HOST, HOST:PORT, :PORT, V6, [V6] and [V6]:PORT.
func splitAddress(addr string, port int) (string, int, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	if net.ParseIP(bare) != nil || !strings.Contains(addr, ":") {
		return bare, port, nil
	}
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%w %q: %w", ErrAddress, addr, err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w %q: port %q: must be a number up to 65535", ErrAddress, addr, p)
	}
	return host, int(n), nil
}

// closeListeners closes all listeners.
func closeListeners(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}
