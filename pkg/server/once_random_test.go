package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// onceModel is the naive model of jobs with uniques: one for each function and unique.
type onceModel struct {
	live  string    // the job that waits, or empty
	ended string    // the job that has ended last and was done, or empty
	at    time.Time // its end
	// earlier are the jobs that have ended before. The server may know them or not when
	// the last one is retried.
	earlier []string
}

// onceRun performs random operations on a server and on the models.
type onceRun struct {
	t        *testing.T
	random   *rand.Rand
	cfg      server.Config
	s        *server.Server
	once     *peer
	plain    *peer
	worker   *peer
	models   map[[2]string]*onceModel
	keys     [][2]string
	dead     [][2]string // the keys of dead jobs
	deadJobs []string    // their handles
}

func (o *onceRun) start() {
	s, dial := startPiped(o.t, o.cfg)
	o.s, o.once, o.plain, o.worker = s, dial().asksOnce(), dial(), dial()
	o.worker.send(req(wire.CanDo, "f"), req(wire.CanDo, "g"))
	o.worker.sync()
}

// submit submits a job and compares its handle with that of the model.
func (o *onceRun) submit() {
	key := o.keys[o.random.IntN(len(o.keys))]
	m, once := o.models[key], o.random.IntN(2) == 0
	c := o.plain
	if once {
		c = o.once
	}
	got := c.submit(wire.SubmitJobBG, key[0], key[1], "x")
	switch {
	case m.live != "":
		if got != m.live {
			o.t.Fatalf("%v waits as %s, and the submission got %s", key, m.live, got)
		}
	case once && m.ended != "" && time.Since(m.at) < o.cfg.KeepResults:
		if got != m.ended {
			o.t.Fatalf("%v has ended as %s %v ago, and the submission got %s", key, m.ended, time.Since(m.at), got)
		}
	default:
		if once && m.ended == "" && slices.Contains(m.earlier, got) {
			return
		}
		if got == m.ended || slices.Contains(m.earlier, got) {
			o.t.Fatalf("%v must be a new job, and the submission (once: %v) got %s, which ended %v ago", key, once, got, time.Since(m.at))
		}
		m.live = got
	}
}

// end has the worker end the next job, if there is one.
func (o *onceRun) end(fails bool) {
	o.worker.send(req(wire.GrabJob))
	if o.worker.next().Type == wire.NoJob {
		return
	}
	h := string(o.worker.p.Args[0])
	time.Sleep(time.Millisecond) // the dates of two ends differ
	for key, m := range o.models {
		if m.live != h {
			continue
		}
		m.live, m.ended, m.at, m.earlier = "", h, time.Now(), append(m.earlier, h)
		if fails {
			o.worker.send(failure(h))
			o.dead, o.deadJobs = append(o.dead, key), append(o.deadJobs, h)
		} else {
			o.worker.send(req(wire.WorkComplete, h, "done"))
		}
		o.worker.sync()
		return
	}
	o.t.Fatalf("the worker got job %s, which should not wait", h)
}

// cancel cancels a job that waits.
func (o *onceRun) cancel() {
	m := o.models[o.keys[o.random.IntN(len(o.keys))]]
	if m.live == "" {
		return
	}
	if got := o.plain.line("cancel job " + m.live); got != "OK" {
		o.t.Fatalf("cancel: %q", got)
	}
	m.live = ""
}

// retry retries a dead job. It joins a job that waits.
func (o *onceRun) retry() {
	if len(o.dead) == 0 {
		return
	}
	i := o.random.IntN(len(o.dead))
	key, h := o.dead[i], o.deadJobs[i]
	o.dead, o.deadJobs = append(o.dead[:i:i], o.dead[i+1:]...), append(o.deadJobs[:i:i], o.deadJobs[i+1:]...)
	if got := o.plain.line("retry job " + h); got != "OK" {
		o.t.Fatalf("retry: %q", got)
	}
	m := o.models[key]
	if m.live == "" {
		m.live = h
	}
	if m.ended == h {
		m.ended = ""
	}
	m.earlier = slices.DeleteFunc(m.earlier, func(other string) bool { return other == h })
}

// TestRandomOnce compares a server with the models, with and without a store.
func TestRandomOnce(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stored := seed%2 == 0
				o := &onceRun{
					t: t, random: rand.New(rand.NewPCG(seed, 0)), models: make(map[[2]string]*onceModel),
					cfg: server.Config{KeepResults: time.Hour, DeadMax: ptr(1000)},
				}
				if stored {
					o.cfg.Store = newJournal()
				}
				for _, function := range []string{"f", "g"} {
					for _, unique := range []string{"u", "v", "-"} {
						key := [2]string{function, unique}
						o.models[key] = new(onceModel)
						o.keys = append(o.keys, key)
					}
				}
				o.start()
				for range 300 {
					switch n := o.random.IntN(100); {
					case n < 40:
						o.submit()
					case n < 60:
						o.end(false)
					case n < 70:
						o.end(true)
					case n < 76:
						o.cancel()
					case n < 84:
						o.retry()
					case n < 98:
						time.Sleep(time.Duration(o.random.Int64N(int64(25 * time.Minute))))
					case stored:
						o.s.Close()
						o.start()
					}
				}
				o.s.Close()
			})
		})
	}
}
