package systest

import (
	"strconv"
	"syscall"
	"testing"

	"gm/pkg/wire"
)

// TestUniqueWhileLoading submits a job with the unique of one that the server
// is still about to read: they are one job.
func TestUniqueWhileLoading(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			testUniqueWhileLoading(t, p.open(t).url)
		})
	}
}

func testUniqueWhileLoading(t *testing.T, url string) {
	g := newGMServer(t, "--store", url)
	lf := g.start()
	c := mustDial(t, lf.addr)
	const backlog = 40_000
	for n := range backlog {
		c.send(wire.SubmitJobBG, "f", "", strconv.Itoa(n))
	}
	c.send(wire.SubmitJobBG, "g", "u", "first")
	var first string
	for range backlog + 1 {
		p := c.mustReceive(t)
		if p.Type != wire.JobCreated {
			t.Fatalf("answer to a submission: %v", p.Type)
		}
		first = string(p.Args[0])
	}
	g.end(lf, syscall.SIGTERM)

	lf = g.start()
	c = mustDial(t, lf.addr)
	c.send(wire.SubmitJobBG, "g", "u", "second")
	c.send(wire.SubmitJob, "g", "u", "third")
	c.send(wire.GetStatus, first)
	for range 2 {
		if p := c.mustReceive(t); p.Type != wire.JobCreated || string(p.Args[0]) != first {
			t.Errorf("answer to a submission: %v %q, want %s", p.Type, p.Args[:1], first)
		}
	}
	if p := c.mustReceive(t); p.Type != wire.StatusRes || string(p.Args[1]) != "1" {
		t.Errorf("answer to GET_STATUS: %v %q", p.Type, p.Args[:2])
	}
	waitFor(t, "the store to be read", func() bool { return !serverStats(t, g).Loading })
	g.end(lf, syscall.SIGKILL)

	lf = g.start()
	waitFor(t, "the store to be read", func() bool { return !serverStats(t, g).Loading })
	c = mustDial(t, lf.addr)
	c.send(wire.CanDo, "g")
	c.send(wire.GrabJob)
	if p := c.mustReceive(t); p.Type != wire.JobAssign || string(p.Args[2]) != "first" {
		t.Errorf("answer to GRAB_JOB: %v", p.Type)
	}
	c.send(wire.GrabJob)
	if p := c.mustReceive(t); p.Type != wire.NoJob {
		t.Errorf("another job came out: %v", p.Type)
	}
}
