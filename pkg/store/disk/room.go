package disk

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

const (
	minSlack, maxSlack = 1 << 20, 64 << 20
	minChunk, maxChunk = 1 << 20, 64 << 20
)

// need is the room that a batch takes, in bytes, at most.
type need struct {
	pages int64 // of what goes into single pages: it can go wherever one is free
	runs  int64 // of what takes neighbouring pages
	adds  bool  // there is something to be added
	bytes int   // of what is encoded for it, in memory

	scattered int // how many places of the file are touched, beside its end
}

// makeRoom sees to it that tx, which has only begun, will find the room that
// it needs, so that a full disk is met here and not in mid-write. Some slack is
// kept for what is done: a batch that adds nothing may use it, so that a full
// disk can become empty again.
func (e *engine) makeRoom(tx *bolt.Tx, n need) error {
	high := tx.Size()
	slack := min(max(high/16, minSlack), maxSlack)
	stats := e.db.Stats()
	free := int64(stats.FreePageN) * e.pageSize
	if stats.OpenTxN == 0 { // nobody reads what the last transaction replaced
		free += int64(stats.PendingPageN) * e.pageSize
	}
	// A quarter of the free pages, say, lie in runs that are long enough.
	size := high + max(0, n.runs-free/4) + max(0, n.pages+slack-free)
	if size <= e.reserved {
		return nil
	}
	chunk := min(max(e.reserved/8, minChunk), maxChunk)
	err := e.reserveTo(max(size, e.reserved+chunk))
	if err != nil && full(err) {
		err = e.reserveTo(size)
	}
	switch {
	case err == nil || errors.Is(err, errNoReserve) || !n.adds:
		return nil
	case full(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("reserve %d bytes of disk: %w", size-e.reserved, err)
}

func (e *engine) reserveTo(size int64) error {
	if err := e.reserve(e.file, e.reserved, size); err != nil {
		return err
	}
	e.reserved = size
	if e.db.NoSync {
		return nil
	}
	return e.file.Sync()
}
