package gearman

import (
	"context"
	"fmt"
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
	// DefaultMaxPayload is the longest payload or part of a result, in bytes.
	DefaultMaxPayload = wire.DefaultMaxPayload
	// DefaultMaxUnique is the longest unique that every server in use keeps
	// whole. gearmand cuts longer ones, gm's server takes [wire.MaxUnique].
	DefaultMaxUnique = 63
)

// Options are common to [Client], [Worker] and [Admin]. The zero value is
// ready for use.
type Options struct {
	// Servers are tried in order by a client and are all served by a worker.
	// Empty stands for localhost:4730. An Admin is told its server.
	Servers []Server

	// Spread has a client send a task without a unique to the server that has
	// the fewest of its tasks on the way, in turn where that is even, instead of
	// to the first that answers. So the share of one that does not answer goes to
	// the others, and one that is slow, or without workers, gets no more than it
	// does. Tasks with a unique go by its hash in either case, so that they meet.
	Spread bool

	// Dial connects; nil is a net.Dialer with keepalive. It must heed ctx. TLS
	// goes in here.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// ConnectTimeout bounds one attempt to connect; 0 is 5 s.
	ConnectTimeout time.Duration

	// MaxPayload bounds a payload or a part of a result, in bytes and in
	// either direction; 0 is DefaultMaxPayload (64 MiB). Memory grows with
	// what has arrived, never with what was announced. A client's task whose
	// result has a larger part fails with ErrTooLarge; the others go on.
	MaxPayload int

	// MaxUnique is the longest unique in bytes that is sent as it is; a longer
	// one is replaced by a hash of it, so that it still means the same for all
	// clients of this package. 0 is 63, which every server keeps whole; 255
	// (wire.MaxUnique) may be set where all servers are gm's.
	MaxUnique int

	// MinBackoff and MaxBackoff bound the wait after a failure to connect; 0
	// is 100 ms and 10 s. The wait after failure n (from 0) is drawn evenly
	// from the upper half of MinBackoff * 2^(n+1), which stops growing at
	// MaxBackoff: 100 to 200 ms, 200 to 400 ms, ..., 5 to 10 s.
	MinBackoff, MaxBackoff time.Duration

	// Logger gets one line (level warn) when a server is lost and one (level
	// info) when it is back; a worker's also when it is first connected, and (level
	// warn) when it could not be at first. nil discards them.
	Logger *slog.Logger

	// Trace gets every packet and admin line; nil is no trace.
	Trace *wire.Tracer
}

// withDefaults returns a copy with every field set, or says which is wrong.
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
