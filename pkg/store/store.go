// Package store says what a job server asks of the place where it keeps its
// jobs: it is a journal. The queue itself lives in memory; a [Store] has to
// keep what was added, to forget what is done, and to play the rest back in
// order at the next start.
//
// Its types:
//
//   - [Record] is a job as it is kept;
//   - [Op] is one entry for the journal, an Add or a Done;
//   - [Store] takes batches of them and replays what is left.
//
// [Memory] is the empty journal: it keeps nothing.
package store

import "context"

// Record is a job as a store keeps it.
type Record struct {
	Seq      uint64 // the order in which jobs were accepted; unique for ever
	Function string
	Unique   string // as the client gave it, may be empty
	Reducer  string
	Payload  []byte
	Priority uint8 // 0 high, 1 normal, 2 low
	RunAt    int64 // Unix time in milliseconds, 0 for at once
	Accepted int64 // Unix time in milliseconds
	Attempts int   // workers that have lost it
}

// Kind is what an Op does.
type Kind uint8

const (
	Add  Kind = iota // keep the record
	Done             // forget the record with this Seq, Function and Unique
)

// Op is one entry for the journal.
type Op struct {
	Kind   Kind
	Record *Record // of a Done only Seq, Function and Unique count
}

// Store is a journal. The server's committer is its only caller, one call at
// a time.
type Store interface {
	// Commit makes a batch durable as a whole: when it returns nil, all of
	// it survives a crash of the machine; when it returns an error, none of
	// its Adds is seen by a later Replay. A Done of a record that is not
	// there is no error.
	Commit(ctx context.Context, batch []Op) error

	// Replay calls f for every record that was added and not done, in the
	// order of Seq. The record and its payload belong to f. It is called
	// once, before the first Commit. An error of f stops it and is returned.
	Replay(ctx context.Context, f func(*Record) error) error

	// Close waits for what runs and gives up the engine.
	Close() error
}

// Memory is the journal that keeps nothing: jobs live as long as the server.
type Memory struct{}

// Commit returns nil at once.
func (Memory) Commit(context.Context, []Op) error { return nil }

// Replay finds nothing.
func (Memory) Replay(context.Context, func(*Record) error) error { return nil }

// Close does nothing.
func (Memory) Close() error { return nil }
