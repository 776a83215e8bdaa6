package cmd_test

import (
	"strconv"
	"syscall"
	"testing"

	"gm/pkg/wire"
)

// TestUniqueWhileLoading submits a job with the unique of one that the server
// is still about to read. Nothing coalesces across that, so both come out.
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
	for range backlog + 1 {
		if p := c.mustReceive(t); p.Type != wire.JobCreated {
			t.Fatalf("answer to a submission: %v", p.Type)
		}
	}
	g.end(lf, syscall.SIGTERM)

	lf = g.start()
	c = mustDial(t, lf.addr)
	c.send(wire.SubmitJobBG, "g", "u", "second")
	if p := c.mustReceive(t); p.Type != wire.JobCreated {
		t.Fatalf("answer to a submission: %v %q", p.Type, p.Args[:2])
	}
	if !serverStats(t, g).Loading {
		t.Skip("the store has been read too soon")
	}
	waitFor(t, "the store to be read", func() bool { return !serverStats(t, g).Loading })
	g.end(lf, syscall.SIGKILL)

	lf = g.start()
	waitFor(t, "the store to be read", func() bool { return !serverStats(t, g).Loading })
	c = mustDial(t, lf.addr)
	c.send(wire.CanDo, "g")
	var got []string
	for {
		c.send(wire.GrabJob)
		p := c.mustReceive(t)
		if p.Type == wire.NoJob {
			break
		}
		got = append(got, string(p.Args[2]))
		c.send(wire.WorkComplete, string(p.Args[0]), "")
	}
	if len(got) != 2 || got[0] != "first" || got[1] != "second" {
		t.Errorf("of the jobs first and second, both acknowledged, came out: %q", got)
	}
}
