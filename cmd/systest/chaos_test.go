package systest

// The total-queue check: clients submit, workers do a part of the jobs, and the server is
// killed again and again. All acknowledged jobs must come out.
//
//	go test ./cmd/systest -run TestChaos                           the short form
//	go test ./cmd/systest -run TestChaos -chaos.kills=50 -v        the long one: make chaos
//	go test ./cmd/systest -run TestChaos/redis -chaos.seed=42      the same moments again
//
// chaos_ledger_test.go has the checks, chaos_peers_test.go the clients and workers,
// chaos_server_test.go the servers.

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	chaosKills = flag.Int("chaos.kills", 4, "how often TestChaos kills the server, for each store; TestOutage kills databases a fifth as often")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "what they draw their moments from; 0 is the time of the day")
)

// chaosSeedOf returns the seed of a test, and says which it is.
func chaosSeedOf(t *testing.T) uint64 {
	t.Helper()
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-chaos.seed=%d", seed)
	return seed
}

func TestChaos(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			testChaos(t, p.open(t).url)
		})
	}
}

func testChaos(t *testing.T, url string) {
	seed := chaosSeedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	l := newLedger(chaosStreams())
	g := newGMServer(t, "--store", url, "--job-retries", "-1", "--host", "chaos")

	crowd := startCrowd(t, g, l, seed)
	for l.figures().kills < *chaosKills {
		lf := g.start()
		// Mostly in the middle of the load, sometimes while the server reads its
		// store.
		if random.IntN(4) > 0 {
			waitFor(t, "an acknowledgement", func() bool { return l.figures().ackedIn(lf.n) > 0 || lf.hasEnded() })
		}
		pause(t, time.Duration(random.IntN(700))*time.Millisecond)
		switch random.IntN(6) {
		default:
			g.end(lf, syscall.SIGKILL)
		case 1, 2: // while it drains
			lf.signal(syscall.SIGTERM)
			pause(t, time.Duration(random.IntN(20_000))*time.Microsecond)
			g.end(lf, syscall.SIGKILL)
		case 3: // as it should be
			g.end(lf, syscall.SIGTERM)
		}
		l.ended(lf.n, lf.when, lf.clean())
	}

	g.start()
	waitFor(t, "an acknowledgement after the last kill", func() bool { return l.figures().ackedIn(g.lives()) > 0 })
	crowd.drain(t)
	checkEmpty(t, g)
	l.report(t)
}

// pause waits. The moments of chaos are no conditions that could be awaited.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test's time is up")
	}
}

// crowd is the clients and the workers.
type crowd struct {
	g *gmServer
	l *ledger

	submitting, working         sync.WaitGroup
	stopSubmitting, stopWorking context.CancelFunc
}

// startCrowd starts a submitter for each stream of the ledger, and workers.
// They follow the server through its lives until the test ends, or drain.
func startCrowd(t *testing.T, g *gmServer, l *ledger, seed uint64) *crowd {
	c := &crowd{g: g, l: l}
	var submit, work context.Context
	submit, c.stopSubmitting = context.WithCancel(t.Context())
	work, c.stopWorking = context.WithCancel(t.Context())
	for i, st := range l.streams {
		s := &submitter{g: g, l: l, st: st, random: rand.New(rand.NewPCG(seed, uint64(100+i)))}
		c.submitting.Go(func() { s.run(submit) })
	}
	for i, w := range chaosWorkers(l) {
		w.g, w.l, w.random = g, l, rand.New(rand.NewPCG(seed, uint64(200+i)))
		c.working.Go(func() { w.run(work) })
	}
	t.Cleanup(func() {
		c.stopSubmitting()
		c.stopWorking()
		c.submitting.Wait()
		c.working.Wait()
	})
	return c
}

// drain ends the submitters, and then the workers when all that was
// acknowledged has come out and the server says that nothing is left.
func (c *crowd) drain(t *testing.T) {
	t.Helper()
	c.stopSubmitting()
	c.submitting.Wait()
	c.l.drainAll()
	waitWhile(t, "the jobs to come out", func() int { return c.l.figures().came },
		func() bool { return c.l.missing() == 0 && totalJobs(t, c.g) == 0 })
	c.stopWorking()
	c.working.Wait()
}

// checkEmpty checks that the jobs that are done do not come back in the next life.
func checkEmpty(t *testing.T, g *gmServer) {
	t.Helper()
	g.end(g.life(), syscall.SIGTERM)
	if !g.life().clean() {
		t.Errorf("gm serve ended with %v after SIGTERM", g.life().err)
	}
	g.start()
	waitFor(t, "the store to be read", func() bool { return !serverStats(t, g).Loading })
	if n := totalJobs(t, g); n != 0 {
		t.Errorf("%d jobs are in the store though all were done", n)
	}
	g.end(g.life(), syscall.SIGTERM)
}
