package server_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// Jobs are submitted, done, fail, lose their workers, die and are retried. At
// many moments a server that starts from what is stored then has every job
// that was acknowledged and not done, waiting or dead.
func TestKilledAtAnyMoment(t *testing.T) {
	const clients, workers, kills, each, memory = 4, 3, 25, 150, 2000
	st := newLibrary()
	cfg := server.Config{
		Store: st, Memory: memory, JobRetries: ptr(1), KeepResults: time.Hour,
		Policies: map[string]server.Policy{"f": {Retries: 2, MinWait: 0, MaxWait: time.Millisecond}},
	}
	_, addr := start(t, cfg)

	var (
		mu    sync.Mutex
		acked []string
		done  = make(map[string]bool)
		wg    sync.WaitGroup
	)
	stop := make(chan struct{})
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	for n := range clients {
		c := dial(t, addr)
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", n, i)
				c.submit(wire.SubmitJobBG, "f", id, id+strings.Repeat(".", 50))
				mu.Lock()
				acked = append(acked, id)
				mu.Unlock()
			}
		})
	}
	for n := range workers {
		rnd := rand.New(rand.NewPCG(uint64(n), 7))
		wg.Go(func() {
			w := worker(t, addr, "f")
			for !stopped() {
				w.send(req(wire.GrabJobUniq))
				one := w.next()
				if one.Type != wire.JobAssignUniq {
					continue
				}
				h, id := string(one.Args[0]), string(one.Args[2])
				if got := string(one.Last()); got != id+strings.Repeat(".", 50) {
					t.Errorf("job %s: payload %q", id, got)
				}
				switch rnd.IntN(10) {
				case 0, 1, 2:
					w.send(failure(h))
				case 3:
					w.send(exception(h, "no"), failure(h))
				case 4:
					w.Close()
					w = worker(t, addr, "f")
				default:
					mu.Lock()
					done[id] = true
					mu.Unlock()
					w.send(req(wire.WorkComplete, h, id))
				}
			}
		})
	}
	admin := dial(t, addr)
	wg.Go(func() {
		for !stopped() {
			if len(admin.list("jobs f dead 5")) < 5 {
				continue
			}
			if got := admin.line("retry function f"); !strings.HasPrefix(got, "OK ") {
				t.Errorf("retry: %q", got)
			}
		}
	})

	dead := 0
	for k := range kills {
		eventually(t, "more is acknowledged", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acked) >= clients*each*k/kills
		})
		mu.Lock()
		before := slices.Clone(acked)
		mu.Unlock()
		found := found(t, st.copied(), cfg)
		mu.Lock()
		for _, id := range before {
			if found[id] == "" && !done[id] {
				t.Errorf("kill %d: job %s is lost", k, id)
			}
		}
		mu.Unlock()
		for _, state := range found {
			if state == wire.StateDead {
				dead++
			}
		}
	}
	close(stop)
	wg.Wait()
	if dead == 0 {
		t.Error("none was dead: little was tested")
	}
}

// found returns the states of the jobs that a server finds in a store.
func found(t *testing.T, at *journal, cfg server.Config) map[string]wire.JobState {
	t.Helper()
	cfg.Store, cfg.Host = &library{journal: at}, "test"
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Restored(t.Context()); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	go s.ServeConn(far) //nolint:errcheck // seen by the peer
	mine := newPeer(t, near)
	all := make(map[string]wire.JobState)
	for _, cmd := range []string{"jobs - - 0", "jobs - dead 0"} {
		for _, row := range mine.list(cmd) {
			j := fields[wire.Job](t, row)
			if all[j.Unique] != "" {
				t.Errorf("job %s is there twice", j.Unique)
			}
			all[j.Unique] = j.State
		}
	}
	return all
}
