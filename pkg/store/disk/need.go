package disk

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// need is the maximum room that a batch takes, in bytes.
type need struct {
	pages int64  // for single pages
	runs  int64  // for runs of neighbouring pages
	adds  bool   // the batch adds something
	once  int64  // for runs of neighbouring pages, once for the whole transaction
	last  uint64 // highest number of a job whose payload is in pieces, or 0

	scattered int // number of places of the file that it touches, besides the end
}

// room returns the room that a transaction of that need takes.
func (n need) room() boltfile.Need {
	return boltfile.Need{Pages: n.pages, Runs: n.runs + n.once, Adds: n.adds}
}

// join makes n the need of both.
func (n *need) join(m need) {
	n.pages += m.pages
	n.runs += m.runs
	n.once = max(n.once, m.once)
	n.adds = n.adds || m.adds
	n.last = max(n.last, m.last)
	n.scattered += m.scattered
}

func (n need) plus(m need) need {
	n.join(m)
	return n
}

// nearby is the maximum number of jobs that share a page or its neighbours.
const nearby = 8

const (
	// pieceRoom is the number of bytes that a piece takes in its leaf.
	pieceRoom = pieceSize + pieceHead
	// pieceHead is the number of bytes besides those of the payload: bbolt's
	// element, the key and the checksum.
	pieceHead = boltfile.ElementSize + 12 + codec.SealSize
	// leafPieces is the maximum number of pieces in a leaf. Between transactions
	// a leaf has at least two, except for the only leaf.
	leafPieces = 4
)

// needOf returns the room that batch takes in a file. last is the highest number
// of a job of the file whose payload is in pieces, or 0.
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
			if r.Seq < last { // it lies between others, whose leaf is written again
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
		// The last leaf is written again, and two leaves may become one when a
		// job is done.
		n.once = 2*leafPieces*pieceRoom + 2*pageSize
	}
	n.last = last
	return n
}

// lastPiece returns the highest number of a job whose payload is in pieces, or 0.
func lastPiece(tx *bolt.Tx) uint64 {
	key, _ := tx.Bucket(bodiesName).Cursor().Last()
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}
