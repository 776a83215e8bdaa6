package server

import (
	"log/slog"
	"math"
	"os"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// Defaults of Config's fields.
const (
	DefaultMaxOutbox    = 2*wire.DefaultMaxPayload + 1<<20
	DefaultKeepAlive    = 30 * time.Second
	DefaultUserTimeout  = 60 * time.Second
	DefaultDrainTimeout = 30 * time.Second
	DefaultPeerTimeout  = 60 * time.Second
	DefaultJobRetries   = 10

	DefaultStoreTimeout  = 5 * time.Second
	DefaultDeadMax       = 10_000
	DefaultResultsMemory = 64 << 20
	DefaultWakeups       = 1
	DefaultWakeAfter     = 50 * time.Millisecond
	DefaultForgetAfter   = time.Hour
)

// Config says how a Server works. The zero value is a server in memory with
// the defaults; where 0 means something of its own, the field says so.
type Config struct {
	// Version is what the admin command version answers.
	Version string
	// Host stands in job handles (H:<host>:<n>); the system's name if empty.
	Host string
	// HandlePrefix stands in handles instead of "H:" and Host, if it is not empty.
	HandlePrefix string

	// JobRetries is how many workers may lose a job, or run out of its time, before
	// it fails: so often it is handed out in all. 0 is as 1, negative is for ever,
	// nil is DefaultJobRetries. Jobs that fail are counted apart, see Policies.
	JobRetries *int
	// RoundRobin takes a worker's functions of one priority in turn, instead of
	// the one first that it named last.
	RoundRobin bool
	// Exceptions has every client get WORK_EXCEPTION, also one that does not set the
	// option "exceptions". Others get WORK_FAIL in its place.
	Exceptions bool
	// Wakeups is how many sleeping workers a ready job wakes: nil is
	// DefaultWakeups, 0 all of them.
	Wakeups *int

	// Store keeps background jobs; nil is memory, which keeps nothing.
	Store store.Store
	// StoreName is what logs and statistics call the store.
	StoreName string
	// StoreTimeout is how long a batch may take before its submitters are
	// told ERROR; 0 is DefaultStoreTimeout.
	StoreTimeout time.Duration

	// Memory bounds the bytes that payloads of jobs that do not run may hold,
	// 0 is no bound. Beyond it payloads are left to a store that gives them
	// back ([store.Reader]); without one submissions are refused.
	Memory int64

	// JobMemory bounds the bytes that all jobs may take, those that run and what a
	// job takes besides its payload included; 0 is no bound. Beyond it submissions
	// are refused.
	JobMemory int64
	// PeerMemory bounds the bytes that all connections together hold of packets
	// that have not arrived whole, and of what is owed to them. Beyond it large
	// packets arrive one at a time, and peers that make no progress are dropped. 0
	// is half of Memory, 16 MiB at least; negative is no bound, as is 0 where Memory
	// has none.
	PeerMemory int64

	// Policies are what becomes of jobs that fail, by function. What the
	// admin command policy has set, and the store kept, goes before them.
	Policies map[string]queue.Policy
	// DeadMax is how many dead jobs of a function are kept: background jobs
	// that failed or were lost for good. nil is DefaultDeadMax, 0 none.
	DeadMax *int
	// DeadAge is for how long they are kept, 0 without end.
	DeadAge time.Duration

	// KeepResults is how long what background jobs have ended with is kept
	// for the admin command result, 0 not at all. ResultsMemory bounds it in
	// bytes, DefaultResultsMemory if 0: the oldest go first.
	KeepResults   time.Duration
	ResultsMemory int

	// ForgetAfter is for how long functions are kept that have no workers and no
	// jobs, and that no administrator has created, paused, limited or given a policy.
	// 0 is DefaultForgetAfter, negative is without end.
	ForgetAfter time.Duration

	// MaxPayload is the largest payload in bytes, wire.DefaultMaxPayload if 0.
	MaxPayload int
	// MaxOutbox is how many bytes may wait for a peer before it is dropped.
	// It is at least twice MaxPayload, so that one result always fits.
	MaxOutbox int

	// PeerTimeout is how long a peer may make no progress: leave unread what is
	// owed to it, if that is more than a few MiB, or send no more of a packet that
	// it has begun. Then it is dropped. 0 is DefaultPeerTimeout, negative is for
	// ever.
	PeerTimeout time.Duration

	// SocketBuffer is the size of the system's buffers of a connection, each way,
	// in bytes; 0 leaves it to the system, which lets them grow to some MiB.
	SocketBuffer int

	// KeepAlive is the idle time after which TCP asks whether a peer is still
	// there; 0 is DefaultKeepAlive, negative turns it off.
	KeepAlive time.Duration
	// KeepAliveInterval is the time until TCP asks again, a third of KeepAlive
	// if 0. KeepAliveCount is how often it asks before the peer counts as gone,
	// 3 if 0.
	KeepAliveInterval time.Duration
	KeepAliveCount    int
	// UserTimeout is how long TCP waits for sent bytes to be acknowledged
	// (Linux only); 0 is DefaultUserTimeout, negative leaves it to the system.
	UserTimeout time.Duration

	// Shrunk is called, in a goroutine of its own, some seconds after the jobs
	// have come to take much less than they did, 32 MiB at least: it may give
	// memory back to the system. nil is nothing.
	Shrunk func()

	// Logger gets a line a change of state, and at debug level a line a step
	// of a job's life. nil discards.
	Logger *slog.Logger
	// Trace gets a line a packet. nil is off.
	Trace *wire.Tracer
}

// withDefaults returns c with its defaults filled in.
func (c Config) withDefaults() Config {
	if c.Version == "" {
		c.Version = "unknown"
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname()
	}
	if c.Host == "" {
		c.Host = "localhost"
	}
	if c.JobRetries == nil {
		c.JobRetries = ptr(DefaultJobRetries)
	}
	if c.Wakeups == nil {
		c.Wakeups = ptr(DefaultWakeups)
	}
	if c.Store == nil {
		c.Store, c.StoreName = store.Memory{}, "memory"
	}
	if c.StoreTimeout <= 0 {
		c.StoreTimeout = DefaultStoreTimeout
	}
	if c.DeadMax == nil {
		c.DeadMax = ptr(DefaultDeadMax)
	}
	if c.ResultsMemory <= 0 {
		c.ResultsMemory = DefaultResultsMemory
	}
	if c.ForgetAfter == 0 {
		c.ForgetAfter = DefaultForgetAfter
	}
	if c.MaxPayload <= 0 {
		c.MaxPayload = wire.DefaultMaxPayload
	}
	if c.MaxOutbox <= 0 {
		c.MaxOutbox = DefaultMaxOutbox
	}
	least := math.MaxInt
	if c.MaxPayload < (math.MaxInt-1<<20)/2 {
		least = 2*c.MaxPayload + 1<<20
	}
	c.MaxOutbox = max(c.MaxOutbox, least)
	if c.PeerMemory == 0 && c.Memory > 0 {
		c.PeerMemory = max(c.Memory/2, leastPeerMemory)
	}
	if c.PeerTimeout == 0 {
		c.PeerTimeout = DefaultPeerTimeout
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = DefaultKeepAlive
	}
	if c.KeepAliveInterval <= 0 {
		c.KeepAliveInterval = max(c.KeepAlive/3, time.Second)
	}
	if c.KeepAliveCount <= 0 {
		c.KeepAliveCount = 3
	}
	if c.UserTimeout == 0 {
		c.UserTimeout = DefaultUserTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func ptr[T any](v T) *T { return &v }
