// Package store defines the journal in which a job server stores its jobs. The
// queue itself is in memory. A [Store] must keep the jobs that were added,
// forget those that are done, and return the rest in order at the next start.
//
// Its types:
//
//   - [Record] is a stored job;
//   - [Op] is one entry for the journal: a job added, done or tried without
//     success, or an extra put or deleted;
//   - [Store] commits batches of entries and replays the jobs that are left.
//     [Caps] declares the guarantees of a store. Capabilities of only some
//     stores have interfaces of their own ([Reader], [Locker], [Compacter],
//     [Checker]);
//   - [URL] names a store: disk:DIR, sqlite:FILE, postgres://...;
//   - [Sync] is the time at which a store in files writes to the disk.
//
// Extras are the other data of a server: dead jobs, results and settings. To a
// store they are values under keys.
//
// [Memory] is the empty journal: it keeps nothing. Each driver is a package
// below this one and passes the suite in storetest.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Record is a stored job.
type Record struct {
	// Seq numbers the jobs in the order in which the server accepted them, and
	// is never used again. A job that another server wrote in its own layout
	// has none: the driver gives it one at Replay, see [FirstSeq].
	Seq      uint64
	Function string
	Unique   string // from the client; may be empty
	Reducer  string
	Payload  []byte
	Priority uint8 // 0 high, 1 normal, 2 low
	RunAt    int64 // Unix time in milliseconds, 0 for at once
	Accepted int64 // Unix time in milliseconds, 0 if unknown
	Attempts int   // attempts that did not complete, see Tried; from 0 to 2^31-1

	// Apart is used only in an Add, and is not stored. It means that another
	// job with this Function and Unique may be in the store, and must stay
	// there. The layout of another server may have room for only one of them;
	// that server then does not see the job that is apart.
	Apart bool
}

// A record's Attempts contain two counts, so that both fit into the one column
// in the layouts of other servers. The losses are in the lower bits.
const (
	lossBits  = 16
	maxLosses = 1<<lossBits - 1
	maxTried  = 1<<15 - 1 // failures
)

// Tried returns how often the job failed, and how often it lost its worker.
// Attempts that versions with a single count have stored count as losses.
func (r *Record) Tried() (failures, losses int) {
	n := max(r.Attempts, 0)
	return n >> lossBits, n & maxLosses
}

// SetTried sets Attempts. It limits the counts to 32,767 failures and 65,535
// losses.
func (r *Record) SetTried(failures, losses int) {
	r.Attempts = min(failures, maxTried)<<lossBits | min(losses, maxLosses)
}

// Kind is the kind of an Op.
type Kind uint8

const (
	Add    Kind = iota // store Record
	Done               // forget the job with Record's Seq, Function and Unique
	Update             // store Record's Attempts and RunAt for the job with its Seq, Function and Unique
	Put                // store Value under Key, and replace an earlier value
	Delete             // forget the value under Key
)

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

var kindNames = [...]string{"add", "done", "update", "put", "delete"}

// Op is one entry for the journal.
type Op struct {
	Kind   Kind
	Record *Record // for Add, Done and Update
	Key    string  // for Put and Delete: printable ASCII, at most 200 bytes
	Value  []byte  // for Put
}

// Store is a journal. Its server calls Commit from one goroutine.
type Store interface {
	// Commit makes a batch durable as a whole, in its order: when it returns
	// nil, the whole batch survives a crash of the machine, as far as Caps
	// promises; when it returns an error, no later Replay returns any of its
	// Adds, unless the error is an [*UncertainError]. A Done, Update or Delete
	// of a job or key that does not exist is no error. Commit does not keep the
	// memory of the batch. A store whose engine is unreachable soon returns an
	// error, and tries again at the next call. A batch with an operation that
	// the store can never take, such as one over a limit of Caps, fails with a
	// [*RefusedError]: the same batch will fail again, the batch without that
	// operation will not. Any other error may be temporary.
	Commit(ctx context.Context, batch []Op) error

	// Replay calls f for every job that was added and not done, in the order of
	// Seq. The record and its payload belong to f. A record that cannot be read
	// is set aside and reported by the driver's Skipped hook; it is neither
	// passed to f nor an error. An error of f stops Replay and is returned.
	// Commit and ReadPayload may be called meanwhile. Replay returns all jobs
	// that were added before and are not done; it may or may not return jobs
	// that are added meanwhile.
	Replay(ctx context.Context, f func(*Record) error) error

	// Extras calls f for every key that begins with prefix, in no order. The
	// value belongs to f.
	Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error

	// Extra returns the value under key, without reading the others. The value
	// belongs to the caller. If there is none, the error is [ErrNotFound]. A
	// value that cannot be read is set aside as in Extras, and the error is a
	// [*CorruptError]. Extra works also in a store that cannot list its extras.
	Extra(ctx context.Context, key string) ([]byte, error)

	// Caps returns the store's guarantees and limits.
	Caps() Caps

	// Close waits for running calls and closes the engine.
	Close() error
}

// Caps are the guarantees and limits of a store. The suite tests exactly the
// guarantees that a store declares.
type Caps struct {
	// Durable means that committed batches survive the end of the server's
	// process and of the store's.
	Durable bool
	// Synced means that they also survive a crash of the machine, because the
	// store syncs them, or because the configuration of its server does.
	Synced bool
	// Atomic means that a batch is stored completely or not at all. Without it,
	// a failed batch may have stored some of its Adds.
	Atomic bool
	// Lists means that the store can list its jobs and extras, so that Replay
	// and Extras find them.
	Lists bool

	// The store takes everything up to these limits in bytes, and refuses
	// larger values with a [*RefusedError]; 0 is no limit. A driver reads the
	// limits of a server at each connection, so they may change.
	MaxPayload int // of a payload
	MaxValue   int // of an extra's value
	MaxKey     int // of an extra's key; not below 200
	MaxName    int // of a function, a unique or a reducer, each; not below 255
}

// Refusal returns the reason why a store with these limits can never take op,
// nil if it can.
func (c Caps) Refusal(op *Op) error {
	switch op.Kind {
	case Add:
		r := op.Record
		if err := exceeds("payload", len(r.Payload), c.MaxPayload); err != nil {
			return err
		}
		if longest := max(len(r.Function), len(r.Unique), len(r.Reducer)); c.MaxName > 0 && longest > c.MaxName {
			return cmp.Or(exceeds("function", len(r.Function), c.MaxName),
				exceeds("unique", len(r.Unique), c.MaxName), exceeds("reducer", len(r.Reducer), c.MaxName))
		}
	case Put:
		if err := exceeds("key", len(op.Key), c.MaxKey); err != nil {
			return err
		}
		return exceeds("value", len(op.Value), c.MaxValue)
	}
	return nil
}

// RefuseBatch returns a [*RefusedError] for the first operation of batch that
// is over a limit, or nil.
func (c Caps) RefuseBatch(batch []Op) error {
	for i := range batch {
		if err := c.Refusal(&batch[i]); err != nil {
			return &RefusedError{Index: i, Err: err}
		}
	}
	return nil
}

// exceeds returns an error if size exceeds the limit. A limit of 0 is ignored.
func exceeds(what string, size, limit int) error {
	if limit > 0 && size > limit {
		return fmt.Errorf("%s of %d bytes exceeds the store's limit of %d", what, size, limit)
	}
	return nil
}

// Reader is a store that can read single payloads, so that a server need not
// hold all of them in memory.
type Reader interface {
	// ReadPayload returns the payload of the job with r's Seq, Function and
	// Unique. Several goroutines may call it at the same time as Commit. The
	// error is [ErrNotFound] if the store does not have the job, and a
	// [*CorruptError] if it cannot read it.
	ReadPayload(ctx context.Context, r *Record) ([]byte, error)
	// ReplayHeads is Replay without payloads: Record.Payload is nil, and size
	// is the payload's size in bytes.
	ReplayHeads(ctx context.Context, f func(r *Record, size int) error) error
}

// Numbered is a store that knows the highest number of a job that it has or, as
// far as it can know, ever had. A server goes on from that number if the clock
// was set back.
type Numbered interface {
	LastSeq(ctx context.Context) (uint64, error)
}

// Locker is a store that several servers can reach, but only one at a time may
// hold.
type Locker interface {
	// TryLock locks the store for this server; others see its name. If another
	// server holds the store, the error is a [*HeldError]. After Close has
	// returned, another server can lock the store.
	TryLock(ctx context.Context, name string) error
	// Lost is closed when the store may have passed to another server: the
	// connection that held the lock is lost, and another holds it now. After
	// that, Commit returns only errors.
	Lost() <-chan struct{}
}

// Compacter is a store that can free the space of forgotten jobs and extras.
type Compacter interface {
	Compact(ctx context.Context) error
}

// Checker is a store that can verify its data.
type Checker interface {
	// Check reads everything and calls report for each fault. It changes
	// nothing. It returns an error if it cannot read the store.
	Check(ctx context.Context, report func(what string)) error
}

// ErrNotFound is returned by ReadPayload and Extra if there is no such job or
// key.
var ErrNotFound = errors.New("not in the store")

// ErrAbsent is wrapped by the error of a driver's Open that must not create a
// store and finds none.
var ErrAbsent = errors.New("not there")

// ErrFull is wrapped by the error of Commit when the store is full.
var ErrFull = errors.New("store full")

// RefusedError is the error of a batch with an operation that the store can
// never take. Nothing of the batch is stored, as far as [Caps].Atomic promises,
// and later batches are not affected.
type RefusedError struct {
	Index int // index of the operation in the batch; -1 if the engine does not name it
	Err   error
}

func (e *RefusedError) Error() string {
	if e.Index < 0 {
		return "refused: " + e.Err.Error()
	}
	return fmt.Sprintf("operation %d is refused: %v", e.Index, e.Err)
}
func (e *RefusedError) Unwrap() error { return e.Err }

// HeldError is the error of a store that another server holds.
type HeldError struct {
	By string // description of the holder
}

func (e *HeldError) Error() string { return "store is held by " + e.By }

// Holder returns a description of the holder of a store's lock, with the time
// when it took the lock. name is the argument of TryLock, which names the host
// and the process where they matter.
func Holder(name string, since time.Time) string {
	return name + ", since " + since.UTC().Format(time.RFC3339)
}

// CorruptError is the error of a record that cannot be read.
type CorruptError struct {
	Where string // the record's place
	Why   string
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s: %s", e.Where, e.Why) }

// UncertainError is the error of a Commit whose outcome is unknown, because the
// connection was lost before the store answered. The driver undoes the batch's
// Adds before it commits anything else.
type UncertainError struct{ Err error }

func (e *UncertainError) Error() string { return "outcome unknown: " + e.Err.Error() }
func (e *UncertainError) Unwrap() error { return e.Err }

// FirstSeq returns a number above all job numbers given out before now, if
// there were no more than four million per second. The numbers of a server
// start there, so that handles do not repeat after a restart.
func FirstSeq(now time.Time) uint64 { return uint64(now.UnixMilli()) << 12 }

// AdoptFrom returns the number above which a driver numbers the jobs that
// another server has queued; last is the highest number in the store. Meanwhile
// the server gives out numbers of its own, from the higher of last and the
// FirstSeq of a moment ago.
func AdoptFrom(now time.Time, last uint64) uint64 {
	if first := FirstSeq(now.Add(time.Millisecond)); first > last+adoptNear {
		return first
	}
	return last + adoptGap // the clock was set back
}

// Numberer is a store that numbers jobs that another server has queued. The
// drivers implement it with a [Floor].
type Numberer interface {
	// SetFloor sets, before Replay, a number that is at least as high as any
	// number given out, which the store's own jobs may not show.
	SetFloor(seq uint64)
}

// Floor is the part of a driver that numbers jobs of other servers.
type Floor struct{ seq atomic.Uint64 }

// SetFloor implements [Numberer].
func (f *Floor) SetFloor(seq uint64) { f.seq.Store(seq) }

// AdoptFrom is like the function AdoptFrom, but returns at least the floor.
func (f *Floor) AdoptFrom(now time.Time, last uint64) uint64 {
	return AdoptFrom(now, max(last, f.seq.Load()))
}

const (
	// adoptGap is larger than the count of numbers that a server gives out
	// while it reads its store.
	adoptGap = 1 << 30
	// adoptNear is larger than the count of numbers that it gives out before
	// that.
	adoptNear = 1 << 20
)

// Memory is the journal that keeps nothing: jobs live as long as the server.
type Memory struct{}

// Commit returns nil at once.
func (Memory) Commit(context.Context, []Op) error { return nil }

// Replay finds nothing.
func (Memory) Replay(context.Context, func(*Record) error) error { return nil }

// Extras finds nothing.
func (Memory) Extras(context.Context, string, func(string, []byte) error) error { return nil }

// Extra finds nothing.
func (Memory) Extra(context.Context, string) ([]byte, error) { return nil, ErrNotFound }

// Caps returns no guarantees.
func (Memory) Caps() Caps { return Caps{} }

// Close does nothing.
func (Memory) Close() error { return nil }
