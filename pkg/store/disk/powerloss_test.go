package disk

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

var (
	powerRuns   = flag.Int("powerloss.runs", 2, "how many `runs` are recorded for each --sync")
	powerImages = flag.Int("powerloss.images", 25, "how many power losses are replayed for each run")
	powerSeed   = flag.Uint64("powerloss.seed", 0, "the `seed` of the first run, 0 for one of the clock")
)

const never = math.MaxInt

// when is the times, in changes, at which something was asked for and
// acknowledged.
type when struct{ asked, acked int }

// history is the requests of a run to a store.
type history struct {
	r      *recorder
	jobs   map[uint64]*lived
	extras map[string][]extraLived
	adds   [][]uint64 // of each batch
	syncs  []when     // of the store's own, with --sync interval
}

type lived struct {
	payload     []byte
	added, done when
	updates     []when // the n-th sets Attempts to n
}

type extraLived struct {
	value string
	when
}

// record runs a store for a while, with a recorder.
func record(t *testing.T, mode store.Sync, random *rand.Rand) *history {
	t.Helper()
	h := &history{r: newRecorder(), jobs: make(map[uint64]*lived), extras: make(map[string][]extraLived)}
	dir := t.TempDir()
	open := func() *Store {
		// The test syncs, as the ticker would.
		s := openWith(t, Config{Dir: dir, Sync: mode, Interval: time.Hour, Skipped: func(what string, err error) { t.Errorf("set aside: %s: %v", what, err) }})
		s.files.Watch = h.r
		return s
	}
	s := open()
	seq := uint64(0)
	var waiting []uint64
	sizes := []int{0, 10, 100, 100, 100, 700, 2048, 2049, 40_000, 300_000}
	for step := range 260 {
		var batch []store.Op
		var acks []*when
		now := h.r.mark()
		ask := func(w *when) { *w = when{now, never}; acks = append(acks, w) }
		var adds []uint64
		for range random.IntN(8) {
			seq++
			payload := bytes.Repeat([]byte{byte(seq), byte(seq >> 8), byte(random.Uint32())}, 1+sizes[random.IntN(len(sizes)-step%4)]/3)
			j := &lived{payload: payload, done: when{never, never}}
			ask(&j.added)
			h.jobs[seq] = j
			adds = append(adds, seq)
			batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: payload}})
		}
		for range random.IntN(8) {
			if len(waiting) == 0 {
				break
			}
			i := random.IntN(len(waiting))
			j := h.jobs[waiting[i]]
			if random.IntN(4) == 0 {
				u := len(j.updates) + 1
				j.updates = append(j.updates, when{now, never})
				acks = append(acks, &j.updates[u-1])
				batch = append(batch, store.Op{Kind: store.Update, Record: &store.Record{Seq: waiting[i], Function: "f", Attempts: u}})
			} else {
				ask(&j.done)
				batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: waiting[i], Function: "f"}})
			}
			waiting = append(waiting[:i], waiting[i+1:]...)
		}
		for id, j := range h.jobs { // those that were tried wait again
			if len(j.updates) > 0 && j.done.asked == never && j.updates[len(j.updates)-1].asked < now && random.IntN(3) == 0 {
				ask(&j.done)
				batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: id, Function: "f"}})
			}
		}
		if random.IntN(3) == 0 {
			key := fmt.Sprint("key", random.IntN(5))
			h.extras[key] = append(h.extras[key], extraLived{value: fmt.Sprint(step), when: when{now, never}})
			acks = append(acks, &h.extras[key][len(h.extras[key])-1].when)
			batch = append(batch, store.Op{Kind: store.Put, Key: key, Value: []byte(fmt.Sprint(step))})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		acked := h.r.mark()
		for _, w := range acks {
			w.acked = acked
		}
		h.adds, waiting = append(h.adds, adds), append(waiting, adds...)
		var err error
		switch k := random.IntN(40); {
		case k < 3:
			err = s.flushLog()
		case k == 3:
			err = s.Compact(t.Context())
		case k == 4:
			err = s.Close()
			s = open()
		case k == 5:
			abandon(s) // a kill
			s = open()
		case k < 15 && mode == store.SyncInterval:
			w := when{asked: h.r.mark()}
			if err = s.syncLog(); err == nil {
				w.acked = h.r.mark()
				h.syncs = append(h.syncs, w)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

// durableTo returns up to which change an acknowledgement must survive the end
// of the machine at a change.
func (h *history) durableTo(mode store.Sync, at int) int {
	if mode == store.SyncAlways {
		return at
	}
	to := 0
	for _, w := range h.syncs {
		if w.acked < at {
			to = max(to, w.asked)
		}
	}
	return to
}

// check opens an image of the moment after the first changes, and returns its
// faults.
func (h *history) check(t *testing.T, dir string, mode store.Sync, at int) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	to := h.durableTo(mode, at)
	s := openWith(t, Config{Dir: dir, Sync: mode, Skipped: func(what string, err error) {
		if mode == store.SyncAlways {
			bad("set aside: %s: %v", what, err)
		}
	}})
	there := make(map[uint64]bool)
	err := s.Replay(t.Context(), func(r *store.Record) error {
		j := h.jobs[r.Seq]
		if j == nil {
			bad("job %d was never added", r.Seq)
			return nil
		}
		there[r.Seq] = true
		if !bytes.Equal(r.Payload, j.payload) {
			bad("job %d has another payload", r.Seq)
		}
		low, high := 0, 0
		for i, u := range j.updates {
			if u.acked < to {
				low = i + 1
			}
			if u.asked < at {
				high = i + 1
			}
		}
		if r.Attempts < low || r.Attempts > high {
			bad("job %d was tried %d times, want %d to %d", r.Seq, r.Attempts, low, high)
		}
		return nil
	})
	if err != nil {
		bad("replay: %w", err)
	}
	for seq, j := range h.jobs {
		switch {
		case !there[seq] && j.added.acked < to && j.done.asked >= at:
			bad("job %d is lost: added at %d, acknowledged at %d", seq, j.added.asked, j.added.acked)
		case there[seq] && j.done.acked < to:
			bad("job %d comes back: done at %d, acknowledged at %d", seq, j.done.asked, j.done.acked)
		case there[seq] && j.added.asked >= at:
			bad("job %d is there before it was added", seq)
		}
	}
	for _, batch := range h.adds {
		n := 0
		for _, seq := range batch {
			if there[seq] {
				n++
			}
		}
		if n > 0 && n < len(batch) && h.jobs[batch[0]].added.acked >= at && mode == store.SyncAlways {
			bad("%d of %d jobs of a batch are there", n, len(batch))
		}
	}
	got := make(map[string]string)
	if err := s.Extras(t.Context(), "", func(key string, value []byte) error { got[key] = string(value); return nil }); err != nil {
		bad("extras: %w", err)
	}
	for key, values := range h.extras {
		ok := true
		for _, x := range values {
			if x.acked < to {
				ok = false
			}
			if x.asked < at && got[key] == x.value {
				ok = true
			}
		}
		if !ok {
			bad("extra %s is %q", key, got[key])
		}
	}
	if err := s.Close(); err != nil {
		bad("close: %w", err)
	}
	if kept := filestore.BrokenFiles(s.file()); len(kept) > 0 {
		bad("the file was broken: %v", kept)
	}
	if len(errs) > 20 {
		errs = append(errs[:20], fmt.Errorf("and %d more", len(errs)-20))
	}
	return errors.Join(errs...)
}

// TestPowerLoss records the changes of a store's files and replays them up to
// random moments. Random sectors are missing of all changes that were not
// synced then. Everything that was acknowledged, with store.SyncInterval before the
// last sync, is there, and no finished job comes back.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	seed := *powerSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	runs, images := uint64(*powerRuns), *powerImages
	if testing.Short() {
		runs, images = 1, 5
	}
	for _, mode := range []store.Sync{store.SyncAlways, store.SyncInterval} {
		for run := range runs {
			t.Run(fmt.Sprint(mode, "/", seed+run), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(seed+run, uint64(len(mode))))
				h := record(t, mode, random)
				t.Logf("%d changes; again: -powerloss.seed=%d", len(h.r.changes), seed+run)
				for i := range images {
					at := 1 + random.IntN(len(h.r.changes))
					if i < 3 {
						at = 1 + random.IntN(60) // while the store is made
					}
					l := loss{random: random, keep: []float64{0, 0.1, 0.5, 0.9, 0.98}[random.IntN(5)]}
					dir := t.TempDir()
					if err := h.r.write(dir, at, l); err != nil {
						t.Fatal(err)
					}
					if err := h.check(t, dir, mode, at); err != nil {
						t.Fatalf("power loss after change %d of %d, %v of the sectors kept:\n%v", at, len(h.r.changes), l.keep, err)
					}
				}
			})
		}
	}
}

// TestSalvageKilled stops the salvage of a broken file at every step, as a kill
// and as a loss of power do: the next start has all readable jobs.
func TestSalvageKilled(t *testing.T) {
	t.Parallel()
	g := growFile(t)
	broken := bytes.Clone(g.file)
	m, err := boltfile.ReadMeta(bytes.NewReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	clear(broken[int64(m.Root)*m.PageSize:][:m.PageSize])
	r := newRecorder()
	dir := t.TempDir()
	prepared, err := os.Create(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	r.Opened(prepared)
	if _, err := prepared.Write(broken); err != nil {
		t.Fatal(err)
	}
	r.Wrote(prepared, broken, 0)
	r.Syncing(prepared)()
	r.SyncingDir(dir)()
	_ = prepared.Close()
	first := r.mark()
	s := openWith(t, Config{Dir: dir})
	s.files.Watch = r
	want := count(t, s)
	abandon(s)
	if want == 0 || len(filestore.BrokenFiles(s.file())) != 1 {
		t.Fatalf("got %d jobs, set aside: %v", want, filestore.BrokenFiles(s.file()))
	}
	random := rand.New(rand.NewPCG(3, 4))
	for at := first; at <= len(r.changes); at++ {
		last := at == len(r.changes)
		if !last && r.changes[at].kind != changeName && r.changes[at].kind != changeDir && r.changes[max(at, 1)-1].kind != changeName {
			continue
		}
		losses := []loss{{}, {random: random, keep: 0}, {random: random, keep: 0.5}}
		if testing.Short() {
			losses = losses[2:]
		}
		for _, l := range losses {
			dir := t.TempDir()
			if err := r.write(dir, at, l); err != nil {
				t.Fatal(err)
			}
			log := new(bytes.Buffer)
			s := openLogged(t, Config{Dir: dir}, log)
			if n := count(t, s); n != want {
				t.Errorf("after change %d: got %d jobs, want %d", at, n, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log.String(), "broken") {
				t.Errorf("after change %d: the log says nothing of it: %s", at, log)
			}
			if len(filestore.BrokenFiles(s.file())) == 0 {
				t.Errorf("after change %d: the broken file is not kept", at)
			}
		}
	}
}
