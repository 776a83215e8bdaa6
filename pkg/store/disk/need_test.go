package disk

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// TestNeed sees that the room that is reserved for a batch is enough, and not
// many times too large.
func TestNeed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		size, jobs int // of a batch
		late       int // of them come after higher numbers
	}{
		{maxInline + 1, 1, 0},
		{maxInline + 1, 300, 0},
		{3000, 50, 10},
		{10_000, 20, 0},
		{pieceSize, 10, 2},
		{pieceSize + 1, 10, 0},
		{100_000, 1, 0},
		{100_000, 20, 5},
		{5 << 20, 1, 0},
	} {
		t.Run(fmt.Sprintf("%d of %d", tc.jobs, tc.size), func(t *testing.T) {
			s := openDir(t, t.TempDir())
			defer s.Close()
			payload := bytes.Repeat([]byte("x"), tc.size)
			random := rand.New(rand.NewPCG(1, 2))
			seq := uint64(0)
			var needed, taken int64
			for range 20 {
				var batch []store.Op
				for i := range tc.jobs {
					seq += 10
					number := seq
					if i < tc.late && seq > 1000 {
						number = seq - 995 + uint64(random.IntN(900))/10*10
					}
					batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: number, Function: "f", Payload: payload}})
				}
				var n need
				var before int64
				measure := func(e *engine) error {
					before = allocated(t, e)
					return e.ViewTx(func(tx *bolt.Tx) error {
						n = needOf(batch, lastPiece(tx), e.PageSize())
						return nil
					})
				}
				if err := s.use(measure); err != nil {
					t.Fatal(err)
				}
				if err := s.Commit(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
				if err := s.flushLog(); err != nil {
					t.Fatal(err)
				}
				took := allocated(t, s.engine) - before
				if room := n.runs + n.once + n.pages + boltfile.MinSlack; took > room {
					t.Errorf("a batch took %d bytes: more than %d in runs, %d in pages and the slack", took, n.runs+n.once, n.pages)
				}
				needed += n.runs + n.once + n.pages
				taken += took
			}
			once := int64(20 * (2*leafPieces*pieceRoom + 2*os.Getpagesize()))
			late := int64(20 * tc.late * leafPieces * pieceRoom)
			if limit := 2*taken + once + late; needed > limit {
				t.Errorf("%d bytes were reserved for batches that took %d: want %d at most", needed, taken, limit)
			}
		})
	}
}

// allocated returns the number of bytes of pages that were ever allocated.
func allocated(t *testing.T, e *engine) (bytes int64) {
	t.Helper()
	err := e.ViewTx(func(tx *bolt.Tx) error {
		stats := tx.DB().Stats()
		bytes = stats.TxStats.GetPageAlloc()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
