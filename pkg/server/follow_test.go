package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// wantEvent reads a line of follow and compares it without what changes.
func (p *peer) wantEvent(want string) {
	p.t.Helper()
	line := p.readLine()
	var row struct {
		wire.FollowEvent
		*wire.Outcome
	}
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	got := string(row.Event)
	switch row.Event {
	case "":
		got = string(row.State)
	case wire.FollowStatus:
		got = fmt.Sprintf("%s %d/%d", row.Event, row.Numerator, row.Denominator)
	case wire.FollowData, wire.FollowWarning:
		got = fmt.Sprintf("%s %q", row.Event, row.Data)
	}
	if got != want {
		p.t.Fatalf("got %s, want %s", got, want)
	}
}

// follow has the connection follow a job that has sent nothing yet, and returns
// when the server knows. The server handles the packets of one connection in
// order, those of several in any.
func (p *peer) follow(handle string) {
	p.t.Helper()
	p.send([]byte("follow " + handle + "\n"))
	p.sync()
}

// A job can be followed: what its worker sends comes as it comes, also binary
// data, and then its end.
func TestFollow(t *testing.T) {
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprintf("results kept %v", kept), func(t *testing.T) {
			cfg := server.Config{Store: newJournal()}
			if kept {
				cfg.KeepResults = time.Hour
			}
			_, addr := start(t, cfg)
			w, w2, c, p, late := worker(t, addr, "f"), worker(t, addr, "f"), dial(t, addr), dial(t, addr), dial(t, addr)
			h := c.submit(wire.SubmitJobBG, "f", "", "")
			p.follow(h)
			w.grab()
			w.send(req(wire.WorkStatus, h, "1", "7"), req(wire.WorkData, h, "lost"))
			p.wantEvent("status 1/7")
			p.wantEvent(`data "lost"`)
			w.Close()
			p.wantEvent("again")
			for w2.send(req(wire.GrabJob)); w2.next().Type != wire.JobAssign; w2.send(req(wire.GrabJob)) {
			}
			w2.send(req(wire.WorkData, h, "bin\x00\xff\n"), req(wire.WorkStatus, h, "2", "7"), req(wire.WorkWarning, h, "hm"))
			p.wantEvent(`data "bin\x00\xff\n"`)
			p.wantEvent("status 2/7")
			p.wantEvent(`warning "hm"`)
			late.send([]byte("follow " + h + "\n"))
			if kept {
				late.wantEvent(`data "bin\x00\xff\n"`)
			}
			late.wantEvent("status 2/7")
			w2.send(req(wire.WorkComplete, h, "end"))
			for _, one := range []*peer{p, late} {
				one.wantEvent(`data "end"`)
				one.wantEvent(string(wire.OutcomeCompleted))
				if got := one.readLine(); got != "." {
					t.Errorf("got %s behind the end", got)
				}
				one.sync()
			}
			p.send([]byte("follow " + h + "\n"))
			if kept {
				p.wantEvent(string(wire.OutcomeCompleted))
			} else {
				p.wantEvent(string(wire.OutcomeUnknown))
			}
			p.readLine()
		})
	}
}

func TestFollowToOtherEnds(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c, p := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	for name, end := range map[wire.OutcomeState]func(h string){
		wire.OutcomeDead:      func(h string) { w.grab(); w.send(req(wire.WorkFail, h)) },
		wire.OutcomeCancelled: func(h string) { c.line("cancel job " + h) },
	} {
		h := c.submit(wire.SubmitJobBG, "f", "", "")
		p.follow(h)
		end(h)
		p.wantEvent(string(name))
		p.readLine()
		p.sync()
	}
	// who leaves in the middle is forgotten
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	gone := dial(t, addr)
	gone.follow(h)
	gone.Close()
	eventually(t, "it is gone", func() bool { return len(c.list("sessions")) == 3 })
	w.grab()
	w.send(req(wire.WorkData, h, "x"), req(wire.WorkComplete, h, ""))
	w.sync()
}

// A follower that reads slowly gets all, and the worker waits for it.
func TestFollowHasBackPressure(t *testing.T) {
	const pieces = 24
	_, addr := start(t, server.Config{MaxPayload: 1 << 20, MaxOutbox: 4 << 20})
	w, c, p := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	p.Conn.(*net.TCPConn).SetReadBuffer(256 << 10) //nolint:errcheck // it only takes longer
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	p.follow(h)
	w.grab()
	var wg sync.WaitGroup
	wg.Go(func() {
		piece := strings.Repeat("d", 32<<10)
		for range pieces * 32 {
			w.Write(req(wire.WorkData, h, piece))
		}
		w.Write(req(wire.WorkComplete, h, ""))
	})
	for n := 0; n < pieces*32; n++ {
		var e wire.FollowEvent
		if err := json.Unmarshal([]byte(p.readLine()), &e); err != nil || len(e.Data) != 32<<10 {
			t.Fatalf("piece %d: %d bytes, %v", n, len(e.Data), err)
		}
	}
	p.wantEvent(string(wire.OutcomeCompleted))
	wg.Wait()
}

// A waiting job can be moved to the head of its queue.
func TestFront(t *testing.T) {
	_, addr := start(t, server.Config{})
	c := dial(t, addr)
	var handles []string
	for range 4 {
		handles = append(handles, c.submit(wire.SubmitJobBG, "f", "", ""))
	}
	for _, h := range []string{handles[2], handles[3], handles[3]} {
		if got := c.line("front job " + h); got != "OK" {
			t.Errorf("front: %s", got)
		}
	}
	w := worker(t, addr, "f")
	for _, want := range []string{handles[3], handles[2], handles[0], handles[1]} {
		if got := w.grab(); got != want {
			t.Errorf("grabbed %s, want %s", got, want)
		}
	}
	c.send(req(wire.SubmitJobEpoch, "f", "", fmt.Sprint(time.Now().Add(time.Hour).Unix()), ""))
	delayed := c.want(`JOB_CREATED *`)[0]
	w.send(req(wire.WorkFail, handles[0]))
	w.sync()
	for h, want := range map[string]string{
		handles[1]: "ERR NOT_WAITING the job is running",
		handles[0]: "ERR NOT_WAITING the job is dead",
		delayed:    "ERR NOT_WAITING the job is delayed",
		"H:test:1": "ERR UNKNOWN_JOB",
	} {
		if got := c.line("front job " + h); got != want {
			t.Errorf("front job %s: %s, want %s", h, got, want)
		}
	}
}
