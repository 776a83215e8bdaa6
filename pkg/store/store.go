// Package store says what a job server asks of the place where it keeps its
// jobs: it is a journal. The queue itself lives in memory; a [Store] has to
// keep what was added, to forget what is done, and to play the rest back in
// order at the next start.
//
// Its types:
//
//   - [Record] is a job as it is kept;
//   - [Op] is one entry for the journal: a job added, done or tried in vain,
//     or an extra put or deleted;
//   - [Store] takes batches of them and replays what is left. [Caps] says what
//     a store can't promise; what only some can do stands in interfaces of its
//     own ([Reader], [Locker], [Compacter], [Checker]);
//   - [URL] names a store: disk:DIR, sqlite:FILE, postgres://...
//
// Extras are what a server keeps beside the jobs that wait: dead jobs,
// results, settings. To a store they are values under keys.
//
// [Memory] is the empty journal: it keeps nothing. The drivers, a package each
// below this one, pass the suite in storetest.
package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Record is a job as a store keeps it.
type Record struct {
	// Seq is the order in which jobs were accepted, unique for ever. A job
	// that another server wrote into its own layout has none: a driver gives
	// it one at Replay, see [FirstSeq].
	Seq      uint64
	Function string
	Unique   string // as the client gave it, may be empty
	Reducer  string
	Payload  []byte
	Priority uint8 // 0 high, 1 normal, 2 low
	RunAt    int64 // Unix time in milliseconds, 0 for at once
	Accepted int64 // Unix time in milliseconds, 0 if unknown
	Attempts int   // attempts that did not complete, see Tried; from 0 to 2^31-1

	// Apart is of an Add only, and is not kept: another job with this Function
	// and Unique may be in the store, and stays there. The layout of another
	// server may have room for one of them only: then that one does not see
	// the job that is apart.
	Apart bool
}

// A record's Attempts hold two counts, so that layouts of other servers with one
// column have room for both: the losses in the lower bits.
const (
	lossBits  = 16
	maxLosses = 1<<lossBits - 1
	maxTried  = 1<<15 - 1 // failures
)

// Tried returns how often the job failed, and how often its worker was lost.
// What a store kept when there was one count for both, counts as losses.
func (r *Record) Tried() (failures, losses int) {
	n := max(r.Attempts, 0)
	return n >> lossBits, n & maxLosses
}

// SetTried sets Attempts. Counts over 32,767 failures and 65,535 losses are cut to
// that.
func (r *Record) SetTried(failures, losses int) {
	r.Attempts = min(failures, maxTried)<<lossBits | min(losses, maxLosses)
}

// Kind is what an Op does.
type Kind uint8

const (
	Add    Kind = iota // keep Record
	Done               // forget the job with Record's Seq, Function and Unique
	Update             // keep Record's Attempts and RunAt for the job with its Seq, Function and Unique
	Put                // keep Value under Key, in place of what was there
	Delete             // forget what is under Key
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
	Record *Record // of Add, Done and Update
	Key    string  // of Put and Delete: printable ASCII, at most 200 bytes
	Value  []byte  // of Put
}

// Store is a journal. Its server's committer is the only caller of Commit, one
// call at a time.
type Store interface {
	// Commit makes a batch durable as a whole, in its order: when it returns
	// nil, all of it survives a crash of the machine, as far as Caps says;
	// when it returns an error, no later Replay sees any of its Adds, unless
	// the error is an [*UncertainError]. A Done, Update or Delete of what is
	// not there is no error. It keeps nothing of the batch. A store whose
	// engine is away returns an error, soon, and tries again at the next call.
	// A batch with an operation that the store can never take, such as one
	// over a limit of Caps, fails with a [*RefusedError]: the same batch will
	// fail again, the batch without that operation will not. Every other error
	// may be gone at the next call.
	Commit(ctx context.Context, batch []Op) error

	// Replay calls f for every job that was added and not done, in the order
	// of Seq. The record and its payload belong to f. What can't be read is
	// set aside and reported by the driver's Skipped hook, never handed out
	// and never an error. An error of f stops it and is returned.
	// Commit and ReadPayload may be called meanwhile; whether Replay sees
	// what is added then is open, but it sees all that was there before and
	// is not done.
	Replay(ctx context.Context, f func(*Record) error) error

	// Extras calls f for every key that begins with prefix, in no order. The
	// value belongs to f.
	Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error

	// Extra returns the value under key, without a search through the others.
	// The value belongs to the caller. If nothing is there, the error is
	// [ErrNotFound]. A value that can't be read is set aside as Extras does it,
	// and is a [*CorruptError]. Extra finds a value in a store that can't list
	// its extras too.
	Extra(ctx context.Context, key string) ([]byte, error)

	// Caps says what the store promises.
	Caps() Caps

	// Close waits for what runs and gives up the engine.
	Close() error
}

// Caps is what a store promises. The suite asks for what is declared, and for
// nothing else.
type Caps struct {
	// Durable: what was committed survives the end of the server's process
	// and of the store's.
	Durable bool
	// Synced: it survives a crash of the machine too, by what the store does
	// or, of a server elsewhere, is set up to do.
	Synced bool
	// Atomic: a batch is kept whole or not at all. Without it, the Adds of a
	// batch that failed may have been kept one by one.
	Atomic bool
	// Lists: what is there can be listed, so that Replay and Extras find it.
	Lists bool

	// The store takes everything up to these limits, in bytes, and refuses
	// what is larger with a [*RefusedError]; 0 is no limit. Limits of a server
	// elsewhere are read at each connection, so they may change.
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
// is over a limit, nil if there is none.
func (c Caps) RefuseBatch(batch []Op) error {
	for i := range batch {
		if err := c.Refusal(&batch[i]); err != nil {
			return &RefusedError{Index: i, Err: err}
		}
	}
	return nil
}

// exceeds returns an error if size is over limit, which is none if it is 0.
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
	// Unique. It may be called at the same time as Commit, by several
	// goroutines. A job that is not there is [ErrNotFound]; one that can't be
	// read any more is an [*CorruptError].
	ReadPayload(ctx context.Context, r *Record) ([]byte, error)
	// ReplayHeads is Replay without payloads: Record.Payload is nil, and
	// size is what it would have been, in bytes.
	ReplayHeads(ctx context.Context, f func(r *Record, size int) error) error
}

// Numbered is a store that knows the highest number of a job that it has or, as
// far as it can, ever had. A server goes on from there, should the clock have
// been set back.
type Numbered interface {
	LastSeq(ctx context.Context) (uint64, error)
}

// Locker is a store that several servers can reach, of which one at a time
// may hold it.
type Locker interface {
	// TryLock takes the store for this server, whose name is shown to
	// others. If another server has it, the error is a [*HeldError].
	// Once Close has returned, the next may have it.
	TryLock(ctx context.Context, name string) error
	// Lost is closed when the store may have passed to another server: the
	// connection that held it is gone and another holds it now. Then Commit
	// returns only errors.
	Lost() <-chan struct{}
}

// Compacter is a store that can give back the room of what it has forgotten.
type Compacter interface {
	Compact(ctx context.Context) error
}

// Checker is a store that can verify what it keeps.
type Checker interface {
	// Check reads everything and calls report for each thing that is wrong.
	// It changes nothing. The error is one of reading at all.
	Check(ctx context.Context, report func(what string)) error
}

// ErrNotFound is returned by ReadPayload and Extra when nothing is there.
var ErrNotFound = errors.New("not in the store")

// ErrAbsent is wrapped by what a driver's Open returns that was told to make
// nothing, and finds nothing.
var ErrAbsent = errors.New("not there")

// ErrFull is wrapped by what Commit returns when the store has no room.
var ErrFull = errors.New("store full")

// RefusedError is the error of a batch with an operation that the store can
// never take. Nothing of the batch is kept, as far as [Caps].Atomic promises,
// and later batches are not affected.
type RefusedError struct {
	Index int // of the operation in the batch; -1 if the engine does not tell
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
	By string // what is known of the holder
}

func (e *HeldError) Error() string { return "store is held by " + e.By }

// Holder is what the lock of a store says of who has taken it, and when: what
// TryLock was told, which names host and process where they matter.
func Holder(name string, since time.Time) string {
	return name + ", since " + since.UTC().Format(time.RFC3339)
}

// CorruptError is the error of a record that can't be read.
type CorruptError struct {
	Where string // the record's place
	Why   string
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s: %s", e.Where, e.Why) }

// UncertainError is the error of a Commit whose outcome is not known: the
// connection was lost before the store answered. The driver sees to it that
// the batch's Adds are undone before it commits anything else.
type UncertainError struct{ Err error }

func (e *UncertainError) Error() string { return "outcome unknown: " + e.Err.Error() }
func (e *UncertainError) Unwrap() error { return e.Err }

// FirstSeq returns a number above all that were given out before now, if no
// more than four million a second were. Numbers of jobs start there, so that
// handles do not repeat after a restart.
func FirstSeq(now time.Time) uint64 { return uint64(now.UnixMilli()) << 12 }

// AdoptFrom returns a number above which a driver numbers the jobs that
// another server has queued, if last is the highest number it has. The server
// gives out numbers of its own meanwhile, from the higher of last and FirstSeq
// of a moment ago.
func AdoptFrom(now time.Time, last uint64) uint64 {
	if first := FirstSeq(now.Add(time.Millisecond)); first > last+adoptNear {
		return first
	}
	return last + adoptGap // the clock was set back
}

// Numberer is a store that gives numbers to jobs that another server has
// queued. The drivers have it from a [Floor].
type Numberer interface {
	// SetFloor tells the store, before Replay, a number that is not below any
	// that was given out. The store's own jobs need not show that.
	SetFloor(seq uint64)
}

// Floor is the part of a driver that numbers jobs of other servers.
type Floor struct{ seq atomic.Uint64 }

// SetFloor is that of [Numberer].
func (f *Floor) SetFloor(seq uint64) { f.seq.Store(seq) }

// AdoptFrom is the function AdoptFrom, above the floor.
func (f *Floor) AdoptFrom(now time.Time, last uint64) uint64 {
	return AdoptFrom(now, max(last, f.seq.Load()))
}

const (
	// adoptGap is more than a server gives out while it reads its store.
	adoptGap = 1 << 30
	// adoptNear is more than it gives out before it reads it.
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

// Caps promises nothing.
func (Memory) Caps() Caps { return Caps{} }

// Close does nothing.
func (Memory) Close() error { return nil }
