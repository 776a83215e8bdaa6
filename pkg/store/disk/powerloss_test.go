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
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

var (
	powerRuns   = flag.Int("powerloss.runs", 2, "how many `runs` are recorded for each --sync")
	powerImages = flag.Int("powerloss.images", 25, "how many power losses are replayed for each run")
	powerSeed   = flag.Uint64("powerloss.seed", 0, "the `seed` of the first run, 0 for one of the clock")
)

// recorder is a watcher that keeps all changes to a store's files, so that what
// a power loss leaves of them can be made.
type recorder struct {
	mu      sync.Mutex
	changes []fileChange
	names   map[string]*inode // as they are
	handles map[*os.File]*inode
}

type inode struct{ id int }

type changeKind uint8

const (
	changeWrite  changeKind = iota
	changeSize              // data is not used, offset is the size
	changeSync              // of what came before begin
	changeName              // name is file's, and old is no more; without a file, name is gone
	changeDir               // a sync of the directory
	changeMarker            // something that the test wants to find
)

type fileChange struct {
	kind      changeKind
	file      *inode
	offset    int64
	data      []byte
	begin     int
	name, old string
}

func newRecorder() *recorder {
	return &recorder{names: make(map[string]*inode), handles: make(map[*os.File]*inode)}
}

// add keeps a change and returns its number.
func (r *recorder) add(c fileChange) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(c)
}

func (r *recorder) addLocked(c fileChange) int {
	r.changes = append(r.changes, c)
	return len(r.changes) - 1
}

func (r *recorder) opened(f *os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := filepath.Base(f.Name())
	file := r.names[name]
	if file == nil {
		file = &inode{len(r.changes)}
		r.names[name] = file
		r.addLocked(fileChange{kind: changeName, file: file, name: name})
	}
	r.handles[f] = file
}

// openedBolt sees that bbolt's writes are recorded, and its syncs: the one
// between the last page and the meta page, and the one behind it, which
// committed notes. A file that it has just made has been synced.
func (r *recorder) openedBolt(db *bolt.DB, f *os.File) {
	r.mu.Lock()
	file := r.handles[f]
	known := false
	for _, c := range r.changes {
		known = known || c.file == file && c.kind == changeWrite
	}
	r.mu.Unlock()
	if !known {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			panic(err)
		}
		r.wrote(f, b, 0)
		r.syncing(f)()
	}
	field := reflect.ValueOf(db).Elem().FieldByName("ops").FieldByName("writeAt")
	write := (*func([]byte, int64) (int, error))(unsafe.Pointer(field.UnsafeAddr()))
	original := *write
	pageSize := int64(db.Info().PageSize)
	*write = func(b []byte, offset int64) (int, error) {
		if offset < 2*pageSize && !db.NoSync {
			r.syncing(f)()
		}
		n, err := original(b, offset)
		r.wrote(f, b[:n], offset)
		return n, err
	}
}

func (r *recorder) committed(f *os.File) { r.syncing(f)() }

func (r *recorder) wrote(f *os.File, b []byte, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(fileChange{kind: changeWrite, file: r.handles[f], data: bytes.Clone(b), offset: offset})
}

func (r *recorder) resized(f *os.File, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(fileChange{kind: changeSize, file: r.handles[f], offset: size})
}

func (r *recorder) syncing(f *os.File) (synced func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, begin := r.handles[f], len(r.changes)
	return func() { r.add(fileChange{kind: changeSync, file: file, begin: begin}) }
}

func (r *recorder) renamed(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	r.names[to] = r.names[from]
	delete(r.names, from)
	r.addLocked(fileChange{kind: changeName, file: r.names[to], name: to, old: from})
}

func (r *recorder) linked(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	r.names[to] = r.names[from]
	r.addLocked(fileChange{kind: changeName, file: r.names[to], name: to})
}

func (r *recorder) removed(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = filepath.Base(name)
	delete(r.names, name)
	r.addLocked(fileChange{kind: changeName, name: name})
}

func (r *recorder) syncingDir(string) (synced func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin := len(r.changes)
	return func() { r.add(fileChange{kind: changeDir, begin: begin}) }
}

// mark keeps a moment and returns its number.
func (r *recorder) mark() int { return r.add(fileChange{kind: changeMarker}) }

// loss says what becomes of the changes that were not synced: none is lost if
// the process ends, any sector may be if the power does.
type loss struct {
	random *rand.Rand // nil if nothing is lost
	keep   float64    // how likely a sector has reached the disk
}

// write writes into dir the files as they are after the first changes.
func (r *recorder) write(dir string, changes int, l loss) error {
	done := r.changes[:changes]
	synced := make(map[*inode]int) // the changes of a file below that are on the disk
	named := 0
	for _, c := range done {
		switch c.kind {
		case changeSync:
			synced[c.file] = max(synced[c.file], c.begin)
		case changeDir:
			named = max(named, c.begin)
		}
	}
	names := make(map[string]*inode)
	later := 0
	for i, c := range done {
		if c.kind != changeName {
			continue
		}
		if i >= named && l.random != nil { // names come in order, up to some
			if later++; l.random.Float64() > l.keep {
				break
			}
		}
		if c.file == nil {
			delete(names, c.name)
			continue
		}
		names[c.name] = c.file
		if c.old != "" {
			delete(names, c.old)
		}
	}
	contents := make(map[*inode][]byte)
	for _, file := range names {
		contents[file] = nil
	}
	for i, c := range done {
		if _, ok := contents[c.file]; !ok {
			continue
		}
		certain := i < synced[c.file] || l.random == nil
		switch c.kind {
		case changeSize:
			if certain || l.random.Float64() < l.keep {
				contents[c.file] = resize(contents[c.file], int(c.offset))
			}
		case changeWrite:
			for at := 0; at < len(c.data); at += sectorSize {
				part := c.data[at:min(at+sectorSize, len(c.data))]
				if !certain && l.random.Float64() >= l.keep {
					continue
				}
				end := int(c.offset) + at + len(part)
				if len(contents[c.file]) < end {
					contents[c.file] = resize(contents[c.file], end)
				}
				copy(contents[c.file][int(c.offset)+at:], part)
			}
		}
	}
	for name, file := range names {
		if err := os.WriteFile(filepath.Join(dir, name), contents[file], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// resize cuts b to a size, or appends zeros up to it.
func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

const never = math.MaxInt

// span is when something was asked for and acknowledged, in changes.
type when struct{ asked, acked int }

// history is what a run has asked of a store.
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
func record(t *testing.T, mode Sync, random *rand.Rand) *history {
	t.Helper()
	h := &history{r: newRecorder(), jobs: make(map[uint64]*lived), extras: make(map[string][]extraLived)}
	dir := t.TempDir()
	open := func() *Store {
		// The test syncs, as the ticker would.
		s := openWith(t, Config{Dir: dir, Sync: mode, Interval: time.Hour, Skipped: func(what string, err error) { t.Errorf("set aside: %s: %v", what, err) }})
		s.files.watch = h.r
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
			err = s.settle()
		case k == 3:
			err = s.Compact(t.Context())
		case k == 4:
			err = s.Close()
			s = open()
		case k == 5:
			abandon(s) // a kill
			s = open()
		case k < 15 && mode == SyncInterval:
			w := when{asked: h.r.mark()}
			if err = s.sync(); err == nil {
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
func (h *history) durableTo(mode Sync, at int) int {
	if mode == SyncAlways {
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

// check opens an image of the moment after the first changes, and returns what
// is wrong with it.
func (h *history) check(t *testing.T, dir string, mode Sync, at int) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	to := h.durableTo(mode, at)
	s := openWith(t, Config{Dir: dir, Sync: mode, Skipped: func(what string, err error) {
		if mode == SyncAlways {
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
		if n > 0 && n < len(batch) && h.jobs[batch[0]].added.acked >= at && mode == SyncAlways {
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
	if kept := s.broken(); len(kept) > 0 {
		bad("the file was broken: %v", kept)
	}
	if len(errs) > 20 {
		errs = append(errs[:20], fmt.Errorf("and %d more", len(errs)-20))
	}
	return errors.Join(errs...)
}

// TestPowerLoss records what a store does to its files and replays it up to
// random moments. Of what had not been synced then, sectors are missing at
// random. Whatever was acknowledged, with SyncInterval before the last sync, is
// there, and nothing that was done comes back.
func TestPowerLoss(t *testing.T) {
	seed := *powerSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	runs, images := uint64(*powerRuns), *powerImages
	if testing.Short() {
		runs, images = 1, 8
	}
	for _, mode := range []Sync{SyncAlways, SyncInterval} {
		for run := range runs {
			t.Run(fmt.Sprint(mode, "/", seed+run), func(t *testing.T) {
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

// TestSalvageKilled kills a process at every step of the salvage of a broken
// file, and ends the machine there: what can be read is there after all.
func TestSalvageKilled(t *testing.T) {
	g := growFile(t)
	broken := bytes.Clone(g.file)
	m, err := readMeta(bytes.NewReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	clear(broken[int64(m.root)*m.pageSize:][:m.pageSize])
	r := newRecorder()
	dir := t.TempDir()
	prepared, err := os.Create(filepath.Join(dir, "queue.db"))
	if err != nil {
		t.Fatal(err)
	}
	r.opened(prepared)
	if _, err := prepared.Write(broken); err != nil {
		t.Fatal(err)
	}
	r.wrote(prepared, broken, 0)
	r.syncing(prepared)()
	r.syncingDir(dir)()
	_ = prepared.Close()
	first := r.mark()
	s := openWith(t, Config{Dir: dir})
	s.files.watch = r
	want := count(t, s)
	abandon(s)
	if want == 0 || len(s.broken()) != 1 {
		t.Fatalf("got %d jobs, set aside: %v", want, s.broken())
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
			if len(s.broken()) == 0 {
				t.Errorf("after change %d: the broken file is not kept", at)
			}
		}
	}
}
