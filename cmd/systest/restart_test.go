package systest

import (
	"errors"
	"flag"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gm/pkg/wire"
)

var (
	restartJobs = flag.Int("restart.jobs", 6000, "how many jobs wait in TestRestartsWithRetriesByUnique")
	restarts    = flag.Int("restart.count", 3, "how often it kills the server")
)

// TestRestartsWithRetriesByUnique kills a server with many stored jobs, again and again.
// After each start all clients submit by unique at once, also jobs that were acknowledged
// long ago, while workers do some of the jobs. Each unique must stay one job, which is
// done once.
//
//	go test ./cmd/systest -run TestRestartsWithRetriesByUnique -restart.jobs=500000 -restart.count=20 -v
func TestRestartsWithRetriesByUnique(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := &restartRig{
		t: t, g: newGMServer(t, "--data", filepath.Join(t.TempDir(), "queue"), "--host", "restart"),
		random: rand.New(rand.NewPCG(seed, 0)),
	}
	lf := r.g.start()
	r.grow(lf, *restartJobs)
	for range *restarts {
		r.g.end(lf, syscall.SIGKILL)
		began := time.Now()
		lf = r.g.start()
		r.startUp = max(r.startUp, time.Since(began))
		r.storm(lf)
	}
	r.g.end(lf, syscall.SIGKILL)
	r.drain(r.g.start())
	t.Logf("%d restarts, %d uniques, %d retried of which %d while the store was read; slowest start %v",
		*restarts+1, len(r.jobs), r.retried, r.retriedEarly, r.startUp.Round(time.Millisecond))
}

// restartRig knows the jobs by their uniques, which are 0 and so on.
type restartRig struct {
	t      *testing.T
	g      *gmServer
	random *rand.Rand

	mu           sync.Mutex
	jobs         []restartJob
	retried      int
	retriedEarly int
	startUp      time.Duration
}

type restartJob struct {
	handle string // empty if it was never acknowledged
	done   bool   // and the end is stored
}

const restartWindow = 500

// grow submits n new jobs.
func (r *restartRig) grow(lf *life, n int) {
	c := mustDial(r.t, lf.addr)
	for left := n; left > 0; left -= restartWindow {
		from := len(r.jobs)
		for range min(left, restartWindow) {
			r.jobs = append(r.jobs, restartJob{})
		}
		r.submit(c, from, len(r.jobs))
	}
}

// submit submits jobs by their numbers and compares the answers with the earlier ones.
func (r *restartRig) submit(c *rawConn, from, to int) {
	for n := from; n < to; n++ {
		unique := strconv.Itoa(n)
		c.send(wire.SubmitJobBG, "f", unique, unique)
	}
	for n := from; n < to; n++ {
		p := c.mustReceive(r.t)
		if p.Type != wire.JobCreated {
			r.t.Fatalf("answer to a submission: %v %q", p.Type, p.Args[:2])
		}
		r.acknowledged(n, string(p.Args[0]))
	}
}

func (r *restartRig) acknowledged(n int, handle string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := &r.jobs[n]; one.handle == "" {
		one.handle = handle
	} else if one.handle != handle {
		r.t.Errorf("the unique %d is the job %s, and before it was %s", n, handle, one.handle)
	}
}

// storm has clients retry and workers work at once, right after a start, and
// leaves when all is answered. Some submissions are left without an answer.
func (r *restartRig) storm(lf *life) {
	const clients, workers = 8, 2
	works := len(r.jobs) / 100
	r.mu.Lock()
	first := 0
	for first < len(r.jobs) && r.jobs[first].done {
		first++
	}
	// The oldest jobs, which workers take, are not submitted again: they may be done.
	from := min(first+works+workers, len(r.jobs))
	known := len(r.jobs)
	r.mu.Unlock()
	var wg sync.WaitGroup
	for i := range clients {
		random := rand.New(rand.NewPCG(r.random.Uint64(), uint64(i)))
		wg.Go(func() { r.retry(lf, random, from, known) })
	}
	for range workers {
		wg.Go(func() { r.work(lf, works/workers) })
	}
	wg.Wait()
	// The kill comes while these are on their way. They are retried by the next
	// storm, as all others.
	r.mu.Lock()
	at := len(r.jobs)
	r.jobs = append(r.jobs, make([]restartJob, 100)...)
	r.mu.Unlock()
	c := mustDial(r.t, lf.addr)
	for n := at; n < at+100; n++ {
		c.send(wire.SubmitJobBG, "f", strconv.Itoa(n), strconv.Itoa(n))
	}
	if err := c.w.Flush(); err != nil && !errors.Is(err, syscall.EPIPE) {
		r.t.Error(err)
	}
}

// retry submits windows of jobs that are there already, and all that was never
// acknowledged.
func (r *restartRig) retry(lf *life, random *rand.Rand, from, to int) {
	c := mustDial(r.t, lf.addr)
	for range 4 {
		at := from + random.IntN(max(to-from-restartWindow, 1))
		early := serverStats(r.t, r.g).Loading
		end := min(at+restartWindow, to)
		r.submit(c, at, end)
		r.mu.Lock()
		if r.retried += end - at; early {
			r.retriedEarly += end - at
		}
		r.mu.Unlock()
	}
	r.submit(c, max(to-100, from), to)
}

// work does n jobs. A submission behind their ends says when these are stored.
func (r *restartRig) work(lf *life, n int) {
	c := mustDial(r.t, lf.addr)
	c.send(wire.CanDo, "f")
	var done []int
	for len(done) < n {
		c.send(wire.GrabJobUniq)
		p := c.mustReceive(r.t)
		if p.Type == wire.NoJob {
			c.send(wire.PreSleep)
			if err := c.awaitNoop(); err != nil {
				r.t.Error(err)
				return
			}
			continue
		}
		done = append(done, r.came(p))
		c.send(wire.WorkComplete, string(p.Args[0]), "")
	}
	c.send(wire.SubmitJobBG, "marker", "", "")
	if p := c.mustReceive(r.t); p.Type != wire.JobCreated {
		r.t.Errorf("answer to a submission: %v", p.Type)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range done {
		r.jobs[n].done = true
	}
}

// came notes that a job was handed out.
func (r *restartRig) came(p *wire.Packet) (n int) {
	handle, unique := string(p.Args[0]), string(p.Args[2])
	n, err := strconv.Atoi(unique)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || n >= len(r.jobs) {
		r.t.Fatalf("a job with the unique %q came out", unique)
	}
	if one := &r.jobs[n]; one.done {
		r.t.Errorf("%s, the job %s, came out twice", unique, handle)
	} else if one.handle != "" && one.handle != handle {
		r.t.Errorf("%s came out as the job %s, and was acknowledged as %s", unique, handle, one.handle)
	}
	return n
}

// drain does the remaining jobs, and checks that none is missing.
func (r *restartRig) drain(lf *life) {
	waitFor(r.t, "the store to be read", func() bool { return !serverStats(r.t, r.g).Loading })
	c := mustDial(r.t, lf.addr)
	c.send(wire.CanDo, "f")
	for {
		c.send(wire.GrabJobUniq)
		p := c.mustReceive(r.t)
		if p.Type == wire.NoJob {
			break
		}
		n := r.came(p)
		c.send(wire.WorkComplete, string(p.Args[0]), "")
		r.jobs[n].done = true
	}
	lost := 0
	for n, one := range r.jobs {
		if one.handle != "" && !one.done {
			if lost++; lost < 10 {
				r.t.Errorf("%d, the job %s, is lost", n, one.handle)
			}
		}
	}
	if lost > 0 {
		r.t.Errorf("%d of %d jobs are lost", lost, len(r.jobs))
	}
}

// awaitNoop sends the collected packets and waits for a NOOP.
func (c *rawConn) awaitNoop() error {
	if err := c.w.Flush(); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var p wire.Packet
	for p.Type != wire.Noop {
		if err := c.r.Next(&p); err != nil {
			return err
		}
	}
	return nil
}
