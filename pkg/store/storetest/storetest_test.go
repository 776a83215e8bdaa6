package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"gm/pkg/store"
)

// TestSuite runs the suite on a store that is right by its simplicity, once
// with all that a store can promise and once with nothing.
func TestSuite(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		Run(t, func(*testing.T) Place {
			d := newData()
			return Place{
				Open: func(testing.TB) store.Store {
					return &full{plain{d: d, caps: store.Caps{Durable: true, Atomic: true, Lists: true}}}
				},
				Crash: func(_ testing.TB, s store.Store) { _ = s.Close() },
				Fail: func(_ testing.TB, s store.Store) func() {
					d.set(func() { d.fail = errors.New("told to fail") })
					return func() { d.set(func() { d.fail = nil }) }
				},
				Size:   func(testing.TB) int64 { return 0 },
				Verify: func(testing.TB) {},
			}
		})
	})
	t.Run("nothing", func(t *testing.T) {
		Run(t, func(*testing.T) Place {
			return Place{Open: func(testing.TB) store.Store { return store.Memory{} }}
		})
	})
	t.Run("bounded", func(t *testing.T) {
		Run(t, func(*testing.T) Place {
			d := newData()
			caps := store.Caps{Durable: true, Lists: true, MaxPayload: 1 << 20, MaxValue: 1 << 20, MaxKey: 200, MaxName: 255}
			return Place{Open: func(testing.TB) store.Store { return &plain{d: d, caps: caps} }}
		})
	})
}

// data outlives the stores that are opened on it.
type data struct {
	mu     sync.Mutex
	jobs   map[uint64]store.Record
	extras map[string][]byte
	fail   error
	holder any
	name   string
}

func newData() *data {
	return &data{jobs: make(map[uint64]store.Record), extras: make(map[string][]byte)}
}

func (d *data) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// plain is a store without capabilities.
type plain struct {
	d    *data
	caps store.Caps
}

func (s *plain) Caps() store.Caps { return s.caps }

func (s *plain) Close() error { return nil }

func (s *plain) Commit(ctx context.Context, batch []store.Op) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.fail != nil {
		return s.d.fail
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.caps.RefuseBatch(batch); err != nil {
		return err
	}
	for _, op := range batch {
		switch op.Kind {
		case store.Add:
			j := *op.Record
			j.Payload = bytes.Clone(j.Payload)
			s.d.jobs[j.Seq] = j
		case store.Done:
			delete(s.d.jobs, op.Record.Seq)
		case store.Update:
			if j, ok := s.d.jobs[op.Record.Seq]; ok {
				j.Attempts, j.RunAt = op.Record.Attempts, op.Record.RunAt
				s.d.jobs[j.Seq] = j
			}
		case store.Put:
			s.d.extras[op.Key] = bytes.Clone(op.Value)
		case store.Delete:
			delete(s.d.extras, op.Key)
		}
	}
	return nil
}

func (s *plain) Replay(ctx context.Context, f func(*store.Record) error) error {
	s.d.mu.Lock()
	jobs := maps.Clone(s.d.jobs)
	s.d.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(jobs)) {
		j := jobs[seq]
		j.Payload = bytes.Clone(j.Payload)
		if err := f(&j); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (s *plain) Extras(_ context.Context, prefix string, f func(string, []byte) error) error {
	for key, value := range s.d.extras {
		if strings.HasPrefix(key, prefix) {
			if err := f(key, bytes.Clone(value)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *plain) Extra(_ context.Context, key string) ([]byte, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	value, ok := s.d.extras[key]
	if !ok {
		return nil, store.ErrNotFound
	}
	return bytes.Clone(value), nil
}

// full is a store with all capabilities.
type full struct{ plain }

func (s *full) ReadPayload(_ context.Context, r *store.Record) ([]byte, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	j, ok := s.d.jobs[r.Seq]
	if !ok {
		return nil, store.ErrNotFound
	}
	return bytes.Clone(j.Payload), nil
}

func (s *full) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.Replay(ctx, func(r *store.Record) error {
		size := len(r.Payload)
		r.Payload = nil
		return f(r, size)
	})
}

func (s *full) TryLock(_ context.Context, name string) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.d.holder != nil && s.d.holder != s {
		return &store.HeldError{By: s.d.name}
	}
	s.d.holder, s.d.name = s, name
	return nil
}

func (s *full) Lost() <-chan struct{} { return nil }

func (s *full) Close() error {
	s.d.set(func() {
		if s.d.holder == s {
			s.d.holder = nil
		}
	})
	return nil
}

func (s *full) Compact(context.Context) error { return nil }

func (s *full) Check(context.Context, func(string)) error { return nil }

// echo starts a server that sends back all bytes that it gets, and returns its
// address.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	p := StartProxy(t, echo(t))
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// say sends text and returns how much comes back before an error.
	say := func(c net.Conn, text string) (string, error) {
		if _, err := io.WriteString(c, text); err != nil {
			return "", err
		}
		b := make([]byte, len(text))
		n, err := io.ReadFull(c, b)
		return string(b[:n]), err
	}
	wantEcho := func(c net.Conn) {
		t.Helper()
		if got, err := say(c, "hello"); err != nil || got != "hello" {
			t.Fatalf("got %q, %v, want hello", got, err)
		}
	}

	c := dial()
	wantEcho(c)
	p.Cut()
	if got, err := say(c, "hello"); err == nil {
		t.Errorf("after Cut: got %q, want an error", got)
	}

	c = dial()
	wantEcho(c)
	p.CutAfter(ToClient, 7)
	wantEcho(c)
	if got, err := say(c, "hello"); err == nil || len(got) > 2 {
		t.Errorf("after CutAfter to the client: got %q, %v, want at most he and an error", got, err)
	}

	c = dial()
	p.CutAfter(ToServer, 5)
	wantEcho(c)
	if got, err := say(c, "hello"); err == nil {
		t.Errorf("after CutAfter to the server: got %q, want an error", got)
	}

	c = dial()
	p.LoseAnswerTo([]byte("COMMIT"))
	wantEcho(c)
	if got, err := say(c, "begin COM"); err != nil {
		t.Errorf("before the mark is whole: got %q, %v", got, err)
	}
	if got, err := say(c, "MIT"); err == nil || got != "" {
		t.Errorf("answer to the mark: got %q, %v, want none", got, err)
	}

	// A hit is of one operation; another connection goes on.
	c = dial()
	p.Hit(ToServer, []byte("COMMIT"), CutOff)
	wantEcho(c)
	if got, err := say(c, "begin COM"); err != nil || p.Hits() != 0 {
		t.Errorf("before the mark is whole: got %q, %v, %d hits", got, err, p.Hits())
	}
	if got, err := say(c, "MIT"); err == nil || p.Hits() != 1 {
		t.Errorf("after the mark: got %q, %v, %d hits, want an error and 1", got, err, p.Hits())
	}
	c = dial()
	other := dial()
	wantEcho(other)
	p.Hit(ToClient, []byte("swallowed"), Swallow)
	swallowed := make(chan string, 1)
	go func() {
		got, _ := say(c, "swallowed")
		swallowed <- got
	}()
	eventually(t, "hit", func() bool { return p.Hits() == 2 })
	wantEcho(other)
	p.Resume()
	if got := <-swallowed; got != "swallowed" {
		t.Errorf("after Resume: got %q", got)
	}
	p.Hit(ToServer, []byte("held"), Hold)
	if got, err := say(other, "held"); got != "held" || err != nil || p.Hits() != 3 {
		t.Errorf("held: got %q, %v, %d hits", got, err, p.Hits())
	}

	p.Refuse(true)
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // else it was reset at once
		if got, err := say(c, "hello"); err == nil {
			t.Errorf("while refusing: got %q, want an error", got)
		}
		_ = c.Close()
	}
	p.Refuse(false)

	c = dial()
	wantEcho(c)
	p.Stall()
	answered := make(chan error, 1)
	go func() {
		_, err := say(c, "hello")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("while stalled: got an answer, %v", err)
	default:
	}
	p.Resume()
	if err := <-answered; err != nil {
		t.Errorf("after Resume: %v", err)
	}
}
