package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"gm/pkg/store"
)

// readPayload returns the payload of the job that add adds.
func readPayload(r *fixture, reader store.Reader, add store.Op) ([]byte, error) {
	j := add.Record
	return reader.ReadPayload(r.ctx, &store.Record{Seq: j.Seq, Function: j.Function, Unique: j.Unique})
}

func testReadPayload(r *fixture) {
	reader, ok := r.s.(store.Reader)
	if !ok {
		return
	}
	var adds []store.Op
	for i, name := range awkward {
		adds = append(adds, r.job(name, name, payload(i*97)), r.job(name, "", payload(i)), r.job("f", name+"x", nil))
	}
	adds = append(adds, r.job("f", string(bytes.Repeat([]byte("u"), 255)), payload(1<<20)))
	r.commit(adds...)
	read := func() {
		r.t.Helper()
		for _, op := range adds {
			want, there := r.jobs[op.Record.Seq]
			got, err := readPayload(r, reader, op)
			switch {
			case !there && !errors.Is(err, store.ErrNotFound):
				r.t.Errorf("payload of a job that is done: got %v, want %v", err, store.ErrNotFound)
			case there && (err != nil || !bytes.Equal(got, want.Payload)):
				r.t.Errorf("payload of %s: got %s, %v, want %s", describe(op.Record), brief(got), err, brief(want.Payload))
			}
			clear(got) // it is ours
		}
	}
	read()
	read()
	for i, op := range adds {
		if i%2 == 0 {
			r.commit(done(op))
		} else {
			r.commit(update(op, i, int64(i)))
		}
	}
	read()
	if !r.lists() {
		return
	}
	r.check()
	reader = r.s.(store.Reader)
	read()
}

// testReadConcurrently reads payloads while jobs come and go.
func testReadConcurrently(r *fixture) {
	reader, ok := r.s.(store.Reader)
	if !ok {
		return
	}
	const jobs, step, stay = 400, 4, 100
	var all []store.Op
	for i := range jobs {
		all = append(all, r.job("f", fmt.Sprint("u", i), payload(i*37%9000)))
	}
	r.commit(all[:step]...)
	crowd := crowd{fixture: r, reader: reader, adds: all[:step], gone: make(map[uint64]bool)}
	func() {
		end := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(end)
		for i := range 4 {
			wg.Go(func() { crowd.readPayloads(rand.New(rand.NewPCG(1, uint64(i))), end) })
		}
		for i := step; i < jobs; i += step {
			r.commit(all[i : i+step]...)
			crowd.added(all[:i+step])
			if i >= stay {
				crowd.going(all[i-stay])
				r.commit(done(all[i-stay]))
			}
		}
	}()
	r.check()
}

// crowd is several readers and the jobs they may find.
type crowd struct {
	*fixture
	reader store.Reader

	mu   sync.Mutex
	adds []store.Op      // of all jobs that are or were in the store
	gone map[uint64]bool // jobs that the store may have forgotten
}

func (c *crowd) added(adds []store.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.adds = adds
}

func (c *crowd) going(add store.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[add.Record.Seq] = true
}

// readPayloads reads payloads of random jobs until end is closed.
func (c *crowd) readPayloads(random *rand.Rand, end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		default:
		}
		c.mu.Lock()
		op := c.adds[random.IntN(len(c.adds))]
		c.mu.Unlock()
		got, err := readPayload(c.fixture, c.reader, op)
		c.mu.Lock()
		gone := c.gone[op.Record.Seq]
		c.mu.Unlock()
		right := err == nil && bytes.Equal(got, op.Record.Payload)
		if !right && !(gone && errors.Is(err, store.ErrNotFound)) {
			c.t.Errorf("payload of %s: got %s, %v, want %s", describe(op.Record), brief(got), err, brief(op.Record.Payload))
			return
		}
	}
}

// testLastSeq checks the highest number of a store. For an empty store it may
// be 0 or an earlier number.
func testLastSeq(r *fixture) {
	numbered, ok := r.s.(store.Numbered)
	if !ok {
		return
	}
	if _, err := numbered.LastSeq(r.ctx); err != nil {
		r.t.Errorf("last number of an empty store: %v", err)
	}
	last, first := r.job("numbers", "last", nil), r.job("numbers", "first", nil)
	last.Record.Seq += 1 << 40
	r.commit(last)
	r.commit(first)
	if got, err := numbered.LastSeq(r.ctx); got != last.Record.Seq || err != nil {
		r.t.Errorf("last number: got %d, %v, want %d", got, err, last.Record.Seq)
	}
}

// testReplayWhileCommitting adds and ends jobs while the store is read, as a
// server does during its start.
func testReplayWhileCommitting(r *fixture) {
	if !r.lists() {
		return
	}
	var before []store.Op
	for i := range 300 {
		before = append(before, r.job("f", fmt.Sprint("before", i), payload(i)))
	}
	r.commit(before...)
	var meanwhile []store.Op
	for i := range 100 {
		meanwhile = append(meanwhile, r.job("f", fmt.Sprint("meanwhile", i), payload(i)), done(before[3*i]))
	}
	committed := make(chan error, 1)
	seen := make(map[uint64]bool)
	last := uint64(0)
	err := r.s.Replay(r.ctx, func(got *store.Record) error {
		if len(seen) == 0 {
			go func() { committed <- r.s.Commit(r.ctx, meanwhile) }()
		}
		if got.Seq <= last {
			r.t.Errorf("seq %d after %d", got.Seq, last)
		}
		last, seen[got.Seq] = got.Seq, true
		return nil
	})
	if err != nil {
		r.t.Fatalf("replay: %v", err)
	}
	if err := <-committed; err != nil {
		r.t.Fatalf("commit: %v", err)
	}
	for i, op := range before {
		if i%3 != 0 && !seen[op.Record.Seq] {
			r.t.Errorf("replay left out %s", describe(op.Record))
		}
	}
	r.expect(meanwhile)
	r.check()
}
