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

// Config has the settings of a Server. The zero value is a server in memory with the
// defaults. If 0 has another meaning than the default, the comment of the field says
// so.
type Config struct {
	// Version is the answer to the admin command version.
	Version string
	// Host is the middle part of handles (H:<host>:<n>); empty is the name of the
	// system.
	Host string
	// HandlePrefix, if not empty, replaces "H:" and Host in handles.
	HandlePrefix string

	// JobRetries is the number of attempts after which a job fails if each attempt
	// lost its worker or exceeded its timeout. 0 is one attempt, a negative number is
	// no limit, nil is DefaultJobRetries. Failures of jobs are counted separately; see
	// Policies.
	JobRetries *int
	// RoundRobin serves a worker's functions of one priority in turn. Otherwise the
	// function that the worker named last is served first.
	RoundRobin bool
	// Exceptions sends WORK_EXCEPTION to all clients. Otherwise clients without the
	// option "exceptions" get WORK_FAIL instead.
	Exceptions bool
	// Wakeups is the number of sleeping workers that a ready job wakes: nil is
	// DefaultWakeups, 0 is all of them.
	Wakeups *int

	// Store keeps background jobs; nil keeps them in memory only.
	Store store.Store
	// StoreName is the name of the store in logs and statistics.
	StoreName string
	// StoreTimeout is the maximum time for a batch before its submissions are refused;
	// 0 is DefaultStoreTimeout.
	StoreTimeout time.Duration

	// Memory is the maximum size in bytes of the payloads of jobs that do not run; 0
	// is no limit. Further payloads are kept only in the store if it can read them
	// ([store.Reader]). With other stores, further submissions are refused.
	Memory int64

	// JobMemory is the maximum size in bytes of all jobs, including running ones and
	// the memory of a job besides its payload; 0 is no limit. Further submissions are
	// refused.
	JobMemory int64
	// PeerMemory is the maximum size in bytes of the incomplete packets and the pending
	// replies of all connections. Beyond it, large packets arrive one at a time, and
	// connections that make no progress are closed. 0 is a half of Memory, but at least
	// 16 MiB, or no limit if Memory has none. A negative number is no limit.
	PeerMemory int64

	// Policies are the retry policies for jobs that fail, by function. A policy that
	// the admin command policy has set, and that the store has kept, replaces them.
	Policies map[string]queue.Policy
	// DeadMax is the maximum number of dead jobs of a function: background jobs that
	// have failed for good. nil is DefaultDeadMax, 0 is none.
	DeadMax *int
	// DeadAge is the time for which dead jobs are kept; 0 is no limit.
	DeadAge time.Duration

	// KeepResults is the time for which the outcomes of background jobs are kept for
	// the admin command result; 0 keeps none. ResultsMemory is their maximum size in
	// bytes; 0 is DefaultResultsMemory. The oldest ones are dropped first.
	KeepResults   time.Duration
	ResultsMemory int

	// ForgetAfter is the time for which a function is kept without workers and jobs,
	// unless an administrator has created, paused or limited it, or has given it a
	// policy. 0 is DefaultForgetAfter, a negative number is no limit.
	ForgetAfter time.Duration

	// MaxPayload is the maximum size of a payload in bytes; 0 is 64 MiB.
	MaxPayload int
	// MaxOutbox is the maximum number of bytes that wait for a peer before its
	// connection is closed. It is at least twice MaxPayload, so that one result always
	// fits.
	MaxOutbox int

	// PeerTimeout is the time without progress after which a connection is closed: the
	// peer does not read more than a few MiB of pending replies, or sends no more bytes
	// of an incomplete packet. 0 is DefaultPeerTimeout, a negative number is no limit.
	PeerTimeout time.Duration

	// SocketBuffer is the size in bytes of each of the two system buffers of a
	// connection; 0 leaves it to the system, which lets them grow to some MiB.
	SocketBuffer int

	// KeepAlive is the idle time after which TCP probes whether a peer still exists; 0
	// is DefaultKeepAlive, a negative number disables the probes.
	KeepAlive time.Duration
	// KeepAliveInterval is the time between two probes; 0 is a third of KeepAlive.
	// KeepAliveCount is the number of probes without an answer after which the peer is
	// lost; 0 is 3.
	KeepAliveInterval time.Duration
	KeepAliveCount    int
	// UserTimeout is the maximum time for the acknowledgement of sent bytes (Linux
	// only); 0 is DefaultUserTimeout, a negative number leaves it to the system.
	UserTimeout time.Duration

	// Shrunk is called in its own goroutine some seconds after the memory of jobs has
	// become much smaller, by at least 32 MiB. It may return memory to the system. nil
	// does nothing.
	Shrunk func()

	// Logger gets a record for each change of state, and at level debug a record for
	// each step of a job. nil discards them.
	Logger *slog.Logger
	// Trace gets a line for each packet; nil is no trace.
	Trace *wire.Tracer
}

// withDefaults returns c with its defaults set.
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

// leastPeerMemory is the least bound, in bytes, that follows from Config.Memory for the
// memory of all connections.
const leastPeerMemory = 16 << 20

func ptr[T any](v T) *T { return &v }
