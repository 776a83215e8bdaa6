package server

import (
	"log/slog"
	"math"
	"os"
	"time"

	"gm/pkg/store"
	"gm/pkg/wire"
)

// Defaults of Config's fields. DefaultMaxOutbox is twice the default of MaxPayload, and
// 1 MiB. DefaultDrainTimeout is for callers of [Server.Shutdown], which takes a context.
const (
	DefaultMaxOutbox    = 129 << 20
	DefaultKeepAlive    = 30 * time.Second
	DefaultUserTimeout  = 60 * time.Second
	DefaultDrainTimeout = 30 * time.Second
	DefaultPeerTimeout  = 60 * time.Second
	DefaultJobRetries   = 10

	DefaultStoreTimeout  = 5 * time.Second
	DefaultDeadMax       = 10_000
	DefaultResultsMemory = 64 << 20
	DefaultWakeups       = 1
	DefaultForgetAfter   = time.Hour
)

// Config has the settings of a Server. The zero value is a server in memory with the
// defaults. If 0 does not mean the default of a field, its comment says so.
// Sizes are in bytes.
type Config struct {
	// Version is the answer to the admin command version.
	Version string
	// Host is the middle part of handles (H:<host>:<n>). The default is the name of the
	// system.
	Host string
	// HandlePrefix, if not empty, replaces "H:" and Host in handles.
	HandlePrefix string

	// JobRetries is the number of attempts after which a job fails if each attempt
	// lost its worker or exceeded its time limit. 0 allows one attempt, a negative
	// number any number of them, and nil means DefaultJobRetries. Attempts that the
	// worker reports as failed are counted separately; see Policies.
	JobRetries *int
	// RoundRobin serves a worker's functions of one priority in turn. Otherwise the
	// function that the worker named last is served first.
	RoundRobin bool
	// Exceptions sends WORK_EXCEPTION to all clients. Otherwise clients without the
	// option "exceptions" get WORK_FAIL instead.
	Exceptions bool
	// Wakeups is the number of sleeping workers that a ready job wakes. 0 wakes all of
	// them, nil means DefaultWakeups.
	Wakeups *int

	// Store keeps background jobs, so that they survive the server. Package store/open
	// opens one from a URL. nil keeps jobs in memory only.
	Store store.Store
	// StoreName is the name of the store in logs and statistics.
	StoreName string
	// StoreTimeout is the time after which a write to the store counts as failed: then
	// the submissions that wait for it are refused. The default is
	// DefaultStoreTimeout.
	StoreTimeout time.Duration

	// Memory is the maximum size of the payloads of jobs that do not run. Further
	// payloads are kept only in the store if it can read them ([store.Reader]). With
	// other stores, further submissions are refused. 0 means no limit.
	Memory int64
	// JobMemory is the maximum size of all jobs: their payloads, also of running jobs,
	// and the memory that a job needs besides. Further submissions are refused. 0 means
	// no limit.
	JobMemory int64
	// PeerMemory is the maximum size of the incomplete packets and the pending replies
	// of all connections. Above it, large packets are read one at a time, and
	// connections that make no progress are closed. The default is half of Memory, but
	// at least 16 MiB, or no limit if Memory is 0. A negative number means no limit.
	PeerMemory int64

	// Policies has the retry policies for jobs that fail, by function. A failed job of
	// another function is not retried. [Server.SetPolicy] and the admin command policy
	// replace a policy; the store keeps the new one for the next server.
	Policies map[string]Policy
	// DeadMax is the maximum number of dead jobs of a function. A background job that
	// has failed for good is kept as a dead job. 0 keeps none, nil means
	// DefaultDeadMax.
	DeadMax *int
	// DeadAge is the time for which a dead job is kept. 0 means no limit.
	DeadAge time.Duration

	// KeepResults is the time for which results of background jobs are kept for
	// [Server.Result], the admin command result, and connections with the option once. 0
	// keeps none, except outcomes for that option with a prefix.
	KeepResults time.Duration
	// ResultsMemory is the maximum size of these results. The oldest ones are dropped
	// first. The default is DefaultResultsMemory.
	ResultsMemory int

	// ForgetAfter is the time after which a function without workers and jobs is
	// forgotten, unless an administrator has created, paused or limited it, or has set
	// its policy. The default is DefaultForgetAfter. A negative number means never.
	ForgetAfter time.Duration

	// MaxPayload is the maximum size of a payload. The default is 64 MiB.
	MaxPayload int
	// MaxOutbox is the maximum size of the pending replies of a connection. A connection
	// that exceeds it is closed. It is at least twice MaxPayload, so that one result
	// always fits. The default is DefaultMaxOutbox.
	MaxOutbox int

	// PeerTimeout is the time without progress after which a connection is closed: the
	// peer reads nothing of more than a few MiB of pending replies, or sends nothing
	// more of an incomplete packet. The default is DefaultPeerTimeout. A negative number
	// means no limit.
	PeerTimeout time.Duration

	// SocketBuffer is the size of each of the two system buffers of a connection. 0
	// leaves it to the system, which lets them grow to some MiB.
	SocketBuffer int

	// KeepAlive is the idle time after which TCP probes whether a peer still exists. The
	// default is DefaultKeepAlive. A negative number disables the probes.
	KeepAlive time.Duration
	// KeepAliveInterval is the time between two probes. The default is a third of
	// KeepAlive.
	KeepAliveInterval time.Duration
	// KeepAliveCount is the number of probes without an answer after which the
	// connection is closed. The default is 3.
	KeepAliveCount int
	// UserTimeout is the maximum time until the peer's system acknowledges sent bytes;
	// then the connection is closed (Linux only). The default is DefaultUserTimeout. A
	// negative number leaves it to the system.
	UserTimeout time.Duration

	// Shrunk, if not nil, is called in its own goroutine some seconds after the memory
	// of jobs has become smaller by at least 32 MiB. It may return memory to the system.
	Shrunk func()

	// Logger gets a record for each change of state, and at level debug a record for
	// each step of a job. nil discards them.
	Logger *slog.Logger
	// Trace writes a line for each packet. nil writes none.
	Trace *Tracer
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
