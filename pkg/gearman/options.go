package gearman

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"gm/pkg/wire"
)

// Defaults of [Options].
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultMinBackoff     = 100 * time.Millisecond
	DefaultMaxBackoff     = 10 * time.Second
	// DefaultMaxPayload is the maximum size of a payload or of a part of a result
	// in bytes: 64 MiB.
	DefaultMaxPayload = 64 << 20
	// DefaultMaxUnique is the maximum length in bytes of a unique that every
	// server accepts. gearmand cuts longer ones; gm's server accepts 255 bytes.
	DefaultMaxUnique = 63
)

// Options are common to [Client], [Worker] and [Admin]. The zero value is ready
// for use with a server at localhost:4730.
type Options struct {
	// Servers is the list of job servers. A client tries them in order, a worker
	// serves all of them, an Admin ignores them. Empty means localhost:4730.
	Servers []Server

	// Spread makes a client send a task without a unique to the server that has
	// the fewest of its unfinished tasks, instead of to the first server that
	// answers. Servers with equal numbers take turns. A server that does not
	// answer, is slow or has no workers gets accordingly fewer tasks. Tasks with a
	// unique go to the server that its hash chooses in either case.
	Spread bool

	// Once makes a client ask its servers not to repeat a background job that has
	// ended lately. If the Unique of a task is that of such a job of the same
	// function, the task gets the handle of that job, and there is no new job. So a
	// program that was killed, or has lost its connection, can submit its last tasks
	// again without doing them twice. Only gm's server can do that, and only for jobs
	// whose outcomes it still keeps: for the time of gm serve --keep-results, or, with
	// a OncePrefix, for ten minutes without that flag. Each server knows only its own
	// jobs. Failed jobs count, cancelled ones do not. Result.Once reports whether the
	// server has accepted the option. A worker ignores it.
	Once bool
	// OncePrefix limits Once to uniques that begin with it; empty is all. It is for
	// clients that also use a unique again on purpose, some time after its job has
	// ended. A unique that is replaced by its hash has no prefix.
	OncePrefix string

	// Dial connects to a server; nil means a net.Dialer with keepalive. It must
	// return when ctx is done. The
	// DialContext of a tls.Dialer makes connections with TLS.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// ConnectTimeout limits one attempt to connect; 0 means 5 s.
	ConnectTimeout time.Duration

	// MaxPayload is the maximum size in bytes of a payload or of a part of a
	// result, in either direction; 0 means DefaultMaxPayload (64 MiB). Memory grows
	// with the bytes that have arrived, never with the announced size. If a
	// result has a larger part, its task fails with ErrTooLarge; other tasks are
	// not affected.
	MaxPayload int

	// MaxUnique is the maximum length in bytes of a unique that is sent unchanged.
	// A longer one is replaced by its hash, which is the same in all clients of
	// this package. 0 means 63, which every server accepts. It may be up to 255 if
	// all servers are gm's.
	MaxUnique int

	// MinBackoff and MaxBackoff limit the wait after a failure to connect; 0 is
	// 100 ms and 10 s. The wait after failure n (from 0) is random, between a half
	// of MinBackoff * 2^(n+1) and the whole, and at most MaxBackoff: 100 to 200 ms,
	// 200 to 400 ms, ..., 5 to 10 s.
	MinBackoff, MaxBackoff time.Duration

	// Logger gets a record at level warn when a server is lost, and one at level
	// info when it is back. The Logger of a worker also gets one at level info when
	// a server is first connected, and one at level warn when the first connection
	// fails. nil discards them.
	Logger *slog.Logger

	// Trace gets every packet and every admin line; nil means no trace.
	Trace *Tracer
}

// Tracer writes a line for each packet that a connection sends or receives, and
// for each admin line. It is safe for concurrent use.
type Tracer = wire.Tracer

// NewTracer returns a Tracer that writes to w, one whole line per call. It
// ignores the errors of w.
func NewTracer(w io.Writer) *Tracer { return wire.NewTracer(w) }

// withDefaults returns a copy with every field set, or an error that names an
// invalid field.
func (o Options) withDefaults() (Options, error) {
	if len(o.Servers) == 0 {
		o.Servers = []Server{{Network: "tcp", Addr: "localhost:4730"}}
	}
	o.Servers = slices.Clone(o.Servers)
	seen := map[Server]bool{}
	for _, s := range o.Servers {
		switch {
		case s.Network == "" || s.Addr == "":
			return o, fmt.Errorf("options: server %q of network %q is incomplete", s.Addr, s.Network)
		case seen[s]:
			return o, fmt.Errorf("options: server %v is named twice", s)
		}
		seen[s] = true
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
		}}).DialContext
	}
	if o.MinBackoff == 0 {
		o.MinBackoff = DefaultMinBackoff
		if o.MaxBackoff > 0 {
			o.MinBackoff = min(o.MinBackoff, o.MaxBackoff)
		}
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = max(DefaultMaxBackoff, o.MinBackoff)
	}
	o.ConnectTimeout = orDefault(o.ConnectTimeout, DefaultConnectTimeout)
	o.MaxPayload = orDefault(o.MaxPayload, DefaultMaxPayload)
	o.MaxUnique = orDefault(o.MaxUnique, DefaultMaxUnique)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.ConnectTimeout < 0:
		return o, fmt.Errorf("options: connect timeout %v is negative", o.ConnectTimeout)
	case o.MinBackoff < 0 || o.MaxBackoff < o.MinBackoff:
		return o, fmt.Errorf("options: backoff from %v to %v", o.MinBackoff, o.MaxBackoff)
	case o.MaxPayload < 0:
		return o, fmt.Errorf("options: largest payload %d is negative", o.MaxPayload)
	case !wire.ValidArg(o.OncePrefix) || len(o.OncePrefix) > o.MaxUnique:
		return o, fmt.Errorf("options: once prefix %q has a NUL or exceeds the limit of %d bytes", o.OncePrefix, o.MaxUnique)
	case o.MaxUnique < hashedUnique || o.MaxUnique > wire.MaxUnique:
		return o, fmt.Errorf("options: longest unique %d is not from %d to %d", o.MaxUnique, hashedUnique, wire.MaxUnique)
	}
	return o, nil
}

func (o *Options) limits() wire.Limits { return wire.Limits{MaxPayload: o.MaxPayload} }

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
