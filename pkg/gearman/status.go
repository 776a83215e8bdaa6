package gearman

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"gm/pkg/wire"
)

// Status is the state of a job on a server.
type Status struct {
	Handle Handle // empty in the answer of StatusUnique
	Unique string // as it was sent; empty in the answer of Client.Status
	Server Server // the server that has answered
	// Known is false if the job has ended or never existed. The fields below are
	// zero then.
	Known   bool
	Running bool // a worker holds it
	// Numerator and Denominator are the progress of Job.SendStatus.
	Numerator, Denominator int64
	// Clients is the number of clients that wait for the result. Only StatusUnique
	// sets it.
	Clients int
}

// Status returns the state of a job by its handle. It asks the server of the job if
// the job is one of the last 1,024 of this client, and otherwise each server until
// one knows the job. An unknown job is no error, unless a server could not be
// asked. Two servers on one host may use the same handle.
func (c *Client) Status(ctx context.Context, h Handle) (Status, error) {
	servers := c.servers
	if s := c.home(h); s != nil {
		servers = []*clientServer{s}
	}
	return c.findStatus(ctx, "status of "+string(h), servers, string(h), wire.GetStatus,
		func(conn *clientConn) *fifo[*question] { return &conn.statuses })
}

// StatusUnique returns the state of a job by its unique. It asks each server until
// one knows the job, and a server searches all of its functions. A long unique is
// replaced by its hash as in a Task; "-" and "#" have no special meaning.
func (c *Client) StatusUnique(ctx context.Context, key string) (Status, error) {
	if key != "#" {
		key = unique(key, nil, c.opts.MaxUnique)
	}
	return c.findStatus(ctx, "status of unique "+key, c.servers, key, wire.GetStatusUnique,
		func(conn *clientConn) *fifo[*question] { return &conn.uniques })
}

func (c *Client) findStatus(ctx context.Context, what string, servers []*clientServer, about string,
	typ wire.Type, waiting func(*clientConn) *fifo[*question],
) (Status, error) {
	if about == "" || !wire.ValidArg(about) {
		return Status{}, fmt.Errorf("%s: empty, or with a NUL", what)
	}
	var last Status
	errs := ServerErrors{}
	for _, s := range servers {
		conn, err := s.connectToAsk(ctx)
		var q *question
		if err == nil {
			q, err = conn.askQuestion(ctx, waiting(conn), about, typ, []byte(about))
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrClosed) {
				return Status{}, fmt.Errorf("%s: %w", what, err)
			}
			errs[s.Server] = err
			continue
		}
		last = q.status
		last.Server = s.Server
		if last.Known {
			return last, nil
		}
	}
	switch {
	case len(errs) == len(servers):
		return Status{}, fmt.Errorf("%s: %w", what, noServer(errs))
	case len(errs) > 0:
		return last, fmt.Errorf("%s: unknown to the servers that answered: %w", what, errs)
	}
	return last, nil
}

// Ping sends random bytes to a server and returns the time until they come back,
// without the time to connect. For a server of the client it uses the connection of
// the tasks, where it waits for earlier packets. For another server it makes a
// connection.
func (c *Client) Ping(ctx context.Context, s Server) (time.Duration, error) {
	sent := []byte(rand.Text())
	echo := echoOnce
	if home := c.server(s); home != nil {
		echo = home.echo
	}
	took, back, err := echo(ctx, &c.opts, s, sent)
	switch {
	case err != nil:
		return 0, fmt.Errorf("ping %v: %w", s, err)
	case !bytes.Equal(back, sent):
		return 0, fmt.Errorf("ping: %w", &ProtocolError{s, fmt.Errorf("ECHO_RES %.80q to ECHO_REQ %q", back, sent)})
	}
	return took, nil
}

func (c *Client) server(s Server) *clientServer {
	for _, known := range c.servers {
		if known.Server == s {
			return known
		}
	}
	return nil
}

// echo sends an ECHO_REQ over the connection of the tasks.
func (s *clientServer) echo(ctx context.Context, _ *Options, _ Server, data []byte) (time.Duration, []byte, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return 0, nil, unreached(ctx, s.Server, err)
	}
	start := time.Now()
	q, err := conn.askQuestion(ctx, &conn.echoes, "", wire.EchoReq, data)
	if err != nil {
		return 0, nil, err
	}
	return time.Since(start), q.data, nil
}

// echoOnce sends an ECHO_REQ over a new connection.
func echoOnce(ctx context.Context, o *Options, s Server, data []byte) (time.Duration, []byte, error) {
	st, err := dial(ctx, o, s)
	if err != nil {
		return 0, nil, unreached(ctx, s, err)
	}
	defer st.nc.Close()
	stop := context.AfterFunc(ctx, func() { st.nc.Close() })
	defer stop()
	start := time.Now()
	var p wire.Packet
	st.traceSent(wire.EchoReq, [][]byte{data})
	if _, err = st.Write(wire.Append(nil, wire.Request, wire.EchoReq, data)); err == nil {
		err = st.nextPacket(&p)
	}
	switch {
	case ctx.Err() != nil:
		return 0, nil, context.Cause(ctx)
	case err != nil:
		return 0, nil, lost(s, err)
	case p.Type != wire.EchoRes:
		return 0, nil, st.protocolError("%v to ECHO_REQ", p.Type)
	}
	return time.Since(start), bytes.Clone(p.Args[0]), nil
}

// unreached returns the error for a failure to connect to the only server.
func unreached(ctx context.Context, s Server, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrClosed) {
		return err
	}
	return noServer(ServerErrors{s: err})
}
