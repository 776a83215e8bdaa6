package systest

// The fault injection: a server, with clients and workers, on a store of which
// single operations are refused, delayed, cut off, swallowed or panic. Files are
// behind storetest.Faulty, servers behind storetest.Proxy too.
//
//	go test ./cmd/systest -run TestFaults
//	go test ./cmd/systest -run TestFaults/redis -faults.seed=42      the same choices again

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/internal/testgm"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
	"gm/pkg/store/storetest"
	"gm/pkg/wire"
)

var faultsSeed = flag.Uint64("faults.seed", 0, "what TestFaults draws its choices from; 0 is the time of the day")

const (
	// faultPatience is the maximum time for an event that must happen in spite of a fault.
	faultPatience = 30 * time.Second
	// faultBacklog bounds how many jobs of work wait. A backlog that grows for as
	// long as a store hangs would take longer than faultPatience afterwards. It is
	// several times as much as fits into the server's memory.
	faultBacklog = 2000
	// faultStoreTimeout is Config.StoreTimeout. It is short, as a hanging store is
	// waited for that long.
	faultStoreTimeout = 500 * time.Millisecond
)

// faultPlaces are the stores, each with the address of its server, if it has
// one, in its URL.
var faultPlaces = map[string]func(t *testing.T) (url, addr string){
	"disk":   func(t *testing.T) (string, string) { return "disk:" + filepath.Join(t.TempDir(), "data"), "" },
	"sqlite": func(t *testing.T) (string, string) { return "sqlite:" + filepath.Join(t.TempDir(), "queue.db"), "" },
	"postgres": func(t *testing.T) (string, string) {
		s := storetest.StartPostgres(t)
		return s.URL(s.Addr()), s.Addr()
	},
	"mysql": func(t *testing.T) (string, string) {
		s := storetest.StartMySQL(t)
		return s.URL(s.Addr()), s.Addr()
	},
	"redis": func(t *testing.T) (string, string) {
		s := storetest.StartRedis(t)
		return s.URL(s.Addr()), s.Addr()
	},
	"memcached": func(t *testing.T) (string, string) {
		s := storetest.StartMemcached(t, "-m", "256")
		return "memcached://" + s.Addr(), s.Addr()
	},
}

func TestFaults(t *testing.T) {
	seed := *faultsSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: -faults.seed=%d repeats it", seed, seed)
	if testgm.WithTokyoCabinet {
		faultPlaces["tokyocabinet"] = func(t *testing.T) (string, string) {
			return "tokyocabinet:" + filepath.Join(t.TempDir(), "queue.tch"), ""
		}
	}
	for kind, start := range faultPlaces {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newFaultRig(t, start, seed)
			f.start()
			f.calls()
			f.single()
			f.spilled()
			f.restart()
		})
	}
}

// faultRig is a server on a store that fails, with its clients and workers, and their
// records of each job.
type faultRig struct {
	t      *testing.T
	url    string
	hexed  bool // the store sends payloads in hexadecimal
	proxy  *storetest.Proxy
	random *rand.Rand
	again  int // jobs of worksAgain

	readFailure storetest.Failure // of the reading when the store is opened next

	faulty *storetest.Faulty
	server *server.Server
	addr   string
	log    *testgm.Log

	stop    context.CancelFunc // of the clients
	peers   sync.WaitGroup
	workers sync.WaitGroup
	workAll []*gearman.Worker

	mu       sync.Mutex
	changed  chan struct{}    // closed at each change
	accepted map[string]bool  // jobs, by payload: acknowledged, or refused
	ran      map[string]int   // how often
	open     map[string]bool  // jobs of work that were acknowledged and have not run, by payload
	counts   map[string]int64 // foreground jobs done, answers of status
}

func newFaultRig(t *testing.T, start func(*testing.T) (string, string), seed uint64) *faultRig {
	f := &faultRig{
		t: t, random: rand.New(rand.NewPCG(seed, 4730)), log: testgm.NewLog(),
		changed: make(chan struct{}), accepted: make(map[string]bool), ran: make(map[string]int), open: make(map[string]bool), counts: make(map[string]int64),
	}
	url, addr := start(t)
	if addr != "" {
		f.proxy = storetest.StartProxy(t, addr)
		url = strings.Replace(url, addr, f.proxy.Addr(), 1)
	}
	f.url, f.hexed = url, strings.HasPrefix(url, "mysql")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", strings.Join(f.log.Lines(), ""))
		}
	})
	return f
}

// start opens the store and starts the server, the clients and the workers.
func (f *faultRig) start() {
	f.t.Helper()
	p, err := open.Parse(f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	p.Logger = slog.New(slog.NewTextHandler(f.log, nil))
	p.Skipped = func(what string, err error) { f.t.Errorf("skipped %s: %v", what, err) }
	s, err := p.Open(f.t.Context())
	if err == nil {
		err = open.Lock(f.t.Context(), s, "faults")
	}
	if err != nil {
		f.t.Fatal(err)
	}
	var wrapped store.Store
	f.faulty, wrapped = storetest.NewFaulty(s)
	if f.readFailure != storetest.Works {
		f.faulty.Fail(storetest.CallReplay, f.readFailure, 3)
	}
	f.serve(wrapped)
}

func (f *faultRig) serve(s store.Store) {
	f.t.Helper()
	var err error
	f.server, err = server.New(server.Config{
		Store: s, StoreName: "faulty", StoreTimeout: faultStoreTimeout, Memory: 64 << 10,
		Logger: slog.New(slog.NewTextHandler(f.log, nil)),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.t.Cleanup(func() { // if the test has failed
		f.faulty.Heal()
		f.stopAll()
	})
	var ctx context.Context
	ctx, f.stop = context.WithCancel(context.Background())
	f.peers.Go(func() { _ = f.server.Serve(l) })
	f.workAll = nil
	f.work("work", "quick")
	f.peers.Go(func() { f.submitAll(ctx, "work") })
	f.peers.Go(func() { f.submitAll(ctx, "kept") })
	f.peers.Go(func() { f.foreground(ctx) })
	f.peers.Go(func() { f.watch(ctx) })
}

// end ends the clients, the workers and the server gracefully, so that finished jobs stay
// finished.
func (f *faultRig) end() {
	f.t.Helper()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		f.stopAll()
	}()
	select {
	case <-closed:
	case <-time.After(faultPatience):
		f.t.Fatal("the server does not end")
	}
}

func (f *faultRig) stopAll() {
	f.stop()
	for _, w := range f.workAll {
		w.Stop()
	}
	f.workers.Wait()
	_ = f.server.Shutdown(context.Background())
	f.peers.Wait()
}

func (f *faultRig) options() gearman.Options {
	servers, err := gearman.ParseServers(f.addr, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return gearman.Options{Servers: servers}
}

// note updates the known state.
func (f *faultRig) note(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// waitUntil waits until ok, which is called under the lock.
func (f *faultRig) waitUntil(what string, ok func() bool) {
	f.t.Helper()
	timer := time.NewTimer(faultPatience)
	defer timer.Stop()
	for {
		f.mu.Lock()
		done, changed := ok(), f.changed
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			f.t.Fatalf("not after %v: %s", faultPatience, what)
		}
	}
}

// work does the jobs of some functions.
func (f *faultRig) work(functions ...string) {
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: f.options(), Concurrency: 4})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, name := range functions {
		err := w.Handle(name, func(_ context.Context, j *gearman.Job) ([]byte, error) {
			if name != "quick" {
				f.note(func() {
					f.ran[string(j.Payload())]++
					delete(f.open, string(j.Payload()))
				})
			}
			return j.Payload(), nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	f.workAll = append(f.workAll, w)
	f.workers.Go(func() { _ = w.Run(context.Background()) })
}

// background submits a job and records its outcome.
func (f *faultRig) background(ctx context.Context, c *gearman.Client, function, payload string) error {
	ctx, cancel := context.WithTimeout(ctx, faultPatience)
	defer cancel()
	_, err := c.Background(ctx, &gearman.Task{Function: function, Unique: payload[:min(len(payload), 40)], Payload: []byte(payload)})
	var refused *gearman.ServerError
	switch {
	case err == nil:
		f.note(func() {
			f.accepted[payload] = true
			if function == "work" && f.ran[payload] == 0 {
				f.open[payload] = true
			}
		})
	case errors.As(err, &refused):
		f.note(func() { f.accepted[payload] = false })
	case errors.Is(err, context.DeadlineExceeded):
		f.t.Errorf("submission of %.40q: no answer", payload)
	}
	return err
}

func (f *faultRig) client() *gearman.Client {
	c, err := gearman.NewClient(f.options())
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// submitAll submits jobs of a function, one after the other, until ctx ends.
func (f *faultRig) submitAll(ctx context.Context, function string) {
	c := f.client()
	defer c.Close()
	for n := 0; f.waitRoom(ctx, function); n++ {
		err := f.background(ctx, c, function, fmt.Sprintf("%s %d of %s", function, n, f.addr))
		if err != nil || function == "kept" { // not to come in a hurry
			pauseWithin(ctx, 20*time.Millisecond)
		}
	}
}

// waitRoom waits until fewer than faultBacklog jobs of work are open, and reports
// whether ctx goes on. Nobody works on the jobs of other functions.
func (f *faultRig) waitRoom(ctx context.Context, function string) bool {
	for {
		f.mu.Lock()
		room, changed := function != "work" || len(f.open) < faultBacklog, f.changed
		f.mu.Unlock()
		if room {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// pauseWithin waits for d, or until ctx is done.
func pauseWithin(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// foreground has foreground jobs done, one after the other.
func (f *faultRig) foreground(ctx context.Context) {
	c := f.client()
	defer c.Close()
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, faultPatience)
		r, err := c.Do(limited, &gearman.Task{Function: "quick", Payload: []byte("quick")})
		cancel()
		switch {
		case err == nil && string(r.Data) == "quick":
			f.note(func() { f.counts["foreground"]++ })
		case ctx.Err() == nil:
			f.t.Errorf("foreground job: %v", err)
		}
		pauseWithin(ctx, time.Millisecond)
	}
}

// watch asks for the status again and again.
func (f *faultRig) watch(ctx context.Context) {
	a := gearman.NewAdmin(f.options().Servers[0], f.options())
	defer a.Close()
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, faultPatience)
		_, err := a.Status(limited)
		cancel()
		switch {
		case err == nil, errors.As(err, new(wire.ErrReply)): // it says LOADING while the store is read
			f.note(func() { f.counts["status"]++ })
		case ctx.Err() == nil:
			f.t.Errorf("status: %v", err)
		}
		pauseWithin(ctx, time.Millisecond)
	}
}

// goesOn checks that the server serves requests that need no store.
func (f *faultRig) goesOn(during string) {
	f.t.Helper()
	f.mu.Lock()
	before := map[string]int64{"foreground": f.counts["foreground"], "status": f.counts["status"]}
	f.mu.Unlock()
	f.waitUntil("foreground jobs and status "+during, func() bool {
		return f.counts["foreground"] >= before["foreground"]+5 && f.counts["status"] >= before["status"]+5
	})
}

// worksAgain sees that jobs are taken and done again.
func (f *faultRig) worksAgain(after string) {
	f.t.Helper()
	c := f.client()
	defer c.Close()
	payload := ""
	for begun := time.Now(); ; {
		f.again++
		payload = fmt.Sprintf("work again %d after %s", f.again, after)
		err := f.background(f.t.Context(), c, "work", payload)
		if err == nil {
			break
		}
		if time.Since(begun) > faultPatience {
			f.t.Fatalf("no job is taken after %s: %v", after, err)
		}
		pauseWithin(f.t.Context(), 20*time.Millisecond)
	}
	f.waitUntil("job done after "+after, func() bool { return f.ran[payload] == 1 })
}

// calls has all calls of a kind fail for a while.
func (f *faultRig) calls() {
	for _, how := range []storetest.Failure{storetest.Refuses, storetest.Delays, storetest.Hangs, storetest.Deaf, storetest.Panics} {
		name := fmt.Sprint("commits that fail as ", how)
		before := f.faulty.Struck(storetest.CallCommit)
		f.faulty.Fail(storetest.CallCommit, how, 0)
		f.waitUntil(name, func() bool { return f.faulty.Struck(storetest.CallCommit) > before })
		f.goesOn("during " + name)
		f.answered(name)
		f.faulty.Heal()
		f.worksAgain(name)
	}
}

// answered sees that a submission is answered, one way or the other.
func (f *faultRig) answered(during string) {
	f.t.Helper()
	c := f.client()
	defer c.Close()
	err := f.background(f.t.Context(), c, "work", "work during "+during)
	if refused := new(gearman.ServerError); err != nil && !errors.As(err, &refused) {
		f.t.Errorf("submission during %s: got %v, want an answer", during, err)
	}
}

// single has single operations on their way to or from the store's server cut
// off, held and swallowed.
func (f *faultRig) single() {
	if f.proxy == nil {
		return
	}
	faults := []storetest.Fault{storetest.CutOff, storetest.Hold, storetest.Swallow}
	for round := range 6 {
		fault := faults[round%3]
		payload := fmt.Sprintf("work single %d %d", round, f.random.Uint64())
		name := fmt.Sprintf("fault %d of the commit of %q", fault, payload)
		hits := f.proxy.Hits()
		if round < 3 {
			f.proxy.Hit(storetest.ToServer, f.mark(payload), fault)
		} else {
			f.proxy.LoseAnswerTo(f.mark(payload))
		}
		c := f.client()
		done := make(chan error, 1)
		go func() { done <- f.background(f.t.Context(), c, "work", payload) }()
		if round < 3 {
			f.waitUntil(name, func() bool { return f.proxy.Hits() > hits })
		}
		f.goesOn("during " + name)
		if err := <-done; fault == storetest.Hold && round < 3 && err != nil && !errors.As(err, new(*gearman.ServerError)) {
			f.t.Errorf("submission during %s: %v", name, err)
		}
		c.Close()
		f.proxy.Resume()
		f.worksAgain(name)
	}
	for range 5 { // anywhere
		n := f.random.IntN(20_000)
		d := storetest.Direction(f.random.IntN(2))
		cuts := f.proxy.Cuts()
		f.proxy.CutAfter(d, n)
		f.waitUntil("cut", func() bool { return f.proxy.Cuts() > cuts })
		f.goesOn(fmt.Sprintf("after a cut, %d bytes in direction %d", n, d))
		f.worksAgain("a cut")
	}
}

// mark returns how a payload looks on its way to the store.
func (f *faultRig) mark(payload string) []byte {
	if f.hexed {
		return []byte(hex.EncodeToString([]byte(payload)))
	}
	return []byte(payload)
}

// spilled has payloads that the server has left to the store read through
// faults.
func (f *faultRig) spilled() {
	if strings.HasPrefix(f.url, "memcached") { // it does not read single payloads
		return
	}
	const jobs = 60
	c := f.client()
	defer c.Close()
	payloads := f.fill(c, jobs)
	if f.proxy != nil {
		f.proxy.Hit(storetest.ToClient, []byte(payloads[jobs-1][:30]), storetest.CutOff)
	}
	for _, how := range []storetest.Failure{storetest.Refuses, storetest.Hangs} {
		before := f.faulty.Struck(storetest.CallReadPayload)
		f.faulty.Fail(storetest.CallReadPayload, how, 0)
		if how == storetest.Refuses {
			f.work("spilled")
		}
		f.waitUntil("payloads that can't be read", func() bool { return f.faulty.Struck(storetest.CallReadPayload) > before })
		f.goesOn("while payloads can't be read")
		f.faulty.Heal()
		f.waitUntil("some spilled jobs", func() bool {
			return slices.ContainsFunc(payloads, func(p string) bool { return f.ran[p] > 0 })
		})
	}
	f.waitUntil("all spilled jobs", func() bool {
		return !slices.ContainsFunc(payloads, func(p string) bool { return f.ran[p] == 0 })
	})
}

// fill submits jobs that do not fit into the server's memory and returns the
// payloads of those that were taken. A store on a loaded machine may take longer
// than faultStoreTimeout, so that its server refuses some.
func (f *faultRig) fill(c *gearman.Client, jobs int) (payloads []string) {
	f.t.Helper()
	for begun, i := time.Now(), 0; len(payloads) < jobs; i++ {
		payload := fmt.Sprintf("spilled %d %d ", i, f.random.Uint64()) + strings.Repeat("x", 4000)
		err := f.background(f.t.Context(), c, "spilled", payload)
		switch {
		case err == nil:
			payloads = append(payloads, payload)
		case !errors.As(err, new(*gearman.ServerError)), time.Since(begun) > faultPatience:
			f.t.Fatalf("submission %d of a job that spills: %v", i, err)
		}
	}
	return payloads
}

// restart sees that no job was lost or done twice, and that the next server has
// all jobs that wait, though reading fails at first.
func (f *faultRig) restart() {
	f.waitUntil("all acknowledged jobs", func() bool { return len(f.open) == 0 })
	f.end()
	f.check()
	kept := f.acknowledged("kept")
	if len(kept) == 0 {
		f.t.Fatal("no job is kept")
	}
	for _, f.readFailure = range []storetest.Failure{storetest.Refuses, storetest.Panics, storetest.Delays} {
		f.start()
		name := fmt.Sprint("while reading fails as ", f.readFailure)
		f.waitUntil(name, func() bool { return f.faulty.Struck(storetest.CallReplay) > 0 })
		f.goesOn(name)
		if f.readFailure == storetest.Delays { // the last time
			break
		}
		f.end()
		f.check()
	}
	f.faulty.Heal()
	f.work("kept", "spilled")
	f.waitUntil("all jobs that were kept", func() bool {
		return !slices.ContainsFunc(kept, func(p string) bool { return f.ran[p] == 0 })
	})
	f.waitUntil("all acknowledged jobs", func() bool { return len(f.open) == 0 })
	f.end()
	f.check()
}

// acknowledged returns the jobs of a function that were acknowledged.
func (f *faultRig) acknowledged(function string) (payloads []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for payload, ok := range f.accepted {
		if ok && strings.HasPrefix(payload, function) {
			payloads = append(payloads, payload)
		}
	}
	return payloads
}

// check sees that each job has run as often as it should.
func (f *faultRig) check() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	taken, refused := 0, 0
	for payload, ok := range f.accepted {
		switch n := f.ran[payload]; {
		case ok && n > 1:
			f.t.Errorf("%.60q was acknowledged and has run %d times", payload, n)
		case !ok && n > 0:
			f.t.Errorf("%.60q was refused and has run %d times", payload, n)
		case ok:
			taken++
		default:
			refused++
		}
	}
	f.t.Logf("%d jobs taken, %d refused, %d foreground jobs, %d status", taken, refused, f.counts["foreground"], f.counts["status"])
}
