package boltfile

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/disk/fsys"
	"gm/pkg/store/internal/filestore"
)

const (
	// MinSlack is the minimum number of bytes that MakeRoom keeps free for
	// transactions that only remove.
	MinSlack = 1 << 20
	maxSlack = 64 << 20

	minChunk, maxChunk = 1 << 20, 64 << 20
)

// Need is the maximum room that a transaction takes, in bytes.
type Need struct {
	Pages int64 // for single pages: each can use any free one
	Runs  int64 // for runs of neighbouring pages
	Adds  bool  // the transaction adds something
}

// Missing returns the number of bytes that a transaction of that need may lack
// on the disk. Some slack is kept for removals: a transaction that adds nothing
// may use it, so that a full disk can become empty again.
func (e *File) Missing(n Need) (bytes int64, err error) {
	err = e.ViewTx(func(tx *bolt.Tx) error {
		high := tx.Size()
		slack := min(max(high/16, MinSlack), maxSlack)
		stats := e.db.Stats()
		free := int64(stats.FreePageN) * e.pageSize
		if stats.OpenTxN == 1 { // nobody else reads the pages that the last transaction replaced
			free += int64(stats.PendingPageN) * e.pageSize
		}
		// About a quarter of the free pages lie in runs that are long enough.
		bytes = high + max(0, n.Runs-free/4) + max(0, n.Pages+slack-free) - e.reserved
		return nil
	})
	return bytes, err
}

// MakeRoom reserves the disk's blocks for a transaction of that need, so that a
// full disk is detected here and not in the middle of a write. The error wraps
// store.ErrFull if the disk is full. Nobody may write meanwhile.
func (e *File) MakeRoom(n Need) error {
	missing, err := e.Missing(n)
	if err != nil || missing <= 0 {
		return err
	}
	size := e.reserved + missing
	chunk := min(max(e.reserved/8, minChunk), maxChunk)
	err = e.reserveTo(max(size, e.reserved+chunk))
	if filestore.IsFull(err) {
		err = e.reserveTo(size)
	}
	switch {
	case err == nil || errors.Is(err, fsys.ErrNoReserve) || !n.Adds:
		return nil
	case filestore.IsFull(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("reserve %d bytes of disk: %w", missing, err)
}

func (e *File) reserveTo(size int64) error {
	if err := e.reserve(e.file, e.reserved, size); err != nil {
		return err
	}
	if e.files.Watch != nil {
		e.files.Watch.Resized(e.file, size)
	}
	e.reserved = size
	if e.db.NoSync {
		return nil
	}
	return e.Sync()
}

// Reserved returns the number of bytes of the file that have blocks on the disk.
func (e *File) Reserved() int64 { return e.reserved }

// MeasureReserved sets Reserved to the size of the file.
func (e *File) MeasureReserved() {
	if info, err := e.file.Stat(); err == nil {
		e.reserved = info.Size()
	}
}

// MostlyFree reports whether at least three quarters of the file are free pages.
func (e *File) MostlyFree() bool {
	stats := e.db.Stats()
	free := int64(stats.FreePageN) * e.pageSize
	if stats.OpenTxN == 0 { // the next transaction frees them
		free += int64(stats.PendingPageN) * e.pageSize
	}
	return free >= e.reserved/4*3
}
