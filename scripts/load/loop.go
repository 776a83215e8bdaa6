//go:build linux

// Package load submits and does jobs as cheaply as it can, so that a benchmark
// measures the server on the same machine and not the load: with packets built
// in advance, one goroutine for all connections, and few system calls.
//
// A Load is made ready (connections, workers that sleep) by Submit, Drain or
// Foreground, and run once by Load.Run; the time and the processor's time
// between the two are then those of the jobs alone. Protocol says which kind
// of server is at the other end.
package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// errStalled is why a Run ends when nothing comes for stallTimeout.
var errStalled = errors.New("the server has not answered for long")

const (
	stallTimeout = 60 * time.Second
	waitAtMost   = 100 * time.Millisecond
	readSize     = 1 << 20
	eventsATurn  = 256
	// yieldEvery is how often a loop goes through Go's scheduler, which would else
	// have a thread look after it some 3,000 times a second.
	yieldEvery = 5 * time.Millisecond
)

// loop drives connections from one goroutine.
type loop struct {
	epoll int
	conns map[int32]*conn // by file descriptor
	buf   []byte          // the bytes read last, of any connection
	ended bool            // set by a handler: the turn it is set in is the last
	stop  atomic.Bool     // set from outside: it ends within waitAtMost
	every time.Duration   // between two calls of tick, if there is one
	tick  func() error
}

// conn is one connection of a loop.
type conn struct {
	loop *loop
	fd   int
	// take is given all bytes that have come and are not used, and returns how
	// many it has used. They are the loop's afterwards.
	take func(b []byte) (used int, err error)
	rest []byte // of an incomplete message
	out  []byte // bytes that the socket has not taken
}

func newLoop() (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{epoll: fd, conns: make(map[int32]*conn), buf: make([]byte, readSize)}, nil
}

// close closes the connections too.
func (l *loop) close() {
	for _, c := range l.conns {
		_ = unix.Close(c.fd)
	}
	_ = unix.Close(l.epoll)
}

// dial connects to a TCP address of numbers. The connection blocks until run.
func (l *loop) dial(addr string) (*conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if err == nil {
		err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	c := &conn{loop: l, fd: fd}
	l.conns[int32(fd)] = c
	return c, nil
}

// run calls start and then the connections' handlers until one has set ended,
// or until the limit is over. It returns how long that took.
func (l *loop) run(limit time.Duration, start func() error) (time.Duration, error) {
	for _, c := range l.conns {
		if err := unix.SetNonblock(c.fd, true); err != nil {
			return 0, err
		}
	}
	events := make([]unix.EpollEvent, eventsATurn)
	began := time.Now()
	last, yielded := began, began
	if err := start(); err != nil {
		return 0, err
	}
	nextTick := began.Add(l.every)
	for !l.ended && !l.stop.Load() {
		wait := waitAtMost
		if l.tick != nil {
			wait = min(wait, max(time.Until(nextTick), 0))
		}
		n, err := unix.EpollWait(l.epoll, events, int((wait+time.Millisecond-1)/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("epoll: %w", err)
		}
		now := time.Now()
		if now.Sub(yielded) > yieldEvery {
			yielded = now
			runtime.Gosched()
		}
		if now.Sub(began) > limit {
			break
		}
		if n > 0 {
			last = now
		} else if now.Sub(last) > stallTimeout {
			return 0, errStalled
		}
		if l.tick != nil && !now.Before(nextTick) {
			nextTick = now.Add(l.every)
			if err := l.tick(); err != nil {
				return 0, err
			}
		}
		for i := range max(n, 0) {
			if err := l.conns[events[i].Fd].ready(events[i].Events); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(began), nil
}

func (c *conn) ready(events uint32) error {
	if events&unix.EPOLLOUT != 0 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	for more := true; more; {
		var err error
		if more, err = c.read(); err != nil {
			return err
		}
	}
	return nil
}

// read reads once, and reports whether there may be more.
func (c *conn) read() (more bool, err error) {
	l := c.loop
	if len(c.rest) >= len(l.buf) {
		l.buf = make([]byte, 2*len(c.rest))
	}
	have := copy(l.buf, c.rest)
	n, err := unix.Read(c.fd, l.buf[have:])
	switch {
	case errors.Is(err, unix.EINTR):
		return true, nil
	case errors.Is(err, unix.EAGAIN):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read: %w", err)
	case n == 0:
		return false, errors.New("the server has closed a connection")
	}
	more = have+n == len(l.buf)
	used, err := c.take(l.buf[:have+n])
	if err != nil {
		return false, err
	}
	c.rest = append(c.rest[:0], l.buf[used:have+n]...)
	return more, nil
}

// send writes b, and keeps a copy of the bytes that the socket does not take at
// once.
func (c *conn) send(b []byte) error {
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		return nil
	}
	n, err := write(c.fd, b)
	if err != nil || n == len(b) {
		return err
	}
	c.out = append(c.out, b[n:]...)
	return c.watch(unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET)
}

func (c *conn) flush() error {
	n, err := write(c.fd, c.out)
	if err != nil {
		return err
	}
	c.out = append(c.out[:0], c.out[n:]...)
	if len(c.out) > 0 {
		return nil
	}
	return c.watch(unix.EPOLLIN | unix.EPOLLET)
}

func (c *conn) watch(events uint32) error {
	return unix.EpollCtl(c.loop.epoll, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)})
}

func write(fd int, b []byte) (int, error) {
	n, err := unix.Write(fd, b)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	return n, nil
}

// converse sends b before run, and waits for a reply that ends in these bytes.
func (c *conn) converse(b, end []byte) error {
	for len(b) > 0 {
		n, err := write(c.fd, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	have := 0
	for {
		n, err := unix.Read(c.fd, c.loop.buf[have:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("greeting: read %d bytes: %w", n, err)
		}
		have += n
		if got := c.loop.buf[:have]; len(got) >= len(end) && string(got[have-len(end):]) == string(end) {
			return nil
		}
	}
}

// header returns a binary packet's type and its size with the header.
func header(b []byte) (t uint32, size int) {
	return binary.BigEndian.Uint32(b[4:]), 12 + int(binary.BigEndian.Uint32(b[8:]))
}
