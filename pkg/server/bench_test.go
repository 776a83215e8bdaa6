package server_test

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// benchPeer dials without a deadline.
func benchPeer(b *testing.B, addr string) *peer {
	p := dial(b, addr)
	p.SetDeadline(time.Time{}) //nolint:errcheck // fails only on a closed connection
	return p
}

// spread runs f on n connections until b.N are done, a window at a time, and
// reports jobs a second.
func spread(b *testing.B, addr string, n, window int, f func(p *peer, size int)) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range n {
		p := benchPeer(b, addr)
		wg.Go(func() {
			for {
				after := left.Add(-int64(window))
				size := min(window, int(after)+window)
				if size <= 0 {
					return
				}
				f(p, size)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkSubmitBackground pipelines submissions on 8 connections, 64 each.
func BenchmarkSubmitBackground(b *testing.B) {
	for _, bench := range []struct {
		name   string
		cfg    server.Config
		unique bool
	}{
		{"memory", server.Config{}, false},
		{"memory unique", server.Config{}, true},
		{"store", server.Config{Store: &forgetful{}}, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			_, addr := start(b, bench.cfg)
			payload := strings.Repeat("x", 100)
			var n atomic.Int64
			spread(b, addr, 8, 64, func(p *peer, size int) {
				var buf []byte
				for range size {
					unique := ""
					if bench.unique {
						unique = strconv.FormatInt(n.Add(1), 10)
					}
					buf = wire.AppendString(buf, wire.Request, wire.SubmitJobBG, "f", unique, payload)
				}
				p.send(buf)
				for range size {
					if got := p.next().Type; got != wire.JobCreated {
						b.Errorf("got %v", got)
					}
				}
			})
		})
	}
}

// forgetful is a store that takes no time and keeps nothing.
type forgetful struct{ store.Memory }

func (*forgetful) Commit(context.Context, []store.Op) error { return nil }

// BenchmarkDrain lets 8 workers do the waiting jobs of one function.
func BenchmarkDrain(b *testing.B) {
	_, addr := start(b, server.Config{})
	p := benchPeer(b, addr)
	one := req(wire.SubmitJobBG, "f", "", strings.Repeat("x", 100))
	for left := b.N; left > 0; left -= 1000 {
		k := min(left, 1000)
		p.send(bytes.Repeat(one, k))
		for range k {
			p.next()
		}
	}
	can, grab := req(wire.CanDo, "f"), req(wire.GrabJobUniq)
	spread(b, addr, 8, 1, func(p *peer, _ int) {
		if p.p.Type == 0 {
			p.send(can, grab)
		} else {
			p.send(req(wire.WorkComplete, string(p.p.Args[0]), "y"), grab)
		}
		if got := p.next().Type; got != wire.JobAssignUniq {
			b.Errorf("got %v", got)
		}
	})
}

// BenchmarkForeground sends one job after the other to one worker that sleeps
// in between.
func BenchmarkForeground(b *testing.B) {
	_, addr := start(b, server.Config{})
	w, c := benchPeer(b, addr), benchPeer(b, addr)
	w.send(req(wire.CanDo, "f"), req(wire.PreSleep))
	w.sync()
	var wg sync.WaitGroup
	wg.Go(func() {
		for w.r.Next(&w.p) == nil {
			switch w.p.Type {
			case wire.Noop:
				w.Write(req(wire.GrabJob)) //nolint:errcheck // seen by the reader
			case wire.JobAssign:
				w.Write(append(req(wire.WorkComplete, string(w.p.Args[0]), "y"), req(wire.PreSleep)...)) //nolint:errcheck // seen by the reader
			}
		}
	})
	submit := req(wire.SubmitJob, "f", "", "x")
	b.ReportAllocs()
	for b.Loop() {
		c.send(submit)
		if got := c.next().Type; got != wire.JobCreated {
			b.Fatalf("got %v", got)
		}
		if got := c.next().Type; got != wire.WorkComplete {
			b.Fatalf("got %v", got)
		}
	}
	w.Close()
	wg.Wait()
}
