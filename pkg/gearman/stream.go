package gearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"gm/internal/tune"
	"gm/pkg/wire"
)

const (
	// stallTimeout is the maximum time in which a peer reads nothing before it
	// counts as lost. To set a deadline for each write costs more than a small
	// packet, so the deadline is renewed when a quarter of it has passed.
	stallTimeout = time.Minute
	// writeChunk is the maximum number of bytes that are written with one deadline.
	writeChunk = 256 << 10
)

// stream is one connection to a server, as bytes and packets. One goroutine at a time
// may read, and one may write.
type stream struct {
	server Server
	peer   string // in traces
	nc     net.Conn
	in     *wire.Reader
	tracer *wire.Tracer
	read   atomic.Int64 // bytes so far, to distinguish a slow peer from a silent one
	quick  *tune.Socket // of a worker, if nc is a socket
	prompt bool         // an answer is expected quickly; owned by the reader
	late   time.Time    // the write deadline; owned by the writer
}

// dial connects to s.
func dial(ctx context.Context, o *Options, s Server) (*stream, error) {
	attempt, cancel := context.WithTimeoutCause(ctx, o.ConnectTimeout,
		fmt.Errorf("connect: no answer within %v", o.ConnectTimeout))
	defer cancel()
	nc, err := o.Dial(attempt, s.Network, s.Addr)
	if err != nil {
		if attempt.Err() != nil {
			return nil, context.Cause(attempt)
		}
		return nil, plainDialError(err)
	}
	st := &stream{server: s, peer: s.String(), nc: nc, tracer: o.Trace}
	st.in = wire.NewReader(st, o.limits())
	return st, nil
}

// plainDialError removes the address from an error of net, because the caller adds
// it.
func plainDialError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return op.Err
	}
	return err
}

// Read implements io.Reader for the wire.Reader.
func (s *stream) Read(p []byte) (int, error) {
	if s.prompt {
		s.prompt = false
		s.quick.Await()
	}
	n, err := s.nc.Read(p)
	s.read.Add(int64(n))
	return n, err
}

// Write implements io.Writer. It fails if the peer reads nothing for stallTimeout, or
// three quarters of that.
func (s *stream) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if late := time.Now().Add(stallTimeout); late.Sub(s.late) > stallTimeout/4 {
			if err := s.nc.SetWriteDeadline(late); err != nil {
				return n, err
			}
			s.late = late
		}
		k, err := s.nc.Write(p[:min(len(p), writeChunk)])
		n, p = n+k, p[k:]
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// nextPacket reads the next packet of the server, which is valid until the next call.
// It returns a ProtocolError for bytes that a server may not send.
func (s *stream) nextPacket(p *wire.Packet) error {
	err := s.in.Next(p)
	switch {
	case err == nil && !(p.Magic == wire.Response && p.Type.Goes(wire.Response)):
		err = fmt.Errorf("%w: %v %v from a server", wire.ErrMalformed, p.Magic, p.Type)
		fallthrough
	case isProtocol(err):
		return &ProtocolError{Server: s.server, Err: err}
	case err == io.EOF && s.read.Load() == 0:
		return errNoAnswer
	case err == io.EOF:
		return errors.New("closed by the server")
	case err != nil:
		return err
	}
	s.tracer.Packet(s.peer, true, p)
	return nil
}

// errNoAnswer is returned when a server closes a connection on which it has sent
// nothing.
var errNoAnswer = errors.New("closed by the server without an answer")

func isProtocol(err error) bool {
	return errors.Is(err, wire.ErrBadMagic) || errors.Is(err, wire.ErrBadType) ||
		errors.Is(err, wire.ErrTooLarge) || errors.Is(err, wire.ErrMalformed)
}

// protocolError returns the error for an unexpected packet.
func (s *stream) protocolError(format string, args ...any) error {
	return &ProtocolError{Server: s.server, Err: fmt.Errorf(format, args...)}
}

// traceSent traces a packet that is about to be sent.
func (s *stream) traceSent(t wire.Type, args [][]byte) {
	if s.tracer == nil {
		return
	}
	p := wire.Packet{Magic: wire.Request, Type: t}
	copy(p.Args[:], args)
	s.tracer.Packet(s.peer, false, &p)
}
