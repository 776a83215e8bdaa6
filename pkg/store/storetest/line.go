package storetest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"gm/pkg/store"
)

// Network is a server with a store's data, and the means of RunNetwork to
// disturb it and its connections.
type Network struct {
	// Addr is the server's address as host:port.
	Addr string
	// Open opens the store whose server is at addr: Addr, or a Proxy's.
	Open func(t testing.TB, addr string) store.Store
	// TryOpen is Open with a context, for a server that does not answer. Only
	// RunReading needs it.
	TryOpen func(ctx context.Context, addr string) (store.Store, error)
	// Mark returns the form on the wire of s, a few letters of a payload. If
	// Mark is nil, the form is s itself.
	Mark func(s string) []byte
	// Kill kills the server as a crash would, and Start starts it again with
	// its data. They are nil if a crash needs no test.
	Kill  func()
	Start func(t testing.TB)
}

// lineTest is a test of a store across a network.
type lineTest struct {
	name string
	run  func(*line)
}

// runLineTests runs tests, each with a place and a proxy of its own.
func runLineTests(t *testing.T, f func(t *testing.T) Network, tests []lineTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := f(t)
			l := &line{Network: n, proxy: StartProxy(t, n.Addr)}
			l.fixture = newFixture(t, Place{Open: func(t testing.TB) store.Store { return n.Open(t, l.proxy.Addr()) }})
			test.run(l)
			l.close()
		})
	}
}

// line is a fixture whose connections go through a proxy.
type line struct {
	*fixture
	Network
	proxy *Proxy
}

// batch returns the Adds of n new jobs.
func (l *line) batch(n int, payload []byte) (batch []store.Op) {
	for i := range n {
		unique := ""
		if i%2 == 0 {
			unique = fmt.Sprint("unique", l.seq)
		}
		batch = append(batch, l.job("f", unique, payload))
	}
	return batch
}

// recover commits one job as soon as the store works.
func (l *line) recover() {
	l.t.Helper()
	eventually(l.t, "commit after the loss", func() bool {
		batch := l.batch(1, []byte("after"))
		err := l.s.Commit(l.ctx, batch)
		if err == nil {
			l.expect(batch)
		}
		return err == nil
	})
}

// reopen checks the contents of the store without the proxy.
func (l *line) reopen() {
	l.t.Helper()
	l.close()
	l.s = l.Open(l.t, l.Addr)
	l.compare()
}

// again commits batch as soon as the store works.
func (l *line) again(batch []store.Op) {
	l.t.Helper()
	if len(batch) == 0 {
		return
	}
	eventually(l.t, "commit again", func() bool { return l.s.Commit(l.ctx, batch) == nil })
	l.expect(batch)
}

// fill commits jobs and extras of several hundred kilobytes in all.
func (l *line) fill() {
	for i := range 8 {
		var batch []store.Op
		for n := range 50 {
			batch = append(batch, l.job("f", fmt.Sprint("u", i, n), payload(1000)), put(fmt.Sprint("key/", i, n), payload(200)))
		}
		l.commit(batch...)
	}
}

// readAll calls every method that reads the whole store, and returns the first
// error.
func (l *line) readAll() error {
	jobs, extras := 0, 0
	err := l.s.Replay(l.ctx, func(j *store.Record) error {
		jobs++
		if want, ok := l.jobs[j.Seq]; !ok || !bytes.Equal(want.Payload, j.Payload) {
			l.t.Errorf("replay: job %d: got %s, want %s", j.Seq, brief(j.Payload), brief(want.Payload))
		}
		return nil
	})
	if err == nil && jobs != len(l.jobs) {
		l.t.Errorf("replay without an error: got %d jobs, want %d", jobs, len(l.jobs))
	}
	if err != nil {
		return err
	}
	err = l.s.Extras(l.ctx, "", func(key string, value []byte) error {
		extras++
		if want := l.extras[key]; !bytes.Equal(value, want) {
			l.t.Errorf("extras: %q: got %s, want %s", key, brief(value), brief(want))
		}
		return nil
	})
	if err == nil && extras != len(l.extras) {
		l.t.Errorf("extras without an error: got %d, want %d", extras, len(l.extras))
	}
	if err != nil {
		return err
	}
	reader, ok := l.s.(store.Reader)
	if !ok {
		return nil
	}
	heads := 0
	err = reader.ReplayHeads(l.ctx, func(*store.Record, int) error { heads++; return nil })
	if err == nil && heads != len(l.jobs) {
		l.t.Errorf("replay of heads without an error: got %d jobs, want %d", heads, len(l.jobs))
	}
	return err
}

// within checks that f returns in time for any context.
func (l *line) within(what string, limit time.Duration, f func(context.Context)) {
	l.t.Helper()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	go func() {
		defer close(done)
		f(ctx)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		l.t.Errorf("%s: not back after %v", what, limit)
		l.proxy.Resume()
		cancel()
		<-done
	}
}
