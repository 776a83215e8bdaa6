package server

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/store"
)

// promise is a completion value of these tests: it waits for an Add, or for
// operations given by name, or only for its batch.
type promise struct {
	name string
	seq  uint64
	ops  []string
}

// testJournal is a journal with a fake store and an owner that writes down what
// it is given.
type testJournal struct {
	*journal[promise]
	t      *testing.T
	began  time.Time
	lock   sync.Mutex
	closed chan struct{}

	commit  func(ctx context.Context, ops []store.Op) error // nil takes everything
	batches []string                                        // those that commit has taken
	tries   []int64                                         // the times of all Commits but probes, in milliseconds
	given   []string                                        // completions with their errors
	log     []string
}

const commitLimit = time.Second

// newTestJournal starts a journal. It ends with the test.
func newTestJournal(t *testing.T, commit func(ctx context.Context, ops []store.Op) error) *testJournal {
	b := &testJournal{t: t, began: time.Now(), closed: make(chan struct{}), commit: commit}
	b.journal = newJournal(journalConfig[promise]{
		owner: b, mu: &b.lock, store: journalStore{b: b}, name: "fake", limit: commitLimit, quit: b.closed,
	})
	go b.runCommits()
	return b
}

// end stops the journal.
func (b *testJournal) end() {
	close(b.closed)
	b.stopCommits()
}

// do changes the journal in one turn.
func (b *testJournal) do(f func()) {
	b.lock.Lock()
	f()
	b.endTurn()
}

// add adds jobs in one turn.
func (b *testJournal) add(seqs ...uint64) {
	b.do(func() {
		for _, seq := range seqs {
			b.makeRoom(opCost)
			b.appendAdd(&store.Record{Seq: seq, Function: "f"}, promise{name: fmt.Sprint("add ", seq), seq: seq})
		}
	})
}

// finish appends the Done of a job.
func (b *testJournal) finish(seq uint64) { b.appendRecord(store.Done, &store.Record{Seq: seq}) }

// want compares what was given since the last call.
func (b *testJournal) want(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.lock.Lock()
	defer b.lock.Unlock()
	if !slices.Equal(b.given, want) {
		b.t.Errorf("given %q, want %q", b.given, want)
	}
	b.given = nil
}

// wantStored compares the batches that were stored since the last call.
func (b *testJournal) wantStored(want ...string) {
	b.t.Helper()
	synctest.Wait()
	b.lock.Lock()
	defer b.lock.Unlock()
	if !slices.Equal(b.batches, want) {
		b.t.Errorf("stored %q, want %q", b.batches, want)
	}
	b.batches = nil
}

// logged returns how many lines of the log contain text.
func (b *testJournal) logged(text string) (n int) {
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, line := range b.log {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (b *testJournal) complete(done []promise, out *outcome) {
	for _, p := range done {
		err := out.store
		switch {
		case p.seq != 0:
			err = out.ofAdd(p.seq)
		case p.ops != nil:
			err = out.ofOps(p.ops)
		}
		b.given = append(b.given, fmt.Sprintf("%s: %v", p.name, err))
	}
}

func (b *testJournal) completeLasting(done []promise) {
	for _, p := range done {
		b.given = append(b.given, p.name)
	}
}

func (b *testJournal) readTime() int64 { return time.Now().UnixMilli() }

func (b *testJournal) logAfterTurn(level slog.Level, msg string, attrs ...slog.Attr) {
	b.log = append(b.log, fmt.Sprint(level, " ", msg, " ", attrs))
}

func (b *testJournal) endTurn() {
	b.wakeRun()
	b.lock.Unlock()
}

func (b *testJournal) endTurnAside() { b.endTurn() }

func (b *testJournal) shorten(op *store.Op) bool {
	if !b.isResult(op) || len(op.Value) <= len("note") {
		return false
	}
	op.Value = []byte("note")
	return true
}

func (b *testJournal) isResult(op *store.Op) bool {
	return op.Kind == store.Put && strings.HasPrefix(op.Key, "result/")
}

func (b *testJournal) heirKey(seq uint64) string { return fmt.Sprint("heir/", seq) }

// journalStore is the store of a testJournal. It takes every probe.
type journalStore struct {
	store.Memory
	b *testJournal
}

func (s journalStore) Commit(ctx context.Context, ops []store.Op) error {
	var names []string
	for i := range ops {
		names = append(names, opName(&ops[i]))
	}
	if !isProbe(ops) {
		s.b.lock.Lock()
		s.b.tries = append(s.b.tries, time.Since(s.b.began).Milliseconds())
		s.b.lock.Unlock()
	}
	if s.b.commit != nil {
		if err := s.b.commit(ctx, ops); err != nil {
			return err
		}
	}
	if isProbe(ops) {
		return nil
	}
	s.b.lock.Lock()
	s.b.batches = append(s.b.batches, strings.Join(names, ", "))
	s.b.lock.Unlock()
	return nil
}

func (s journalStore) Caps() store.Caps { return store.Caps{MaxValue: 100} }

// isProbe reports whether a Commit only asks whether the store works.
func isProbe(ops []store.Op) bool { return len(ops) == 1 && ops[0].Key == probeKey }

// Operations gather while the store works on a batch, and are the next one.
func TestJournalGathersWhileStoreIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestJournal(t, func(context.Context, []store.Op) error {
			time.Sleep(commitLimit - time.Millisecond) // slow, and in time
			return nil
		})
		defer b.end()
		b.add(1)
		synctest.Wait()
		b.add(2, 3)
		b.do(func() {
			b.finish(9)
			b.attach(promise{name: "turn"})
		})
		b.want()
		time.Sleep(commitLimit)
		b.want("add 1: <nil>")
		time.Sleep(commitLimit)
		b.want("add 2: <nil>", "add 3: <nil>", "turn: <nil>")
		b.wantStored("add 1", "add 2, add 3, done 9")
	})
}

// A batch has at most maxBatchOps operations and maxBatchBytes bytes, except that
// one operation may be larger.
func TestJournalBoundsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most, largest, jobs := 0, 0, 0
		b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
			size := 0
			for i := range ops {
				size += opSize(&ops[i])
			}
			if jobs += len(ops); len(ops) > 1 {
				most, largest = max(most, len(ops)), max(largest, size)
			}
			return nil
		})
		const small, large = 2*maxBatchOps + 5, 20
		payload := make([]byte, 1<<20)
		b.do(func() {
			for seq := range uint64(small + large) {
				r := &store.Record{Seq: seq + 1}
				if seq >= small {
					r.Payload = payload
				}
				b.makeRoom(opCost + len(r.Payload))
				b.appendAdd(r, promise{name: "job", seq: seq + 1})
			}
			b.makeRoom(2 * maxBatchBytes)
			b.appendAdd(&store.Record{Seq: 1 << 20, Payload: make([]byte, 2*maxBatchBytes)}, promise{name: "huge", seq: 1 << 20})
		})
		b.end()
		if jobs != small+large+1 || most != maxBatchOps || largest > maxBatchBytes {
			t.Errorf("%d jobs in batches of %d operations and %d bytes, want %d, %d and at most %d",
				jobs, most, largest, small+large+1, maxBatchOps, maxBatchBytes)
		}
		if got := len(b.given); got != small+large+1 {
			t.Errorf("%d completions, want %d", got, small+large+1)
		}
	})
}

// A batch with one operation that the store does not take is split: only that
// operation fails, however the store says so.
func TestJournalSplitsRefusedBatch(t *testing.T) {
	bad := errors.New("bad")
	for name, refuse := range map[string]func(i int) error{
		"its place": func(i int) error { return &store.RefusedError{Index: i, Err: bad} },
		"no place":  func(int) error { return &store.RefusedError{Index: -1, Err: bad} },
		"any error": func(int) error { return bad },
		"panic":     func(int) error { panic(bad) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
					for i := range ops {
						if r := ops[i].Record; r != nil && r.Seq == 3 {
							return refuse(i)
						}
					}
					return nil
				})
				b.add(1, 2, 3, 4, 5)
				b.do(func() {
					since := b.position()
					b.put("setting", nil)
					b.attach(promise{name: "setting", ops: b.namesSince(since)})
				})
				synctest.Wait()
				for i, got := range b.given {
					if isBad := i == 2; strings.HasSuffix(got, ": <nil>") == isBad {
						t.Errorf("completion %d: %s", i, got)
					}
				}
				if len(b.given) != 6 {
					t.Errorf("given %q, want 6 completions", b.given)
				}
				if got := strings.Join(b.batches, ", "); got != "add 1, add 2, add 4, add 5, put setting" {
					t.Errorf("stored %s", got)
				}
				b.end()
			})
		})
	}
}

// An operation that is no Add and that the store refuses is tried giveUp times,
// or once if the store says that it never takes it. It holds up nothing else.
func TestJournalLeavesRefusedOperationOut(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		tries int
	}{
		"any error": {errors.New("bad"), giveUp},
		"refused":   {&store.RefusedError{Index: -1, Err: errors.New("bad")}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
					if slices.ContainsFunc(ops, func(op store.Op) bool { return op.Key == "setting" }) {
						return tc.err
					}
					return nil
				})
				defer b.end()
				b.do(func() {
					since := b.position()
					b.put("setting", []byte("x"))
					b.attach(promise{name: "setting", ops: b.namesSince(since)})
				})
				b.want("setting: " + tc.err.Error())
				b.add(1)
				time.Sleep(retryCommit)
				b.want("add 1: <nil>")
				time.Sleep(time.Minute)
				const line = "left out of the store"
				if n := b.logged(line); n != 1 || len(b.rest) != 0 {
					t.Errorf("%d lines %q and %d operations kept, want one line and none", n, line, len(b.rest))
				}
				if n := len(b.tries) - 1; n != tc.tries { // one is that of the Add
					t.Errorf("%d tries, want %d", n, tc.tries)
				}
				b.wantStored("add 1")
			})
		})
	}
}

// A failed batch refuses its Adds. Its other operations are tried every
// retryCommit, before what comes later, and then its lasting completions are given
// back.
func TestJournalRetriesRestOfFailedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
			if time.Since(began) < 3*retryCommit {
				return errors.New("away")
			}
			return nil
		})
		defer b.end()
		b.do(func() {
			b.appendAdd(&store.Record{Seq: 1}, promise{name: "add 1", seq: 1})
			b.finish(7)
			b.attachLasting(b.heirKey(7), promise{name: "dead 7"})
		})
		b.want("add 1: away")
		time.Sleep(retryCommit + retryCommit/2)
		b.want()
		b.add(2)
		time.Sleep(retryCommit)
		b.want("add 2: away")
		b.add(3)
		time.Sleep(retryCommit)
		b.want("dead 7", "add 3: <nil>")
		b.wantStored("done 7, add 3")
		b.add(4)
		b.want("add 4: <nil>")
		b.wantStored("add 4")
		if want := []int64{0, 100, 200, 300, 350}; !slices.Equal(b.tries, want) {
			t.Errorf("batches at %d ms, want %d", b.tries, want)
		}
		if fails, works := b.logged("store fails"), b.logged("store works again"); fails != 1 || works != 1 {
			t.Errorf("logged %d times that it fails and %d that it works, want once each", fails, works)
		}
	})
}

// A store that neither takes a batch nor gives it up has all completions refused
// after the limit and hangGrace. If it takes the batch after all, the Adds are
// undone before anything else is stored.
func TestJournalGivesUpHangingStore(t *testing.T) {
	for name, late := range map[string]error{"stored after all": nil, "failed after all": errors.New("broken")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release, hangs := make(chan struct{}), true
				b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
					if !hangs || isProbe(ops) {
						return nil
					}
					<-release // does not heed its context
					hangs = false
					return late
				})
				defer b.end()
				b.add(1)
				synctest.Wait()
				b.add(2)
				b.do(func() { b.finish(9) })
				time.Sleep(commitLimit + hangGrace - time.Millisecond)
				b.want()
				time.Sleep(time.Millisecond)
				refused := ": store fake has not answered for 1s"
				b.want("add 1"+refused, "add 2"+refused)
				if b.stuck == nil {
					t.Error("the journal does not say that the store hangs")
				}
				close(release)
				time.Sleep(retryCommit)
				b.want()
				if late == nil {
					b.wantStored("add 1", "done 1, done 9")
				} else {
					b.wantStored("done 9")
				}
				if b.stuck != nil {
					t.Errorf("the journal still says: %v", b.stuck)
				}
				b.add(3)
				b.want("add 3: <nil>")
				b.wantStored("add 3")
			})
		})
	}
}

// A full store takes the ends of jobs, which free room, before Puts. The end of a
// job and the extra into which the job turns stay together.
func TestJournalFreesRoomInFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room atomic.Bool
		b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
			if !room.Load() && slices.ContainsFunc(ops, func(op store.Op) bool { return op.Kind == store.Put || op.Kind == store.Add }) {
				return store.ErrFull
			}
			return nil
		})
		defer b.end()
		b.do(func() {
			b.put("heir/5", []byte("dead"))
			b.finish(5)
			b.put("result/6", []byte("long result"))
			b.finish(6)
			b.appendAdd(&store.Record{Seq: 7}, promise{name: "add 7", seq: 7})
		})
		b.want("add 7: store full")
		b.wantStored("done 6")
		// Then the result is a note. There is room between two tries, so that the
		// first try with room is the one of the oldest operations.
		time.Sleep(2*roomPatience + retryCommit/2)
		room.Store(true)
		time.Sleep(2 * retryCommit)
		synctest.Wait()
		if got := strings.Join(b.batches, ", "); got != "put heir/5, done 5, put result/6" {
			t.Errorf("stored %s", got)
		}
		if n := b.logged("results are stored without their bytes"); n != 1 {
			t.Errorf("%d lines about shortened results, want 1", n)
		}
	})
}

// A value over the limit of the store is shortened if it can be, and left out if
// not; neither gets to the store.
func TestJournalShortensLargeValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestJournal(t, func(_ context.Context, ops []store.Op) error {
			for i := range ops {
				if len(ops[i].Value) > 100 {
					t.Errorf("%s has %d bytes", opName(&ops[i]), len(ops[i].Value))
				}
			}
			return nil
		})
		large := make([]byte, 101)
		b.do(func() {
			b.put("result/1", large)
			b.put("setting", large)
			b.delete("other")
		})
		b.wantStored("put result/1, delete other")
		b.end()
		if short, left := b.logged("stored without its bytes"), b.logged("left out of the store"); short != 1 || left != 1 {
			t.Errorf("%d shortened and %d left out, want 1 each", short, left)
		}
	})
}

// stopCommits commits what has gathered. If the store hangs, it returns in bounded time
// and refuses all completions.
func TestJournalStops(t *testing.T) {
	t.Run("store works", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newTestJournal(t, func(context.Context, []store.Op) error {
				time.Sleep(time.Millisecond)
				return nil
			})
			b.add(1)
			synctest.Wait()
			b.add(2)
			b.end()
			b.want("add 1: <nil>", "add 2: <nil>")
		})
	})
	t.Run("store fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newTestJournal(t, func(context.Context, []store.Op) error { return errors.New("away") })
			b.do(func() {
				b.appendAdd(&store.Record{Seq: 1}, promise{name: "add 1", seq: 1})
				b.finish(2)
			})
			b.end()
			b.want("add 1: away")
			if b.logged("the store does not have the last changes; ended jobs may run again") != 1 {
				t.Errorf("the log does not name the lost operation: %q", b.log)
			}
		})
	})
	t.Run("store hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			b := newTestJournal(t, func(context.Context, []store.Op) error {
				<-release
				return nil
			})
			b.limit = time.Hour
			b.add(1)
			synctest.Wait()
			b.add(2)
			began := time.Now()
			b.end()
			if took := time.Since(began); took != storeGrace+hangGrace {
				t.Errorf("stopCommits took %v, want %v", took, storeGrace+hangGrace)
			}
			refused := ": store fake does not answer: server closed"
			b.want("add 1"+refused, "add 2"+refused)
			close(release)
			<-b.ended
		})
	})
}

// The journal knows operations and a store: its files import no other package of
// gm, and name neither a connection nor the server.
func TestJournalKnowsOnlyStore(t *testing.T) {
	files, err := filepath.Glob("journal*.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files of the journal: %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, "gm/") && path != "gm/pkg/store" {
				t.Errorf("%s imports %s", file, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && slices.Contains([]string{"conn", "Server", "committer", "completion", "reply"}, id.Name) {
				t.Errorf("%s names %s", file, id.Name)
			}
			return true
		})
	}
}
