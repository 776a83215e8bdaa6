package gearman

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"gm/pkg/wire"
)

// spreadClient is a client that spreads its tasks over fakes, and does not come
// back to one that it has lost.
func spreadClient(t *testing.T, fakes ...*fake) *Client {
	o := Options{Spread: true, MinBackoff: time.Hour, MaxBackoff: time.Hour}
	for _, f := range fakes {
		o.Servers = append(o.Servers, f.Server)
	}
	return testClient(t, o)
}

// take reads a submission and accepts it.
func (p *peer) take(handle string) {
	p.t.Helper()
	if typ, _ := p.read(); typ != wire.SubmitJob {
		p.t.Fatalf("got %v, want %v", typ, wire.SubmitJob)
	}
	p.send(wire.JobCreated, handle)
}

// Tasks that have not ended lie evenly on the servers; where one is done sooner,
// it gets more.
func TestSpread(t *testing.T) {
	fakes := []*fake{newFake(t), newFake(t), newFake(t)}
	c := spreadClient(t, fakes...)
	var running []*Running
	for range 9 {
		running = append(running, startAsync(t, c, &Task{Function: "f"}))
	}
	var peers []*peer
	for i, f := range fakes {
		p := f.acceptClient()
		for n := range 3 {
			p.take(fmt.Sprint("H:", i, ":", n))
		}
		peers = append(peers, p)
	}
	for n := range 3 {
		peers[1].send(wire.WorkComplete, fmt.Sprint("H:1:", n), "")
	}
	done := 0
	for _, r := range running {
		if r.Server() == fakes[1].Server {
			if _, err := end(t, r); err != nil {
				t.Error(err)
			}
			done++
		}
	}
	if done != 3 {
		t.Fatalf("got %d tasks on the second server, want 3", done)
	}
	for range 3 {
		startAsync(t, c, &Task{Function: "f"})
	}
	for n := range 3 {
		peers[1].take(fmt.Sprint("H:1:", 3+n))
	}
}

// Tasks that are lost with a server, or never reached it, go to the other servers. So
// does its share until it is back.
func TestSpreadOverTheRest(t *testing.T) {
	fakes := []*fake{newFake(t), newFake(t), newFake(t)}
	fakes[0].listener.Close()
	c := spreadClient(t, fakes...)
	for range 8 {
		startAsync(t, c, &Task{Function: "f"})
	}
	second, third := fakes[1].acceptClient(), fakes[2].acceptClient()
	for n := range 4 {
		second.take("H:1:" + strconv.Itoa(n))
		third.take("H:2:" + strconv.Itoa(n))
	}
	second.close()
	waitFor(t, "the loss", func() bool { return c.servers[1].load.Load() == 0 })
	for range 3 {
		startAsync(t, c, &Task{Function: "f"})
	}
	for n := range 3 {
		third.take("H:2:" + strconv.Itoa(4+n))
	}
}

// Tasks with a unique go to its server however much that has to do.
func TestSpreadKeepsUniques(t *testing.T) {
	a, b := newFake(t), newFake(t)
	c := spreadClient(t, a, b)
	plain := testClient(t, Options{Servers: []Server{a.Server, b.Server}})
	for i := range 20 {
		task := &Task{Function: "f", Unique: strconv.Itoa(i % 4)}
		if got, want := c.order(task)[0].Server, plain.order(task)[0].Server; got != want {
			t.Errorf("unique %s: got %v, want %v", task.Unique, got, want)
		}
	}
}

// The load of a server is the number of its unfinished tasks, whether they complete or
// fail.
func TestLoad(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	load := &c.servers[0].load
	want := func(n int64) {
		t.Helper()
		waitFor(t, fmt.Sprint("a load of ", n), func() bool { return load.Load() == n })
	}
	ctx, cancel := context.WithCancel(t.Context())
	for _, task := range []*Task{{Function: "completes"}, {Function: "fails"}, {Function: "background", Background: true}, {Function: "is lost", Retries: 1}} {
		startAsync(t, c, task)
	}
	if _, err := c.StartAsync(ctx, &Task{Function: "is given up"}); err != nil {
		t.Fatal(err)
	}
	p := f.acceptClient()
	for i := range 5 {
		p.read()
		p.send(wire.JobCreated, fmt.Sprint("H:", i))
	}
	want(4)
	p.send(wire.WorkComplete, "H:0", "")
	p.send(wire.WorkFail, "H:1")
	want(2)
	cancel()
	want(1)
	p.close()
	f.acceptClient().take("H:5")
	want(1)
	c.Close()
	want(0)
}

// Tasks of one context share a watch, and all of them end with the context, even while a
// callback of one task is blocked.
func TestManyTasksOfOneContext(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	blocked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var running []*Running
	for range 100 {
		r, err := c.StartAsync(ctx, &Task{Function: "f", OnFail: func(error) {
			first := false
			once.Do(func() { first = true })
			if first {
				close(blocked)
				<-release
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, r)
	}
	other := startAsync(t, c, &Task{Function: "f"})
	cancel(stop)
	within(t, "a callback", blocked)
	ended := 0
	waitFor(t, "99 ends", func() bool {
		ended = 0
		for _, r := range running {
			select {
			case <-r.Done():
				ended++
			default:
			}
		}
		return ended == 99
	})
	close(release)
	for _, r := range running {
		if _, err := end(t, r); !errors.Is(err, stop) {
			t.Errorf("got %v, want %v", err, stop)
		}
	}
	if _, err := c.StartAsync(ctx, &Task{Function: "f"}); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
	select {
	case <-other.Done():
		t.Error("a task of another context has ended")
	default:
	}
	waitFor(t, "nothing to watch", func() bool {
		c.watches.mu.Lock()
		defer c.watches.mu.Unlock()
		return len(c.watches.of) == 0
	})
}
