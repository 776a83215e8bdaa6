package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// Replies byte by byte, as gearmand's where it has the command.
func TestAdminReplies(t *testing.T) {
	missing := func(word string) string {
		return "ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+" + word + "\r\n"
	}
	unknown := func(word string) string {
		return "ERR UNKNOWN_COMMAND Unknown+server+command" + word + "\r\n"
	}
	const unknownShow = "ERR UNKNOWN_SHOW_ARGUMENTS\r\n"
	tests := []struct{ line, want string }{
		{"status", ".\n"},
		{"STATUS", ".\n"},
		{"  Status \t x", ".\n"},
		{"prioritystatus", ".\n"},
		{"PriorityStatus", ".\n"},
		{"show jobs", ".\n"},
		{"Show JOBS", ".\n"},
		{"show unique jobs", ".\n"},
		{"SHOW Unique Jobs", ".\n"},
		{"getpid", fmt.Sprintf("OK %d\n", os.Getpid())},
		{"version", "OK 9.8\n"},
		{"verbose", "OK ERROR\n"},

		{"create function f", "OK\r\n"},
		{"Create Function f", "OK\r\n"},
		{"status", "f\t0\t0\t0\n.\n"},
		{"prioritystatus", "f\t0\t0\t0\t0\n.\n"},
		{"maxqueue f 5", "OK\r\n"},
		{"maxqueue f 5 6 7", "OK\r\n"},
		{"maxqueue f -5", "OK\r\n"},
		{"maxqueue f x", "OK\r\n"},
		{"maxqueue f", "OK\r\n"},
		{"pause function f", "OK\r\n"},
		{"RESUME function f", "OK\r\n"},
		{"purge function f", "OK 0\r\n"},
		{"drop function f", "OK\r\n"},
		{"drop function f", "ERR function not found\r\n"},
		{"pause function f", "ERR function not found\r\n"},
		{"resume function f", "ERR function not found\r\n"},
		{"purge function f", "ERR function not found\r\n"},
		{"cancel job H:test:1", "ERR UNKNOWN_JOB\r\n"},
		{"job H:test:1", "ERR UNKNOWN_JOB\r\n"},
		{"jobs", ".\n"},
		{"shutdown", "ERR NOT_ALLOWED\r\n"},

		{"", unknown("")},
		{"   ", unknown("")},
		{"bogus", unknown("bogus")},
		{"BoGus a b", unknown("BoGus")},
		{"statu", unknown("statu")},
		{"status2", unknown("status2")},
		{"function f", unknown("function")},
		{"show", unknown("show")},
		{"show foo", unknownShow},
		{"show unique", unknownShow},
		{"show jobs x", unknownShow},
		{"show unique jobs x", unknownShow},
		{"create", missing("create")},
		{"create function", missing("create")},
		{"create function a b", missing("create")},
		{"CREATE foo bar", missing("CREATE")},
		{"create function " + strings.Repeat("x", 1025), "ERR CREATE_FUNCTION " + strings.Repeat("x", 1025) + "\r\n"},
		{"drop", missing("drop")},
		{"drop function", missing("drop")},
		{"cancel", missing("cancel")},
		{"cancel job", missing("cancel")},
		{"cancel job a b", missing("cancel")},
		{"maxqueue", missing("maxqueue")},
		{"pause", missing("pause")},
		{"pause function", missing("pause")},
		{"resume", missing("resume")},
		{"purge", missing("purge")},
		{"job", missing("job")},
		{"jobs f sleeping", missing("sleeping")},
		{"jobs f waiting -1", missing("-1")},
		{"jobs f waiting many", missing("many")},
		{"shutdown now", missing("shutdown")},
	}
	_, addr := start(t, server.Config{Version: "9.8"})
	p := dial(t, addr)
	for _, tt := range tests {
		for _, end := range []string{"\n", "\r\n"} {
			if strings.HasPrefix(tt.line, "drop function f") && end == "\r\n" {
				continue // it is gone
			}
			p.send([]byte(tt.line + end))
			if got := p.raw(len(tt.want)); got != tt.want {
				t.Fatalf("%q: got %q, want %q", tt.line+end, got, tt.want)
			}
		}
	}
	p.sync()
}

func TestAdminLists(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f", "g"), dial(t, addr)
	w.send(req(wire.SetClientID, "w-1"))
	w.sync()
	high := c.submit(wire.SubmitJobHighBG, "f", "u1", "")
	normal := c.submit(wire.SubmitJob, "f", "", "")
	low := c.submit(wire.SubmitJobLow, "f", "u2", "")
	delayed := c.submit(wire.SubmitJobEpoch, "g", "", strconv.FormatInt(time.Now().Unix()+1000, 10), "")
	w.grab()

	want := func(cmd string, rows ...string) {
		t.Helper()
		c.send([]byte(cmd + "\n"))
		text := strings.Join(append(rows, "."), "\n") + "\n"
		if got := c.raw(len(text)); got != text {
			t.Errorf("%s: got %q, want %q", cmd, got, text)
		}
	}
	want("status", "g\t1\t0\t1", "f\t3\t1\t1")
	want("prioritystatus", "g\t0\t1\t0\t1", "f\t0\t1\t1\t1")
	want("show jobs", high+"\t0\t0\t0", normal+"\t0\t0\t1", low+"\t0\t0\t1", delayed+"\t0\t0\t0")
	want("show unique jobs", "u1", "u2")

	rows := c.list("workers")
	if len(rows) != 2 {
		t.Fatalf("workers: %q, want two rows", rows)
	}
	for i, tail := range []string{" 127.0.0.1 w-1 : f g", " 127.0.0.1 - :"} {
		fd, _, _ := strings.Cut(rows[i], " ")
		if _, err := strconv.Atoi(fd); err != nil || rows[i] != fd+tail {
			t.Errorf("workers: %q, want a number and %q", rows[i], tail)
		}
	}
}

func TestCancelJob(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c, admin := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	waiting := c.submit(wire.SubmitJob, "f", "u", "")
	c.submit(wire.SubmitJob, "f", "u", "")
	if got := admin.line("cancel job " + waiting); got != "OK" {
		t.Errorf("cancel: %q", got)
	}
	c.want(`WORK_FAIL handle="` + waiting + `"`)
	c.want(`WORK_FAIL handle="` + waiting + `"`)
	if got := admin.line("cancel job " + waiting); got != "ERR UNKNOWN_JOB" {
		t.Errorf("cancel again: %q", got)
	}

	running := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	if got := admin.line("cancel job " + running); got != "OK" {
		t.Errorf("cancel of a running job: %q", got)
	}
	if got, want := admin.list("show jobs"), running+"\t0\t1\t0"; len(got) != 1 || got[0] != want {
		t.Errorf("show jobs: %q, want %q", got, want)
	}
	w.send(req(wire.WorkComplete, running, "x"))
	c.want(`WORK_COMPLETE handle="` + running + `" data=1:"x"`)
}

func TestCancelledJobDoesNotRunAgain(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.grab()
	c.line("cancel job " + h)
	w.Close()
	c.want(`WORK_FAIL handle="` + h + `"`)
}

func TestPauseResumePurge(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	c.line("pause function f")
	w.send(req(wire.PreSleep))
	w.sync()
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.sync() // no NOOP
	w.send(req(wire.GrabJob), req(wire.PreSleep))
	w.want(`NO_JOB`)
	c.line("resume function f")
	w.want(`NOOP`)
	if w.grab() != h {
		t.Error("another job came")
	}
	gone := c.submit(wire.SubmitJob, "f", "", "")
	c.send([]byte("purge function f\n"))
	c.want(`WORK_FAIL handle="` + gone + `"`)
	if got := c.readLine(); got != "OK 1" {
		t.Errorf("purge: %q", got)
	}
	if j := c.job(h); j.State != wire.StateRunning {
		t.Errorf("purge touched the running job: %+v", j)
	}
}

func TestSetClientID(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	id := func() string {
		t.Helper()
		w, err := wire.ParseWorkerInfo([]byte(p.list("workers")[0]))
		if err != nil {
			t.Fatal(err)
		}
		return w.ID
	}
	p.send(req(wire.SetClientID, "first"))
	if got := id(); got != "first" {
		t.Errorf("id %q, want first", got)
	}
	// Any id is taken as it is, as gearmand takes it, and the row holds.
	for _, odd := range []string{"a b", "a\tb", "a\nb", "\r", "a\x7f", " ", ":", "a : b", "\xff\x01"} {
		p.send(req(wire.SetClientID, odd))
		if got := id(); got != odd {
			t.Errorf("id %q, want %q", got, odd)
		}
	}
	p.send(req(wire.SetClientID, strings.Repeat("x", 1025)))
	if got := id(); got != strings.Repeat("x", 1024) {
		t.Errorf("id of %d bytes, want 1024", len(got))
	}
	p.send(req(wire.SetClientID, "größe"))
	if got := id(); got != "größe" {
		t.Errorf("id %q, want größe", got)
	}
	p.send(req(wire.SetClientID, ""))
	if got := id(); got != "-" {
		t.Errorf("id %q, want -", got)
	}
}

// fields decodes a JSON row and fails on a field that T does not have.
func fields[T any](t *testing.T, row string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(row))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	return v
}

func TestStats(t *testing.T) {
	_, addr := start(t, server.Config{Version: "9.8"})
	w, c := worker(t, addr, "f"), dial(t, addr)
	done := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	w.send(req(wire.WorkComplete, done, ""))
	w.sync()
	failed := c.submit(wire.SubmitJobBG, "f", "u", "")
	c.submit(wire.SubmitJobBG, "f", "u", "")
	w.grab()
	w.send(req(wire.WorkFail, failed))
	w.sync()
	c.submit(wire.SubmitJobHighBG, "f", "", "")
	w.grab()
	c.submit(wire.SubmitJobLowBG, "f", "", "")
	c.line("maxqueue f 10 20 30")
	c.line("pause function f")

	rows := c.list("stats")
	if len(rows) != 2 {
		t.Fatalf("stats: %q, want two rows", rows)
	}
	srv := fields[wire.ServerStats](t, rows[0])
	if srv.UptimeMS < 0 || srv.UptimeMS > time.Hour.Milliseconds() {
		t.Errorf("uptime %d ms", srv.UptimeMS)
	}
	srv.UptimeMS = 0
	if want := (wire.ServerStats{Version: "9.8", PID: os.Getpid(), Connections: 2, Jobs: 2, HeldBytes: srv.HeldBytes, Store: "memory"}); srv != want {
		t.Errorf("got  %+v\nwant %+v", srv, want)
	}
	f := fields[wire.FunctionStats](t, rows[1])
	f.OldestMS = 0
	want := wire.FunctionStats{
		Function: "f", Low: 1, Running: 1, Workers: 1, Paused: true, MaxQueue: [3]int{10, 20, 30},
		Submitted: 4, Coalesced: 1, Completed: 1, Failed: 1, Dead: 1,
	}
	if f != want {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
}

func TestJobsCommand(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	w.send(req(wire.SetClientID, "w-1"))
	runs := c.submit(wire.SubmitReduceJob, "f", "u", "sum", "", "four")
	w.grab()
	w.send(req(wire.WorkStatus, runs, "1", "2"))
	w.sync()
	c.want(`WORK_STATUS *`)
	waits := c.submit(wire.SubmitJobLowBG, "f", "", "")
	other := c.submit(wire.SubmitJob, "g", "", "")
	at := time.Now().Unix() + 1000
	delayed := c.submit(wire.SubmitJobEpoch, "g", "", strconv.FormatInt(at, 10), "")

	handles := func(cmd string) string {
		t.Helper()
		var hs []string
		for _, row := range c.list(cmd) {
			hs = append(hs, fields[wire.Job](t, row).Handle)
		}
		return strings.Join(hs, " ")
	}
	for _, tt := range []struct {
		cmd  string
		want []string
	}{
		{"jobs", []string{runs, waits, other, delayed}},
		{"jobs -", []string{runs, waits, other, delayed}},
		{"jobs - - 0", []string{runs, waits, other, delayed}},
		{"jobs - - 2", []string{runs, waits}},
		{"jobs f", []string{runs, waits}},
		{"jobs g - 1", []string{other}},
		{"jobs nope", nil},
		{"jobs - waiting", []string{waits, other}},
		{"jobs - delayed", []string{delayed}},
		{"jobs f running", []string{runs}},
	} {
		if got, want := handles(tt.cmd), strings.Join(tt.want, " "); got != want {
			t.Errorf("%s: got %s, want %s", tt.cmd, got, want)
		}
	}

	j := c.job(runs)
	if j.AgeMS < 0 || j.RunningMS < 0 || j.RunningMS > j.AgeMS {
		t.Errorf("age %d ms, runs for %d ms", j.AgeMS, j.RunningMS)
	}
	j.AgeMS, j.RunningMS = 0, 0
	want := wire.Job{
		Handle: runs, Function: "f", Unique: "u", Reducer: "sum", Priority: "normal", State: wire.StateRunning,
		Size: 4, Clients: 1, Worker: w.LocalAddr().String(), WorkerID: "w-1", Numerator: 1, Denominator: 2,
	}
	if j != want {
		t.Errorf("got  %+v\nwant %+v", j, want)
	}
	if j := c.job(delayed); j.RunAtMS != at*1000 || !j.Background || j.State != wire.StateDelayed {
		t.Errorf("delayed job: %+v", j)
	}
}

func TestSessionsCommand(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f", "g"), dial(t, addr)
	w.send(req(wire.SetClientID, "w-1"), req(wire.PreSleep))
	w.sync()
	c.send(req(wire.OptionReq, "exceptions"))
	c.want(`OPTION_RES option="exceptions"`)
	h := c.submit(wire.SubmitJob, "f", "", "")
	w.want(`NOOP`)
	w.grab()

	rows := c.list("sessions")
	if len(rows) != 2 {
		t.Fatalf("sessions: %q, want two rows", rows)
	}
	got := []wire.Session{fields[wire.Session](t, rows[0]), fields[wire.Session](t, rows[1])}
	for i := range got {
		if got[i].FD <= 0 {
			t.Errorf("fd %d", got[i].FD)
		}
		got[i].FD, got[i].AgeMS, got[i].OwedBytes = 0, 0, 0 // the bytes read may not be counted yet
	}
	want := []wire.Session{
		{Addr: w.LocalAddr().String(), ID: "w-1", Functions: []string{"f", "g"}, Jobs: []string{h}},
		{Addr: c.LocalAddr().String(), ID: "-", Functions: []string{}, Waits: 1, Exceptions: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	w.send(req(wire.WorkComplete, h, ""), req(wire.PreSleep))
	w.sync()
	c.want(`WORK_COMPLETE *`)
	if s := fields[wire.Session](t, c.list("sessions")[0]); !s.Sleeping || s.Jobs != nil {
		t.Errorf("got %+v, want it to sleep without a job", s)
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	rows := p.list("HELP")
	for _, cmd := range []string{
		wire.CmdStatus, wire.CmdPriorityStatus, wire.CmdWorkers, wire.CmdMaxQueue, wire.CmdCreateFunction,
		wire.CmdDropFunction, wire.CmdCancelJob, wire.CmdShowJobs, wire.CmdShowUniqueJobs, wire.CmdGetPID,
		wire.CmdVerbose, wire.CmdVersion, wire.CmdShutdown, wire.CmdHelp, wire.CmdStats, wire.CmdJobs,
		wire.CmdJob, wire.CmdSessions, wire.CmdPause, wire.CmdResume, wire.CmdPurge,
	} {
		found := false
		for _, row := range rows {
			found = found || strings.HasPrefix(row, cmd+" ")
		}
		if !found {
			t.Errorf("help does not have %q", cmd)
		}
	}
}

func TestShutdownCommand(t *testing.T) {
	for _, tt := range []struct {
		line     string
		graceful bool
	}{{"shutdown", false}, {"SHUTDOWN Graceful", true}} {
		var log logs
		s, addr := start(t, server.Config{Logger: log.logger(0)})
		asked := make(chan bool, 1)
		s.OnShutdown(func(graceful bool) { asked <- graceful })
		if got := dial(t, addr).line(tt.line); got != "OK" {
			t.Errorf("%s: %q", tt.line, got)
		}
		if got := <-asked; got != tt.graceful {
			t.Errorf("%s: graceful is %v", tt.line, got)
		}
		log.wait(t, "shutdown asked for", "graceful="+strconv.FormatBool(tt.graceful))
	}
}

// A reply that is longer than the outbox's limit reaches a client that reads
// it.
func TestLongList(t *testing.T) {
	_, addr := start(t, server.Config{MaxPayload: 64, MaxOutbox: 1})
	c := dial(t, addr)
	name := strings.Repeat("n", 1000)
	const n = 3000
	for i := range n {
		c.send(req(wire.CanDo, fmt.Sprintf("%s%d", name, i)))
	}
	c.sync()
	if rows := c.list("status"); len(rows) != n {
		t.Errorf("got %d rows, want %d", len(rows), n)
	}
	c.sync()
}

func TestOverlongLine(t *testing.T) {
	var log logs
	_, addr := start(t, server.Config{Logger: log.logger(0)})
	p := dial(t, addr)
	p.send([]byte(strings.Repeat("x", wire.MaxLine+1)))
	p.wantError(wire.CodeDataTooLarge)
	if _, err := io.Copy(io.Discard, p); err != nil {
		t.Logf("end: %v", err)
	}
	log.wait(t, "dropped", "over the limit")
}
