package sqlstore

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// FenceKey is the key of the fence among the extras. Theirs are printable.
	FenceKey = "\x01fence"
	// fenceLease is how long a holder of whom nothing is known has the store
	// after it has last written the fence.
	fenceLease = 10 * time.Second
	// fenceRenewal is how often a holder that commits nothing writes it.
	fenceRenewal = 2500 * time.Millisecond
)

// Fence is what a store knows of its fence: a row, among the extras, that says
// which session holds the store. A lock of the database is not enough, as it may
// be one node's of several, or that of a connection of a pooler: two servers
// would have it at a time. Each transaction of a session replaces the row's
// value, on the condition that it is still that session's: it conflicts with
// that of a session that takes the store meanwhile.
//
// The value is text, with blanks between its fields:
//
//	STORE.SESSION  names the session, and the store that it belongs to
//	WHERE          how the database knows the session, without blanks
//	SECONDS        the database's time when it was written, 0 if the store is free
//	LAST           the highest number of a job, ever
//
// The store's one session is the only user of its methods, but for Last.
type Fence struct {
	store    string
	sessions int
	mine     string // STORE.SESSION WHERE and a blank, once a session holds the store
	before   string // mine before the last Take
	base     int64  // the database's time, in seconds, at start
	start    time.Time
	written  time.Time
	last     atomic.Uint64
}

// NewFence returns the fence of a store, whose name is a word that no other
// store has.
func NewFence(store string) *Fence { return &Fence{store: store} }

// Claim is what a session finds when it takes the store.
type Claim struct {
	Value string // the fence's value; empty without a fence
	Now   int64  // the database's time, in seconds
	Where string // how the database knows the session
	// Gone reports whether the session that is known so has ended for certain.
	Gone func(where string) bool
	// Again is that an earlier session of the store has held it.
	Again bool
}

// Take begins a new session's hold, if it may take the store: if no other store
// has held it since an earlier session of this one, or, the first time, if the
// last holder has freed it, has ended or has not written the fence for a while.
func (f *Fence) Take(c Claim) bool {
	row := parseFence(c.Value)
	f.NoteLast(row.last)
	ours := strings.HasPrefix(row.session, f.store+".")
	free := row.session == "" || row.seconds == 0 || c.Gone(row.where) || c.Now-row.seconds > int64(fenceLease/time.Second)
	if !ours && (c.Again && row.session != "" || !free) {
		return false
	}
	f.before = f.mine
	f.sessions++
	f.mine = fmt.Sprintf("%s.%d %s ", f.store, f.sessions, c.Where)
	f.base, f.start = c.Now, time.Now()
	return true
}

// Undo takes the last Take back, whose value could not be written.
func (f *Fence) Undo() { f.mine = f.before }

// Held reports whether a session of the store holds it.
func (f *Fence) Held() bool { return f.mine != "" }

// Mine is what the fence's value begins with as long as the session holds the
// store.
func (f *Fence) Mine() string { return f.mine }

// Value returns the fence's value for a transaction that is sent now.
func (f *Fence) Value() string {
	f.written = time.Now()
	seconds := f.base + int64(f.written.Sub(f.start)/time.Second)
	return fmt.Sprintf("%s%d %d", f.mine, seconds, f.last.Load())
}

// FreeValue returns the fence's value for a store that is free.
func (f *Fence) FreeValue() string { return fmt.Sprintf("%s0 %d", f.mine, f.last.Load()) }

// Due reports whether the fence has not been written for a while.
func (f *Fence) Due() bool { return f.Held() && time.Since(f.written) >= fenceRenewal }

// NoteLast notes that there is, or will be, a job with that number.
func (f *Fence) NoteLast(seq uint64) {
	for {
		last := f.last.Load()
		if seq <= last || f.last.CompareAndSwap(last, seq) {
			return
		}
	}
}

// FenceLast returns the highest number that a fence's value has.
func FenceLast(value string) uint64 { return parseFence(value).last }

type fenceRow struct {
	session, where string
	seconds        int64
	last           uint64
}

// parseFence parses the fence's value. One that is none is that of a store that
// nobody holds.
func parseFence(value string) (row fenceRow) {
	_, err := fmt.Sscanf(value, "%s %s %d %d", &row.session, &row.where, &row.seconds, &row.last)
	if err != nil {
		return fenceRow{}
	}
	return row
}
