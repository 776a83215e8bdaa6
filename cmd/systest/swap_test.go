package systest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gm/pkg/store/storetest"
	"gm/pkg/wire"
)

// swapQueues are gearmand's queues, as 1.1.20 has them.
var swapQueues = map[string]struct {
	untimed bool // it refuses delayed jobs, and runs at once those that it finds
	cuts    bool // it takes a payload to end at its first NUL, so gm keeps those back for its own return
	forgets bool // it restores all with one priority, and at once
	partly  bool // it finds only some of the jobs
}{
	"sqlite":    {},
	"postgres":  {forgets: true},
	"mysql":     {},
	"redis":     {untimed: true, cuts: true},
	"memcached": {untimed: true, partly: true},
}

// memcachedPlace is not for those tests in which databases are killed, or
// servers with more than memcached is sure to keep.
func memcachedPlace(t *testing.T) place {
	s := storetest.StartMemcached(t)
	return place{
		url:     "memcached://" + s.Addr(),
		options: []string{"--queue-type=libmemcached", "--libmemcached-servers=" + s.Addr()},
	}
}

// TestSwap runs gm serve and Debian's gearmand in turn on one queue, with the same options:
// each hands out the jobs of the other, once and unchanged.
func TestSwap(t *testing.T) {
	for name, open := range swapPlaces() {
		queue := swapQueues[name]
		t.Run(name+" from gearmand", func(t *testing.T) {
			t.Parallel()
			options := open(t).options
			jobs := swapJobs()
			if queue.untimed {
				jobs = slices.DeleteFunc(jobs, func(j swapJob) bool { return j.due != 0 })
			}
			gearmand := startGearmand(t, options)
			submitSwap(t, gearmand.addr, jobs)
			gearmand.stop()
			gm := startGM(t, options)
			drainSwap(t, gm.addr, jobs, swapOrder{priorities: true, times: true})
			gm.stop()
			gearmand = startGearmand(t, options)
			drainSwap(t, gearmand.addr, nil, swapOrder{})
			gearmand.stop()
		})
		t.Run(name+" to gearmand", func(t *testing.T) {
			t.Parallel()
			options := open(t).options
			jobs := swapJobs()
			for i := range 10 {
				// gearmand would keep the last of these only.
				jobs = append(jobs, swapJob{submit: wire.SubmitJobBG, function: "none", unique: []string{"", "-"}[i%2], payload: fmt.Sprint("none ", i)})
			}
			stays := func(j swapJob) bool { return queue.cuts && strings.Contains(j.payload, "\x00") }
			goes := func(j swapJob) bool { return !stays(j) }
			gm := startGM(t, options)
			submitSwap(t, gm.addr, jobs)
			gm.stop()
			gearmand := startGearmand(t, options)
			left := drainSwap(t, gearmand.addr, slices.DeleteFunc(slices.Clone(jobs), stays),
				swapOrder{priorities: !queue.forgets, times: !queue.forgets && !queue.untimed, partly: queue.partly})
			gearmand.stop()
			if queue.partly {
				t.Logf("gearmand has found all but %d of %d jobs", len(left), len(jobs))
			}
			gm = startGM(t, options)
			drainSwap(t, gm.addr, append(slices.DeleteFunc(jobs, goes), left...), swapOrder{priorities: true, times: true})
			gm.stop()
		})
	}
}

// swapPlaces returns functions that make places for gearmand's queues.
func swapPlaces() map[string]func(*testing.T) place {
	all := map[string]func(*testing.T) place{"memcached": memcachedPlace}
	for _, p := range places {
		if _, ok := swapQueues[p.name]; ok {
			all[p.name] = p.open
		}
	}
	return all
}

// swapJob is a job that both servers can take.
type swapJob struct {
	submit                    wire.Type
	function, unique, payload string
	due                       int64 // of a delayed job, in Unix seconds
}

func (j swapJob) String() string {
	return fmt.Sprintf("%v %s %q %.60q", j.submit, j.function, j.unique, j.payload)
}

// swapJobs returns jobs of all sorts.
func swapJobs() (jobs []swapJob) {
	for i := range 60 {
		jobs = append(jobs, swapJob{
			submit: bgByPriority[i%3], function: fmt.Sprint("f", i%2), unique: fmt.Sprint("unique", i), payload: fmt.Sprint("payload ", i),
		})
	}
	for i, payload := range []string{
		"", "\x00", "nul\x00s \x00\x00", `it's "quoted" \' \\ %s $1 ?`, "\xff\xfe\x80", "line\r\nbreak\n", "ü€", strings.Repeat("0123456789\x00'", 10_000),
	} {
		jobs = append(jobs, swapJob{submit: wire.SubmitJobBG, function: "payload", unique: fmt.Sprint("p", i), payload: payload})
	}
	for i := range 4 {
		jobs = append(jobs, swapJob{
			submit: wire.SubmitJobEpoch, function: "delayed", unique: fmt.Sprint("d", i), payload: fmt.Sprint("later ", i),
			due: time.Now().Unix() + 2 + int64(i%2),
		})
	}
	return jobs
}

// submitSwap submits jobs, all of which have to be taken.
func submitSwap(t *testing.T, addr string, jobs []swapJob) {
	t.Helper()
	c := mustDial(t, addr)
	defer c.Close()
	for _, j := range jobs {
		args := []string{j.function, j.unique}
		if j.due != 0 {
			args = append(args, strconv.FormatInt(j.due, 10))
		}
		c.send(j.submit, append(args, j.payload)...)
		if p := c.mustReceive(t); p.Type != wire.JobCreated {
			t.Fatalf("answer to job %v: %v %q", j, p.Type, p.Args[:p.Type.NumArgs()])
		}
	}
}

// swapOrder checks the order of jobs: those of a function by priority, and delayed ones
// not before their time. Partly allows missing jobs.
type swapOrder struct{ priorities, times, partly bool }

// drainSwap does jobs until all those that are wanted have come, and sees that
// there are no others: each once, with its payload and its unique. It returns
// those that have not come.
func drainSwap(t *testing.T, addr string, want []swapJob, order swapOrder) (missing []swapJob) {
	t.Helper()
	c := mustDial(t, addr)
	defer c.Close()
	for _, f := range []string{"f0", "f1", "payload", "delayed", "none"} {
		c.send(wire.CanDo, f)
	}
	left := map[string]swapJob{}
	for _, j := range want {
		left[j.function+"\x00"+j.payload] = j
	}
	last := map[string]int{}
	came := 0
	take := func() bool {
		for {
			c.send(wire.GrabJobUniq)
			p := c.mustReceive(t)
			if p.Type == wire.NoJob {
				return len(left) == 0
			}
			if p.Type != wire.JobAssignUniq {
				t.Fatalf("answer to a grab: %v %q", p.Type, p.Args[:p.Type.NumArgs()])
			}
			handle, function, unique, payload := string(p.Args[0]), string(p.Args[1]), string(p.Args[2]), string(p.Args[3])
			came++
			j, ok := left[function+"\x00"+payload]
			switch {
			case !ok:
				t.Errorf("a job of %s, unique %q, payload %.100q came out, which does not wait", function, unique, payload)
			case unique != j.unique && j.unique != "" && j.unique != "-":
				t.Errorf("job %v came out with the unique %q", j, unique)
			case order.times && time.Now().Unix() < j.due:
				t.Errorf("job %v came out %v before its time", j, time.Until(time.Unix(j.due, 0)))
			}
			if ok {
				delete(left, function+"\x00"+payload)
				priority := slices.Index(bgByPriority[:], j.submit)
				if order.priorities && priority >= 0 && priority < last[function] {
					t.Errorf("job %v came out after one of a lower priority", j)
				}
				last[function] = max(last[function], priority)
			}
			c.send(wire.WorkComplete, handle, "")
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience / 2); !take() && !order.partly && time.Now().Before(late); {
		<-tick.C
	}
	for _, j := range left {
		missing = append(missing, j)
		if !order.partly {
			t.Errorf("job %v has not come out", j)
		}
	}
	if t.Failed() {
		t.Logf("%d of %d jobs came out", came, len(want))
	}
	return missing
}

// swapServer is one of the two servers.
type swapServer struct {
	addr string
	stop func() // as the system's service does
}

// startGM starts gm serve with gearmand's options for a queue.
func startGM(t *testing.T, options []string) swapServer {
	t.Helper()
	g := newGMServer(t, options...)
	lf := g.start()
	waitFor(t, "the queue to be read", func() bool { return !serverStats(t, g).Loading })
	return swapServer{lf.addr, func() {
		t.Helper()
		if g.end(lf, syscall.SIGTERM); !lf.clean() {
			t.Errorf("gm serve ended with %v", lf.err)
		}
	}}
}

// startGearmand starts Debian's gearmand on a free port.
func startGearmand(t *testing.T, options []string) swapServer {
	t.Helper()
	path, err := exec.LookPath("gearmand")
	if err != nil {
		path = "/usr/sbin/gearmand"
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("no gearmand here (gearman-job-server)")
	}
	// It can't be told to take any port and say which.
	free, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free)
	addr := net.JoinHostPort("127.0.0.1", port)
	c := start(t, append([]string{path, "-L", "127.0.0.1", "-p", port, "-l", "stderr"}, options...)...)
	waitFor(t, "gearmand to listen", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return swapServer{addr, func() {
		c.cmd.Process.Signal(syscall.SIGTERM)
		waitFor(t, "the end of gearmand", func() bool {
			select {
			case <-c.done:
				return true
			default:
				return false
			}
		})
	}}
}
