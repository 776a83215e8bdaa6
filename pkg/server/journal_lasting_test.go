package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/store"
)

// A full store that has room for one extra at a time gets them one after the other,
// each together with the end of its job, and each completion is given back then.
func TestJournalStoresExtrasOneByOneInFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
			puts := 0
			for i := range ops {
				if ops[i].Kind == store.Put {
					puts++
				}
			}
			if puts > 1 {
				return fmt.Errorf("commit: %w", store.ErrFull)
			}
			return nil
		})
		defer b.end()
		b.do(func() {
			for seq := range uint64(3) {
				seq++
				b.finish(seq)
				b.put(b.heirKey(seq), make([]byte, 40-10*seq))
				b.attachLasting(b.heirKey(seq), promise{name: fmt.Sprint("dead ", seq)})
			}
		})
		b.want("dead 3") // the smallest one
		b.wantStored("done 3, put heir/3")
		time.Sleep(retryCommit)
		b.want("dead 2")
		b.wantStored("done 2, put heir/2")
		time.Sleep(retryCommit)
		b.want("dead 1")
		b.wantStored("done 1, put heir/1")
	})
}

// The rest is cut into batches, but not between the end of a job and its extra.
func TestRestIsNotCutWithinAPair(t *testing.T) {
	heirKey := func(seq uint64) string { return fmt.Sprint("heir/", seq) }
	pair := func(seq uint64, size int) []store.Op {
		return []store.Op{
			{Kind: store.Done, Record: &store.Record{Seq: seq}},
			{Kind: store.Put, Key: heirKey(seq), Value: make([]byte, size)},
		}
	}
	const half = maxBatchBytes / 2
	for name, test := range map[string]struct {
		ops  []store.Op
		want int
	}{
		"all fit":                 {slices.Concat(pair(1, 10), pair(2, 10)), 4},
		"cut within the second":   {slices.Concat(pair(1, half), pair(2, half)), 2},
		"the first is too large":  {slices.Concat(pair(1, maxBatchBytes), pair(2, 10)), 2},
		"the extra of another":    {append(pair(1, 10)[:1], pair(2, maxBatchBytes)[1]), 1},
		"cut behind the first":    {slices.Concat(pair(1, maxBatchBytes-3*opCost), pair(2, 10)), 2},
		"an extra without an end": {slices.Concat(pair(1, 10)[1:], pair(2, maxBatchBytes)[1:]), 1},
	} {
		if got := countWithPairs(test.ops, heirKey); got != test.want {
			t.Errorf("%s: got %d operations, want %d", name, got, test.want)
		}
	}
}

// A store that refuses a batch because of one operation never has the end of a job
// before the extra into which the job has turned.
func TestSplitBatchKeepsPairs(t *testing.T) {
	for bad := range 9 {
		synctest.Test(t, func(t *testing.T) {
			extras := make(map[string]bool)
			b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
				for i := range ops {
					if ops[i].Key == "bad" {
						return errors.New("broken")
					}
				}
				for i := range ops {
					extras[ops[i].Key] = true
				}
				for i := range ops {
					if r := ops[i].Record; r != nil && !extras[fmt.Sprint("heir/", r.Seq)] {
						t.Errorf("bad operation at %d: the store has the end of job %d without its extra", bad, r.Seq)
					}
				}
				return nil
			})
			defer b.end()
			b.do(func() {
				for i := range 9 {
					if i == bad {
						b.put("bad", nil)
					}
					seq := uint64(i + 1)
					b.finish(seq)
					b.put(b.heirKey(seq), nil)
				}
			})
			synctest.Wait()
			for seq := range uint64(9) {
				if key := b.heirKey(seq + 1); !extras[key] {
					t.Errorf("bad operation at %d: %s is not stored", bad, key)
				}
			}
		})
	}
}
