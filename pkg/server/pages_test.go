package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

const manyRows = 5 * server.PageSteps

// submitMany submits background jobs with the uniques u0, u1, ...
func submitMany(t *testing.T, p *peer, function string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		var b []byte
		for i := range n {
			b = wire.AppendString(b, wire.Request, wire.SubmitJobBG, function, fmt.Sprintf("u%d", i), "payload")
		}
		p.Write(b)
	})
	for range n {
		p.want(`JOB_CREATED *`)
	}
	wg.Wait()
}

// killMany makes dead jobs.
func killMany(t *testing.T, addr, function string, n int) {
	t.Helper()
	w, c := worker(t, addr, function), dial(t, addr)
	submitMany(t, c, function, n)
	for range n {
		w.send(req(wire.WorkFail, w.grab()))
	}
	w.sync()
	w.Close()
}

// No command walks all jobs, functions or connections in one piece: between its
// pages others are served.
func TestLongCommandsComeInPages(t *testing.T) {
	t.Parallel()
	const jobs, functions, conns = manyRows, manyRows, 300
	for _, tt := range []struct {
		cmd  string
		rows int // of the reply, without its end; 0 for one line
		line string
	}{
		{"jobs - - 0", jobs, ""},
		{"jobs f - 0", jobs, ""},
		{"jobs f waiting 0", jobs, ""},
		{"jobs g - 0", 0, ""},
		{"jobs - dead 0", jobs, ""},
		{"jobs d dead 0", jobs, ""},
		{"show jobs", jobs, ""},
		{"show unique jobs", jobs, ""},
		{"status", functions + 2, ""},
		{"prioritystatus", functions + 2, ""},
		{"stats", functions + 3, ""},
		{"workers", conns + 3, ""},
		{"sessions", conns + 3, ""},
		{"purge function f", 0, fmt.Sprintf("OK %d", jobs)},
		{"purge dead d", 0, fmt.Sprintf("OK %d", jobs)},
		{"retry function d", 0, fmt.Sprintf("OK %d", jobs)},
	} {
		for _, kept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", tt.cmd, kept), func(t *testing.T) {
				t.Parallel()
				cfg := server.Config{}
				if kept {
					cfg.Store = newJournal()
				}
				s, addr := start(t, cfg)
				other, p := dial(t, addr), dial(t, addr)
				switch {
				case strings.Contains(tt.cmd, "dead"), strings.HasPrefix(tt.cmd, "retry"):
					killMany(t, addr, "d", jobs)
				case tt.cmd == "workers", tt.cmd == "sessions":
					for i := range conns {
						w := dial(t, addr)
						for k := range 20 {
							w.send(req(wire.CanDo, fmt.Sprintf("w%d-%d", i%7, k)))
						}
						w.sync()
					}
					dial(t, addr).sync()
				case tt.rows >= functions && !strings.Contains(tt.cmd, "jobs"):
					w := worker(t, addr, "f", "g")
					var b []byte
					for i := range functions {
						b = wire.AppendString(b, wire.Request, wire.CanDo, fmt.Sprintf("f%d", i))
					}
					w.send(b)
					w.sync()
				default:
					submitMany(t, other, "f", jobs)
				}
				var pages atomic.Int32
				s.OnPage(func() {
					pages.Add(1)
					other.sync() // the server serves others between two pages
				})
				if tt.line != "" {
					if got := p.line(tt.cmd); got != tt.line {
						t.Errorf("got %q, want %q", got, tt.line)
					}
				} else {
					rows := p.list(tt.cmd)
					if len(rows) != tt.rows {
						t.Errorf("%d rows, want %d", len(rows), tt.rows)
					}
					seen := make(map[string]bool)
					for _, row := range rows {
						if seen[row] {
							t.Fatalf("the row %s comes twice", row)
						}
						seen[row] = true
					}
				}
				if n := int(pages.Load()); n < 4 {
					t.Errorf("it took %d pages", n)
				}
				p.sync()
			})
		}
	}
}

// What stands behind a long command waits for it, and what stands before it
// comes first.
func TestLongCommandKeepsTheOrder(t *testing.T) {
	st := gated()
	_, addr := start(t, server.Config{Store: st})
	p, w := dial(t, addr), dial(t, addr)
	for i := range 500 {
		w.send(req(wire.CanDo, fmt.Sprintf("f%d", i)))
	}
	w.sync()
	p.send(req(wire.SubmitJobBG, "g", "", ""), []byte("status\n"), req(wire.EchoReq, "behind"), []byte("version\n"))
	<-st.entered
	st.open()
	p.want(`JOB_CREATED *`)
	for range 501 {
		p.readLine()
	}
	if got := p.readLine(); got != "." {
		t.Errorf("the end of the list is %q", got)
	}
	p.want(`ECHO_RES data=6:"behind"`)
	if got := p.readLine(); !strings.HasPrefix(got, "OK") {
		t.Errorf("version: %q", got)
	}
}

// A listing is not collected in memory for who reads it slowly, and ends with
// who does not want it any more.
func TestLongListingWaitsForItsReader(t *testing.T) {
	s, addr := start(t, server.Config{MaxPayload: 64 << 10, MaxOutbox: 512 << 10})
	c, slow, leaves, admin := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	for _, p := range []*peer{c, slow, leaves, admin} {
		p.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // the next read tells
	}
	const jobs = 40_000
	submitMany(t, c, strings.Repeat("f", 500), jobs)
	for _, p := range []*peer{slow, leaves} {
		p.Conn.(*net.TCPConn).SetReadBuffer(64 << 10) //nolint:errcheck // it only takes longer
		p.send([]byte("jobs - - 0\n"))
	}
	owed := func() (most int) {
		for _, row := range admin.list("sessions") {
			var one wire.Session
			if err := json.Unmarshal([]byte(row), &one); err != nil {
				t.Fatal(err)
			}
			most = max(most, one.OwedBytes)
		}
		return most
	}
	eventually(t, "the listing waits", func() bool { return owed() > 256<<10 })
	for range 20 {
		if n := owed(); n > 2<<20 {
			t.Fatalf("%d bytes wait for it", n)
		}
	}
	leaves.Close()
	rows := 0
	for slow.readLine() != "." {
		rows++
	}
	if rows != jobs {
		t.Errorf("%d rows, want %d", rows, jobs)
	}
	eventually(t, "who left is gone", func() bool { return len(admin.list("sessions")) == 3 })
	admin.send([]byte("jobs - - 0\njobs - - 0\n"))
	admin.readLine()
	s.Close() // in the middle of a listing
}

func TestJobsCursor(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	submitMany(t, p, "f", 7)
	killMany(t, addr, "d", 7)
	for _, tt := range []struct{ filter, after string }{{"f -", ""}, {"- waiting", ""}, {"- -", ""}, {"d dead", ""}, {"- dead", ""}} {
		all := p.list("jobs " + tt.filter + " 0")
		if len(all) != 7 {
			t.Fatalf("jobs %s: %d rows", tt.filter, len(all))
		}
		var paged []string
		for after := ""; len(paged) < 10; {
			page := p.list("jobs " + tt.filter + " 3" + after)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			var last wire.Job
			if err := json.Unmarshal([]byte(page[len(page)-1]), &last); err != nil {
				t.Fatal(err)
			}
			after = " " + last.Handle
		}
		if len(paged) != len(all) {
			t.Fatalf("jobs %s: %d rows in pages of 3", tt.filter, len(paged))
		}
		for i := range all {
			var got, want wire.Job
			if json.Unmarshal([]byte(paged[i]), &got) != nil || json.Unmarshal([]byte(all[i]), &want) != nil || got.Handle != want.Handle {
				t.Errorf("jobs %s: row %d is %s, want %s", tt.filter, i, paged[i], all[i])
			}
		}
	}
	for _, bad := range []string{"jobs - - 3 nonsense", "jobs - dead 3 H:test:999999999999999999"} {
		if got := p.line(bad); got != "ERR UNKNOWN_JOB" {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// A turn is bounded: whoever pipelines commands has one of them executed, and
// others have their turns before the next.
func TestTurnHasOneAdminCommand(t *testing.T) {
	s, addr := start(t, server.Config{})
	for name, tt := range map[string]struct {
		sent string
		want int // functions that are made in one turn
		more bool
	}{
		"one command":           {"create function a\n", 1, true},
		"pipelined commands":    {strings.Repeat("create function a\ncreate function b\n", 50), 1, true},
		"packets and a command": {string(req(wire.CanDo, "a")) + "create function b\ncreate function c\n", 2, true},
		"packets":               {strings.Repeat(string(req(wire.CanDo, "a")), 100), 1, true},
		"few packets":           {strings.Repeat(string(req(wire.CanDo, "a")), 5), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			mine, its := net.Pipe()
			go func() {
				mine.Write([]byte(tt.sent))
				for b := make([]byte, 1024); ; {
					if _, err := mine.Read(b); err != nil {
						return
					}
				}
			}()
			more, err := s.Turn(its)
			mine.Close()
			if err != nil || more != tt.more {
				t.Errorf("more %v, error %v; want %v", more, err, tt.more)
			}
			p := dial(t, addr)
			rows := p.list("status")
			if len(rows) != tt.want {
				t.Errorf("%d functions after a turn, want %d", len(rows), tt.want)
			}
			for _, row := range rows {
				name, _, _ := strings.Cut(row, "\t")
				p.line("drop function " + name)
			}
		})
	}
}

// A peer that pipelines commands gets all replies, in order, and others are
// served meanwhile.
func TestPipelinedCommandsSlowNobody(t *testing.T) {
	_, addr := start(t, server.Config{})
	p, other := dial(t, addr), dial(t, addr)
	const lines = 3000
	var b []byte
	for i := range lines {
		b = fmt.Appendf(b, "create function f%d\nstatus\n", i%20)
	}
	var wg sync.WaitGroup
	wg.Go(func() { p.Write(b) })
	wg.Go(func() {
		for range lines / 20 {
			other.sync()
		}
	})
	for i := range lines {
		if got := p.readLine(); got != "OK" {
			t.Fatalf("line %d: %q", i, got)
		}
		rows := 0
		for p.readLine() != "." {
			rows++
		}
		if rows != min(i+1, 20) {
			t.Fatalf("line %d: %d rows", i, rows)
		}
	}
	wg.Wait()
}
