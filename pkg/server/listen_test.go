package server_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// listen listens and serves addr.
func listen(t *testing.T, s *server.Server, addr string) net.Listener {
	t.Helper()
	l, err := server.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, server.ErrClosed) {
			t.Errorf("Serve returned %v, want ErrClosed", err)
		}
	})
	return l
}

func TestSeveralListeners(t *testing.T) {
	s, addr := start(t, server.Config{})
	path := filepath.Join(t.TempDir(), "gm.sock")
	listen(t, s, "unix:"+path)
	w := worker(t, addr, "f")
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c := newPeer(t, nc)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	w.send(req(wire.WorkComplete, h, "x"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
	if rows := c.list("workers"); len(rows) != 2 {
		t.Errorf("workers: %q, want two rows", rows)
	} else if w, err := wire.ParseWorkerInfo([]byte(rows[1])); err != nil || w.Addr != "unix" {
		t.Errorf("workers: %+v, %v; want a peer called unix", w, err)
	}
}

func TestIPv6(t *testing.T) {
	s, err := server.New(server.Config{Host: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	probe.Close()
	c := dial(t, listen(t, s, "[::1]:0").Addr().String())
	w, err := wire.ParseWorkerInfo([]byte(c.list("workers")[0]))
	if err != nil || w.Addr != "::1" {
		t.Errorf("workers: %+v, %v; want ::1", w, err)
	}
}

func TestUnixSocketOfALiveServerIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gm.sock")
	s, _ := start(t, server.Config{})
	listen(t, s, "unix:"+path)
	if l, err := server.Listen(t.Context(), "unix:"+path); err == nil {
		l.Close()
		t.Fatal("a second server got the socket")
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first server has lost its socket: %v", err)
	}
	newPeer(t, nc).sync()
}

func TestServeConn(t *testing.T) {
	s, addr := start(t, server.Config{})
	mine, its := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- s.ServeConn(its) }()
	c, w := newPeer(t, mine), worker(t, addr, "f")
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	w.send(req(wire.WorkComplete, h, "x"))
	c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
	mine.Close()
	if err := <-served; err != nil {
		t.Errorf("ServeConn: %v", err)
	}
	s.Close()
	mine, its = net.Pipe()
	if err := s.ServeConn(its); !errors.Is(err, server.ErrClosed) {
		t.Errorf("ServeConn of a closed server: %v", err)
	}
	if _, err := mine.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the refused connection: %v, want EOF", err)
	}
}

// flaky is a listener whose first Accepts fail.
type flaky struct {
	net.Listener
	errs chan error
}

func (l *flaky) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

// Only a closed listener ends the accept loop: all other errors of accept(2)
// pass by themselves.
func TestAcceptErrorsDoNotEndTheServer(t *testing.T) {
	errs := []error{
		syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM, syscall.ENOBUFS, syscall.ENOMEM, syscall.EMFILE,
		syscall.ENFILE, syscall.ENETDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.EINTR, syscall.ETIMEDOUT,
		syscall.EINVAL, io.EOF, os.ErrDeadlineExceeded, errors.New("a new errno"),
	}
	for _, errno := range errs {
		t.Run(errno.Error(), func(t *testing.T) {
			var log logs
			l, served := serveFlaky(t, server.Config{Logger: log.logger(0)})
			err := &net.OpError{Op: "accept", Net: "tcp", Err: errno}
			l.errs <- err
			l.errs <- err
			for range 2 {
				if nc, err := net.Dial("tcp", l.Addr().String()); err == nil { // it may be accepting already
					defer nc.Close()
				}
			}
			log.wait(t, "level=WARN", "accept", errno.Error())
			dial(t, l.Addr().String()).sync()
			select {
			case err := <-served:
				t.Fatalf("Serve returned %v", err)
			default:
			}
		})
	}
}

func TestAClosedListenerEndsServe(t *testing.T) {
	l, served := serveFlaky(t, server.Config{})
	dial(t, l.Addr().String()).sync()
	l.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v, want %v", err, net.ErrClosed)
	}
}

// A flood of accept errors is sampled in the log, and the pauses between them
// grow.
func TestAcceptErrorsAreSampledInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logs
		s, err := server.New(server.Config{Logger: log.logger(0)})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(failing{}) }()
		time.Sleep(time.Minute)
		s.Close()
		<-served
		lines := strings.Count(log.String(), "msg=accept")
		if lines < 6 || lines > 20*6 {
			t.Errorf("%d lines in a minute", lines)
		}
		log.wait(t, "level=WARN", "log lines suppressed", "line=accept")
	})
}

// failing is a listener that never has a connection.
type failing struct{}

func (failing) Accept() (net.Conn, error) { return nil, syscall.ENOBUFS }
func (failing) Close() error              { return nil }
func (failing) Addr() net.Addr            { return &net.TCPAddr{} }

// serveFlaky serves a listener whose Accept fails with the errors that are sent
// to it.
func serveFlaky(t *testing.T, cfg server.Config) (l *flaky, served chan error) {
	t.Helper()
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	under, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = &flaky{under, make(chan error, 2)}
	served = make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return l, served
}
