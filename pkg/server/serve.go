package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"gm/pkg/server/transport"
)

// Serve accepts connections from l until l fails or the server is shut down, in which
// case it returns ErrClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.closed || s.draining {
		s.mu.Unlock()
		return ErrClosed
	}
	s.ls[l] = struct{}{}
	s.mu.Unlock()
	defer s.forgetListener(l)
	s.logNow(slog.LevelInfo, "listening", slog.String("addr", l.Addr().String()))

	failed := func(err error) error { return s.acceptFailed(l, err) }
	return transport.AcceptAll(l, s.serveAccepted, failed, s.ended)
}

// acceptFailed logs a failed accept, at most as often as logSampled allows. It returns
// an error if no connection can be accepted any more.
func (s *Server) acceptFailed(l net.Listener, err error) error {
	switch {
	case s.isClosing():
		return ErrClosed
	case errors.Is(err, net.ErrClosed):
		return fmt.Errorf("accept on %s: %w", l.Addr(), err)
	}
	s.mu.Lock()
	s.logSampled(acceptFailed, slog.LevelWarn, "accept",
		slog.String("addr", l.Addr().String()), slog.Any("err", err))
	s.endTurn(nil)
	return nil
}

func (s *Server) forgetListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ls, l)
}

func (s *Server) closeListeners() {
	for l := range s.ls {
		l.Close()
		delete(s.ls, l)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || s.draining
}

// ServeConn serves one connection and returns when it has ended. It closes nc.
func (s *Server) ServeConn(nc net.Conn) error {
	s.setOptions(nc)
	c := newAloneConn(s, transport.NewSocket(nc), transport.PeerName(nc))
	if !s.admit(c) {
		nc.Close()
		return ErrClosed
	}
	c.serve()
	return nil
}

// serveAccepted serves a connection that was accepted: by the poller, or in a goroutine
// of its own.
func (s *Server) serveAccepted(nc net.Conn) {
	s.setOptions(nc)
	if p := s.pollerFor(nc); p != nil && s.startPolled(p, nc) {
		return
	}
	c := newAloneConn(s, transport.NewSocket(nc), transport.PeerName(nc))
	if !s.admit(c) {
		nc.Close()
		return
	}
	go c.serve()
}

// setOptions sets the options of a connection's socket. The connection works without
// them too.
func (s *Server) setOptions(nc net.Conn) {
	options := transport.Options{
		KeepAlive: s.cfg.KeepAlive, KeepAliveInterval: s.cfg.KeepAliveInterval, KeepAliveCount: s.cfg.KeepAliveCount,
		UserTimeout: s.cfg.UserTimeout, Buffer: s.cfg.SocketBuffer,
	}
	if err := options.Set(nc); err != nil {
		s.logNow(slog.LevelDebug, "set socket options", slog.String("peer", nc.RemoteAddr().String()), slog.Any("err", err))
	}
}

// pollerFor returns a poller that can serve a connection, or nil.
func (s *Server) pollerFor(nc net.Conn) *transport.Poller {
	if !transport.CanPoll(nc) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poller == nil && !s.unpolled && !s.closed {
		p, err := transport.NewPoller(&s.rounds)
		if err != nil {
			s.logNow(slog.LevelDebug, "poll", slog.Any("err", err)) // it works without
		}
		s.poller, s.unpolled = p, err != nil
	}
	return s.poller
}

// startPolled gives a connection to the poller. It returns false if that is not
// possible, and nc is as it was.
func (s *Server) startPolled(p *transport.Poller, nc net.Conn) bool {
	addr := transport.PeerName(nc)
	socket, err := p.Adopt(nc)
	if err != nil {
		s.logNow(slog.LevelDebug, "poll", slog.String("peer", addr), slog.Any("err", err)) // it can be served otherwise
		return false
	}
	c := newPolledConn(s, socket, addr)
	if !s.admit(c) {
		socket.Free()
		return true
	}
	c.logStart()
	p.Watch(&c.Conn)
	return true
}

// admit registers a connection, which its caller must serve. It returns false if the
// server takes no more connections.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining {
		return false
	}
	c.peer = s.q.NewPeer(c)
	s.conns.push(c)
	s.wg.Add(1)
	return true
}
