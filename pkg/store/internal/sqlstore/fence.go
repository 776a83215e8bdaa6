package sqlstore

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// fenceLease is the time after the last write of the fence for which a
	// holder of unknown state keeps the store.
	fenceLease = 10 * time.Second
	// fenceRenewal is the interval at which a holder without commits writes the
	// fence.
	fenceRenewal = 2500 * time.Millisecond
)

// Fence is the state of a store's fence: a row among the extras that names the
// session that holds the store. A lock of the database is not enough, because
// it may belong to one node of several, or to a connection of a pooler: two
// servers could have it at the same time. Each transaction of a session
// replaces the row's value, on the condition that it is still the session's
// value: so it conflicts with the transaction of another session that takes the
// store meanwhile.
//
// The value is text, with blanks between its fields:
//
//	STORE.SESSION  names the store and its session
//	WHERE          the database's name for the session, without blanks
//	SECONDS        the database's time of the last write, 0 if the store is free
//	LAST           the highest number that any job has had
//
// Only the goroutine that uses the store's session may call its methods, except
// NoteLast.
type Fence struct {
	store    string
	sessions int
	mine     string // STORE.SESSION WHERE and a blank, after a session has taken the store
	before   string // value of mine before the last Take
	base     int64  // the database's time, in seconds, at start
	start    time.Time
	written  time.Time
	last     atomic.Uint64
}

// NewFence returns the fence of a store. Its name must be a word that no other
// store uses.
func NewFence(store string) *Fence { return &Fence{store: store} }

// Claim describes the state in which a session finds the store when it takes
// it.
type Claim struct {
	Value string // the fence's value; empty without a fence
	Now   int64  // the database's time, in seconds
	Where string // the database's name for the session
	// Gone reports whether the session of that name has certainly ended.
	Gone func(where string) bool
	// Again is true if an earlier session of this store has held the store.
	Again bool
}

// Take makes a new session the holder, if it may take the store, and reports whether
// it may. The first session may take the store if its last holder has freed it, has
// ended, or has not written the fence for fenceLease. A later session may take it if
// no other store has held it since.
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

// Acquire takes the store for a new session, if it may, and writes the fence's
// value.
func (f *Fence) Acquire(c Claim, write func(value string) error) (taken bool, err error) {
	if !f.Take(c) {
		return false, nil
	}
	if err := write(f.Value()); err != nil {
		f.Undo()
		return false, err
	}
	return true, nil
}

// Undo reverts the last Take, whose value could not be written.
func (f *Fence) Undo() { f.mine = f.before }

// Held reports whether a session of the store holds it.
func (f *Fence) Held() bool { return f.mine != "" }

// Mine returns the beginning of the fence's value while the session holds the
// store.
func (f *Fence) Mine() string { return f.mine }

// Value returns the fence's value for a transaction at the present time.
func (f *Fence) Value() string {
	f.written = time.Now()
	seconds := f.base + int64(f.written.Sub(f.start)/time.Second)
	return fmt.Sprintf("%s%d %d", f.mine, seconds, f.last.Load())
}

// FreeValue returns the fence's value for a store that is free.
func (f *Fence) FreeValue() string { return fmt.Sprintf("%s0 %d", f.mine, f.last.Load()) }

// Due reports whether the fence was not written for fenceRenewal.
func (f *Fence) Due() bool { return f.Held() && time.Since(f.written) >= fenceRenewal }

// NoteLast records that a job with that number exists or will exist.
func (f *Fence) NoteLast(seq uint64) {
	for {
		last := f.last.Load()
		if seq <= last || f.last.CompareAndSwap(last, seq) {
			return
		}
	}
}

// FenceLast returns the highest job number in a fence's value.
func FenceLast(value string) uint64 { return parseFence(value).last }

type fenceRow struct {
	session, where string
	seconds        int64
	last           uint64
}

// parseFence parses the fence's value. For an invalid value, it returns that of a store
// that nobody holds.
func parseFence(value string) (row fenceRow) {
	_, err := fmt.Sscanf(value, "%s %s %d %d", &row.session, &row.where, &row.seconds, &row.last)
	if err != nil {
		return fenceRow{}
	}
	return row
}
