package disk

import (
	"encoding/binary"
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
	pages int64  // of what goes into single pages: it can go wherever one is free
	runs  int64  // of what takes neighbouring pages
	adds  bool   // there is something to be added
	once  int64  // of what takes neighbouring pages, once for the whole transaction
	last  uint64 // the highest number of a job whose payload is in pieces, 0 if there is none

	scattered int // how many places of the file are touched, beside its end
}

// add has n be what both take.
func (n *need) add(m need) {
	n.pages += m.pages
	n.runs += m.runs
	n.once = max(n.once, m.once)
	n.adds = n.adds || m.adds
	n.last = max(n.last, m.last)
	n.scattered += m.scattered
}

func (n need) plus(m need) need {
	n.add(m)
	return n
}

// nearby is how many jobs share a page or its neighbours, at most.
const nearby = 8

const (
	// pieceRoom is what a piece takes in its leaf.
	pieceRoom = pieceSize + pieceHead
	// pieceHead is what a piece has beside its bytes: bbolt's element, its key
	// and its checksum.
	pieceHead = 16 + 12 + sealSize
	// leafPieces is how many pieces a leaf has at most. Between transactions
	// it is at least two, but for the only leaf.
	leafPieces = 4
)

// needOf returns the room that batch takes in a file whose last payload in
// pieces is that of job last, if large, or which has none.
func needOf(batch []store.Op, last uint64, pageSize int64) need {
	var n need
	var near uint64
	large := last > 0
	for _, op := range batch {
		switch op.Kind {
		case store.Done, store.Update:
			if seq := op.Record.Seq; seq < near || seq > near+nearby {
				n.scattered++
				near = seq
			}
		case store.Delete:
			n.scattered++
		case store.Add:
			r := op.Record
			names := len(r.Function) + len(r.Unique) + len(r.Reducer)
			n.adds = true
			n.pages += int64(names)*2 + 128
			if len(r.Payload) <= maxInline {
				n.pages += int64(len(r.Payload)) * 2
				continue
			}
			k := pieces(len(r.Payload))
			// Two pieces a leaf, whose last page has some room left.
			n.runs += int64(len(r.Payload)+k*pieceHead) + int64(k+1)/2*pageSize
			if r.Seq < last { // between others: their leaf is written anew
				n.runs += leafPieces * pieceRoom
			}
			last, large = max(last, r.Seq), true
		case store.Put:
			n.adds = true
			n.scattered++
			if len(op.Value) > maxInline {
				n.runs += int64(len(op.Value)) * 2
			} else {
				n.pages += int64(len(op.Value))*2 + 512
			}
		}
	}
	if n.adds && large {
		// The last leaf is written anew, and there should be room for two
		// that become one when a job is done.
		n.once = 2*leafPieces*pieceRoom + 2*pageSize
	}
	n.last = last
	return n
}

// lastPiece returns the job with the highest number among those whose payload
// is in pieces, 0 if there is none.
func lastPiece(tx *bolt.Tx) uint64 {
	key, _ := tx.Bucket(bodiesName).Cursor().Last()
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// missing returns how many bytes of disk a transaction of that need may lack.
// Some slack is kept for what is done: one that adds nothing may use it, so
// that a full disk can become empty again.
func (e *engine) missing(n need) (bytes int64, err error) {
	err = e.guard(func() error {
		return e.db.View(func(tx *bolt.Tx) error {
			high := tx.Size()
			slack := min(max(high/16, minSlack), maxSlack)
			stats := e.db.Stats()
			free := int64(stats.FreePageN) * e.pageSize
			if stats.OpenTxN == 1 { // nobody else reads what the last transaction replaced
				free += int64(stats.PendingPageN) * e.pageSize
			}
			// A quarter of the free pages, say, lie in runs that are long enough.
			bytes = high + max(0, n.runs+n.once-free/4) + max(0, n.pages+slack-free) - e.reserved
			return nil
		})
	})
	return bytes, err
}

// makeRoom sees to it that a transaction of that need will find the room, so
// that a full disk is met here and not in mid-write. Nobody writes meanwhile.
func (e *engine) makeRoom(n need) error {
	missing, err := e.missing(n)
	if err != nil || missing <= 0 {
		return err
	}
	size := e.reserved + missing
	chunk := min(max(e.reserved/8, minChunk), maxChunk)
	err = e.reserveTo(max(size, e.reserved+chunk))
	if err != nil && full(err) {
		err = e.reserveTo(size)
	}
	switch {
	case err == nil || errors.Is(err, errNoReserve) || !n.adds:
		return nil
	case full(err):
		return fullError(err)
	}
	return fmt.Errorf("reserve %d bytes of disk: %w", missing, err)
}

func (e *engine) reserveTo(size int64) error {
	if err := e.reserve(e.file, e.reserved, size); err != nil {
		return err
	}
	if e.files.watch != nil {
		e.files.watch.resized(e.file, size)
	}
	e.reserved = size
	if e.db.NoSync {
		return nil
	}
	return e.files.sync(e.file)
}
