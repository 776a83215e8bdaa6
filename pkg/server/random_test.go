package server_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// Many clients submit, two workers work, and the store is slow and fails at
// random. What was acknowledged is in the store or has been done, and nothing
// else is.
func TestRandomStore(t *testing.T) {
	const clients, each, window = 8, 600, 20
	var (
		calm atomic.Bool
		mu   sync.Mutex
		rnd  = rand.New(rand.NewPCG(1, 2))
	)
	st := newJournal()
	st.fail = func(int) error {
		mu.Lock()
		n := rnd.IntN(10)
		mu.Unlock()
		if calm.Load() {
			return nil
		}
		<-time.After(time.Duration(n) * 100 * time.Microsecond) // a slow disk
		if n < 2 {
			return errors.New("away")
		}
		return nil
	}
	s, addr := start(t, server.Config{Store: st})

	var workers, submitters sync.WaitGroup
	done := make([][]string, 2)
	stop := make(chan struct{})
	for i := range done {
		w := worker(t, addr, "f")
		workers.Go(func() { done[i] = w.workUntil(stop) })
	}
	acked := make([][]string, clients)
	for at := range acked {
		c := dial(t, addr)
		submitters.Go(func() {
			for k := 0; k < each; k += window {
				var b []byte
				for i := range window {
					id := fmt.Sprintf("%s-%d", c.LocalAddr(), k+i)
					b = append(append(b, req(wire.SubmitJobBG, "f", id, id)...), req(wire.SubmitJobBG, "f", id, id)...)
				}
				c.send(b)
				for i := range window {
					first, second := c.next().Type, c.next().Type
					switch {
					case first == wire.JobCreated || second == wire.JobCreated:
						acked[at] = append(acked[at], fmt.Sprintf("%s-%d", c.LocalAddr(), k+i))
					case first != wire.Error || second != wire.Error:
						t.Errorf("answers %v and %v", first, second)
					}
				}
			}
		})
	}
	submitters.Wait()
	close(stop)
	workers.Wait()
	calm.Store(true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	var created, finished []string
	for _, ids := range acked {
		created = append(created, ids...)
	}
	for _, ids := range done {
		finished = append(finished, ids...)
	}
	if len(created) == 0 || len(created) == clients*each {
		t.Errorf("%d of %d were acknowledged: nothing was tested", len(created), clients*each)
	}
	kept := append(strings.Fields(st.payloads(t)), finished...)
	slices.Sort(created)
	slices.Sort(kept)
	// A job may run twice, once for each submission, if it ended in between.
	if kept = slices.Compact(kept); !slices.Equal(created, kept) {
		t.Errorf("%d acknowledged, %d kept or done", len(created), len(kept))
	}
}

// workUntil does jobs until stop is closed and returns their payloads.
func (p *peer) workUntil(stop <-chan struct{}) (done []string) {
	for {
		select {
		case <-stop:
			p.sync()
			return done
		default:
		}
		p.send(req(wire.GrabJob))
		if one := p.next(); one.Type == wire.JobAssign {
			done = append(done, string(one.Last()))
			p.send(req(wire.WorkComplete, string(one.Args[0]), ""))
		}
	}
}
