package systest

import (
	"math/rand/v2"
	"testing"
	"time"

	"gm/pkg/wire"
)

// storeTimeout is --store-timeout in these tests.
const storeTimeout = 2 * time.Second

// TestOutage kills the database, under load, and starts it again. Meanwhile
// submissions are refused, and foreground jobs are done.
func TestOutage(t *testing.T) {
	for _, p := range places {
		if p.name == "disk" || p.name == "sqlite" {
			continue // they have no server
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			testOutage(t, p.open(t))
		})
	}
}

func testOutage(t *testing.T, p place) {
	seed := chaosSeedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	l := newLedger(chaosStreams())
	for _, st := range l.streams {
		st.perLife = 1 << 20
		st.pace = 5 * time.Millisecond
	}
	g := newGMServer(t, "--store", p.url, "--job-retries", "-1", "--host", "chaos", "--store-timeout", storeTimeout.String())
	lf := g.start()
	crowd := startCrowd(t, g, l, seed)
	for round := range max(3, *chaosKills/5) {
		was := l.figures()
		waitFor(t, "an acknowledgement", func() bool { return l.figures().acked > was.acked+100 })
		pause(t, time.Duration(random.IntN(500))*time.Millisecond)

		p.kill()
		killed := time.Now()
		refused := l.figures().refused
		waitFor(t, "a refusal", func() bool { return l.figures().refused > refused })
		refusal := time.Since(killed)
		if refusal > storeTimeout+time.Second {
			t.Errorf("round %d: the first submission was refused after %v, want %v", round, refusal, storeTimeout)
		}
		checkRefused(t, lf.addr)
		checkForeground(t, lf.addr)
		pause(t, time.Duration(random.IntN(500))*time.Millisecond)
		p.start(t)
		acked, began := l.figures().acked, time.Now()
		waitFor(t, "service with the database back", func() bool { return l.figures().acked > acked })
		t.Logf("%s: database killed %d times: refused %v after the kill, served %v after the start", t.Name(), round+1,
			refusal.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	crowd.drain(t)
	checkEmpty(t, g)
	l.report(t)
}

// checkRefused submits jobs in the background until one is refused, in time and with the
// reason. A database may outlive its first process for a moment: the jobs that it still
// accepts are done.
func checkRefused(t *testing.T, addr string) {
	t.Helper()
	c := mustDial(t, addr)
	c.send(wire.CanDo, "short")
	waitFor(t, "a refusal", func() bool {
		c.send(wire.SubmitJobBG, "short", "", "lived")
		began := time.Now()
		p := c.mustReceive(t)
		if took := time.Since(began); took > storeTimeout+time.Second {
			t.Errorf("a submission was answered after %v, want %v", took, storeTimeout)
		}
		if p.Type == wire.JobCreated {
			c.send(wire.GrabJob)
			if p = c.mustReceive(t); p.Type != wire.JobAssign {
				t.Fatalf("answer to a grab: %v", p.Type)
			}
			c.send(wire.WorkComplete, string(p.Args[0]), "")
			return false
		}
		if p.Type != wire.Error || string(p.Args[0]) != wire.CodeQueueError || len(p.Args[1]) == 0 {
			t.Fatalf("answer of a server without its store: %v %q, want ERROR %s and a reason", p.Type, p.Args[:p.Type.NumArgs()], wire.CodeQueueError)
		}
		return true
	})
}

// checkForeground has a job done while its client waits.
func checkForeground(t *testing.T, addr string) {
	t.Helper()
	client, worker := mustDial(t, addr), mustDial(t, addr)
	worker.send(wire.CanDo, "foreground")
	client.send(wire.SubmitJob, "foreground", "", "ping")
	if p := client.mustReceive(t); p.Type != wire.JobCreated {
		t.Fatalf("foreground job: %v %q", p.Type, p.Args[:p.Type.NumArgs()])
	}
	worker.send(wire.GrabJob)
	p := worker.mustReceive(t)
	if p.Type != wire.JobAssign {
		t.Fatalf("foreground job: its worker got %v", p.Type)
	}
	worker.send(wire.WorkComplete, string(p.Args[0]), "pong")
	if err := worker.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if p := client.mustReceive(t); p.Type != wire.WorkComplete || string(p.Args[1]) != "pong" {
		t.Errorf("foreground job: %v %q", p.Type, p.Args[:p.Type.NumArgs()])
	}
}

// mustDial connects for the rest of the test.
func mustDial(t *testing.T, addr string) *rawConn {
	t.Helper()
	c, err := dialRaw(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// mustReceive sends the collected packets and returns the next packet that is no NOOP. It
// is valid until the next one.
func (c *rawConn) mustReceive(t *testing.T) *wire.Packet {
	t.Helper()
	if err := c.w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var p wire.Packet
	for {
		if err := c.r.Next(&p); err != nil {
			t.Fatal(err)
		}
		if p.Type != wire.Noop {
			return &p
		}
	}
}
