package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// job asks for the JSON row of a job.
func (p *peer) job(handle string) wire.Job {
	p.t.Helper()
	rows := p.list("job " + handle)
	if len(rows) != 1 {
		p.t.Fatalf("job %s: got %q, want one row", handle, rows)
	}
	var j wire.Job
	if err := json.Unmarshal([]byte(rows[0]), &j); err != nil {
		p.t.Fatal(err)
	}
	return j
}

func TestSubmitKinds(t *testing.T) {
	later := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	tests := []struct {
		typ        wire.Type
		args       []string
		priority   string
		background bool
		state      wire.JobState
		reducer    string
	}{
		{wire.SubmitJob, []string{"f", "", "x"}, "normal", false, wire.StateWaiting, ""},
		{wire.SubmitJobBG, []string{"f", "", "x"}, "normal", true, wire.StateWaiting, ""},
		{wire.SubmitJobHigh, []string{"f", "", "x"}, "high", false, wire.StateWaiting, ""},
		{wire.SubmitJobHighBG, []string{"f", "", "x"}, "high", true, wire.StateWaiting, ""},
		{wire.SubmitJobLow, []string{"f", "", "x"}, "low", false, wire.StateWaiting, ""},
		{wire.SubmitJobLowBG, []string{"f", "", "x"}, "low", true, wire.StateWaiting, ""},
		{wire.SubmitJobEpoch, []string{"f", "", later, "x"}, "normal", true, wire.StateDelayed, ""},
		{wire.SubmitReduceJob, []string{"f", "", "sum", "", "x"}, "normal", false, wire.StateWaiting, "sum"},
		{wire.SubmitReduceJobBG, []string{"f", "", "sum", "", "x"}, "normal", true, wire.StateWaiting, "sum"},
	}
	_, addr := start(t, server.Config{})
	for _, tt := range tests {
		t.Run(tt.typ.String(), func(t *testing.T) {
			p := dial(t, addr)
			j := p.job(p.submit(tt.typ, tt.args...))
			if j.Priority != tt.priority || j.Background != tt.background || j.State != tt.state ||
				j.Reducer != tt.reducer || j.Function != "f" || j.Size != 1 {
				t.Errorf("got %+v\nwant %+v", j, tt)
			}
		})
	}
}

func TestJobCreatedBytes(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	p.send([]byte("\x00REQ\x00\x00\x00\x07\x00\x00\x00\x05f\x00\x00hi"))
	head := p.raw(wire.HeaderSize)
	if want := "\x00RES\x00\x00\x00\x08\x00\x00\x00"; head[:11] != want {
		t.Fatalf("header %q, want %q and a size", head, want)
	}
	handle := p.raw(int(head[11]))
	digits, ok := strings.CutPrefix(handle, "H:test:")
	if _, err := strconv.ParseUint(digits, 10, 64); !ok || err != nil {
		t.Errorf("handle %q, want H:test:<n> and no NUL", handle)
	}
}

func TestHandleFitsProtocol(t *testing.T) {
	_, addr := start(t, server.Config{Host: strings.Repeat("h", 300)})
	p := dial(t, addr)
	p.send(req(wire.SubmitJobBG, "f", "", ""))
	if h := p.want(`JOB_CREATED handle="H:hhh*"`)[0]; len(h) > wire.MaxHandle {
		t.Errorf("handle %q has %d bytes, want at most %d", h, len(h), wire.MaxHandle)
	}
}

func TestHandlesDoNotRepeatAfterRestart(t *testing.T) {
	number := func() uint64 {
		s, addr := start(t, server.Config{})
		defer s.Close()
		h := dial(t, addr).submit(wire.SubmitJobBG, "f", "", "")
		n, err := strconv.ParseUint(strings.TrimPrefix(h, "H:test:"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := number()
	began := time.Now().UnixMilli()
	eventually(t, "a millisecond passes", func() bool { return time.Now().UnixMilli() > began })
	if second := number(); second <= first {
		t.Errorf("job %d after job %d of the server before", second, first)
	}
}

func TestForegroundJob(t *testing.T) {
	_, addr := start(t, server.Config{})
	w := worker(t, addr, "reverse")
	c := dial(t, addr)
	h := c.submit(wire.SubmitJob, "reverse", "", "a\x00b")

	w.send(req(wire.GrabJob))
	w.want(`JOB_ASSIGN handle="` + h + `" function="reverse" workload=3:"a\x00b"`)
	w.send(
		req(wire.WorkData, h, "part\x00"),
		req(wire.WorkWarning, h, "beware"),
		req(wire.WorkStatus, h, "1", "2"),
		req(wire.WorkComplete, h, "b\x00a"),
	)
	c.want(`WORK_DATA handle="` + h + `" data=5:"part\x00"`)
	c.want(`WORK_WARNING handle="` + h + `" data=6:"beware"`)
	c.want(`WORK_STATUS handle="` + h + `" numerator="1" denominator="2"`)
	c.want(`WORK_COMPLETE handle="` + h + `" data=3:"b\x00a"`)
	c.sync()
	w.sync()
}

func TestBackgroundJobTellsNobody(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJobBG, "f", "", "")
	w.grab()
	w.send(req(wire.WorkData, h, "x"), req(wire.WorkComplete, h, "y"))
	w.sync()
	c.sync()
}

func TestWorkFailHasNoNUL(t *testing.T) {
	for name, end := range map[string]func(h string) []byte{
		"fail":                 func(h string) []byte { return req(wire.WorkFail, h) },
		"downgraded exception": func(h string) []byte { return req(wire.WorkException, h, "boom") },
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := start(t, server.Config{})
			w, c := worker(t, addr, "f"), dial(t, addr)
			h := c.submit(wire.SubmitJob, "f", "", "")
			w.grab()
			w.send(end(h))
			want := fmt.Sprintf("\x00RES\x00\x00\x00\x0e\x00\x00\x00%c%s", len(h), h)
			if got := c.raw(len(want)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			c.sync()
		})
	}
}

func TestLargePayloads(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	for _, n := range []int{0, 1, 4095, 32<<10 - 1, 32 << 10, 64<<10 + 1, 1 << 20, 5<<20 + 3} {
		in, out := strings.Repeat("i", n), strings.Repeat("o", n)
		h := c.submit(wire.SubmitJob, "f", "u", in)
		w.send(req(wire.GrabJobUniq))
		if p := w.next(); p.Type != wire.JobAssignUniq || string(p.Last()) != in || string(p.Args[2]) != "u" {
			t.Fatalf("%d bytes: worker got %v of %d bytes", n, p.Type, len(p.Last()))
		}
		w.send(req(wire.WorkComplete, h, out))
		if p := c.next(); p.Type != wire.WorkComplete || string(p.Last()) != out {
			t.Fatalf("%d bytes: client got %v of %d bytes", n, p.Type, len(p.Last()))
		}
	}
}

func TestSubmitSched(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	p.send(req(wire.SubmitJobSched, "f", "", "0", "0", "1", "1", "1", "x"))
	p.wantError(wire.CodeInvalidCommand)
	p.sync()
}

func TestReducer(t *testing.T) {
	// PROTOCOL gives the packet four arguments, libgearman five.
	forms := map[string][]byte{
		"PROTOCOL":   []byte("\x00REQ\x00\x00\x00\x25\x00\x00\x00\x0af\x00u\x00sum\x00xy"),
		"libgearman": []byte("\x00REQ\x00\x00\x00\x25\x00\x00\x00\x0bf\x00u\x00sum\x00\x00xy"),
		"background": []byte("\x00REQ\x00\x00\x00\x26\x00\x00\x00\x0bf\x00u\x00sum\x00\x00xy"),
	}
	grabs := []struct {
		grab wire.Type
		want string
	}{
		{wire.GrabJobAll, `JOB_ASSIGN_ALL handle="H:test:*" function="f" unique="u" reducer="sum" workload=2:"xy"`},
		{wire.GrabJobUniq, `JOB_ASSIGN_UNIQ handle="H:test:*" function="f" unique="u" workload=2:"xy"`},
		{wire.GrabJob, `JOB_ASSIGN handle="H:test:*" function="f" workload=2:"xy"`},
	}
	for name, packet := range forms {
		for _, g := range grabs {
			t.Run(name+" "+g.grab.String(), func(t *testing.T) {
				_, addr := start(t, server.Config{})
				w, c := worker(t, addr, "f"), dial(t, addr)
				c.send(packet)
				c.want(`JOB_CREATED handle="H:test:*"`)
				w.send(req(g.grab))
				w.want(g.want)
			})
		}
	}
}

func TestEpochInThePastRunsAtOnce(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	for _, epoch := range []string{"0", "1", strconv.FormatInt(time.Now().Unix(), 10)} {
		if h := c.submit(wire.SubmitJobEpoch, "f", "", epoch, ""); w.grab() != h {
			t.Errorf("epoch %s: another job came", epoch)
		}
	}
}

func TestEpochIsDueWithoutTraffic(t *testing.T) {
	const late = 50 * time.Millisecond
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	var took time.Duration
	for range 3 { // a busy machine may be late by itself once
		due := time.Now().Truncate(time.Second).Add(time.Second)
		if time.Until(due) < 100*time.Millisecond {
			due = due.Add(time.Second)
		}
		h := c.submit(wire.SubmitJobEpoch, "f", "", strconv.FormatInt(due.Unix(), 10), "")
		w.send(req(wire.GrabJob), req(wire.PreSleep))
		w.want(`NO_JOB`)
		w.want(`NOOP`)
		took = time.Since(due)
		if w.grab() != h {
			t.Fatal("another job came")
		}
		w.send(req(wire.WorkComplete, h, ""))
		if took < -time.Millisecond {
			t.Fatalf("came %v early", -took)
		}
		if took <= late {
			return
		}
	}
	t.Errorf("came %v late three times over, want at most %v", took, late)
}

func TestSubmitErrors(t *testing.T) {
	long := strings.Repeat("x", 2000)
	tests := []struct {
		name string
		req  []byte
		code string
	}{
		{"empty function", req(wire.SubmitJob, "", "", "x"), wire.CodeInvalidFunction},
		{"long function", req(wire.SubmitJob, long, "", "x"), wire.CodeInvalidFunction},
		{"line end in function", req(wire.SubmitJobBG, "a\nb", "", "x"), wire.CodeInvalidFunction},
		{"long unique", req(wire.SubmitJob, "f", strings.Repeat("u", 256), "x"), wire.CodeTooLarge},
	}
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.send(tt.req)
			p.wantError(tt.code)
			p.sync()
		})
	}
	if rows := p.list("status"); len(rows) != 0 {
		t.Errorf("refused submissions left functions behind: %q", rows)
	}
	p.submit(wire.SubmitJob, "f", strings.Repeat("u", 255), "x")
}

// A time is read as gearmand reads it: what is no number is due at once.
func TestEpochIsReadLikeGearmand(t *testing.T) {
	_, addr := start(t, server.Config{})
	c := dial(t, addr)
	for epoch, state := range map[string]wire.JobState{
		"": wire.StateWaiting, "soon": wire.StateWaiting, "-1": wire.StateWaiting, "1.5": wire.StateWaiting, "\x01": wire.StateWaiting,
		" 4000000000 and more": wire.StateDelayed, "9223372036854775807": wire.StateDelayed, "99999999999999999999": wire.StateDelayed,
	} {
		h := c.submit(wire.SubmitJobEpoch, "f", "", epoch, "x")
		if j := c.job(h); j.State != state {
			t.Errorf("epoch %q: %v, want %v", epoch, j.State, state)
		}
	}
}

func TestMaxQueue(t *testing.T) {
	_, addr := start(t, server.Config{})
	p, w := dial(t, addr), worker(t, addr, "f")
	if got := p.line("maxqueue f 2"); got != "OK" {
		t.Fatalf("maxqueue: %q", got)
	}
	h := p.submit(wire.SubmitJobBG, "f", "u", "")
	w.grab() // running jobs count
	p.submit(wire.SubmitJobBG, "f", "", "")
	full := `ERROR code="QUEUE_ERROR" text=17:"Job queue is full"`
	for _, typ := range []wire.Type{wire.SubmitJobBG, wire.SubmitJobHigh, wire.SubmitJobLow} {
		p.send(req(typ, "f", "", ""))
		p.want(full)
	}
	if again := p.submit(wire.SubmitJobBG, "f", "u", ""); again != h {
		t.Errorf("a submission that coalesces got job %s, want %s", again, h)
	}
	p.submit(wire.SubmitJobBG, "g", "", "") // another function

	p.line("maxqueue f 0 5 2")
	p.submit(wire.SubmitJobHighBG, "f", "", "")
	p.send(req(wire.SubmitJobLowBG, "f", "", ""))
	p.want(full)
	p.submit(wire.SubmitJobBG, "f", "", "")
	p.line("maxqueue f")
	p.submit(wire.SubmitJobLowBG, "f", "", "")
}

func TestHalfClosedConnectionIsAnswered(t *testing.T) {
	_, addr := start(t, server.Config{})
	p, other := dial(t, addr), dial(t, addr)
	p.send(req(wire.EchoReq, "x"), req(wire.SubmitJobBG, "f", "", ""), req(wire.SubmitJob, "g", "", ""), []byte("version\n"))
	if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p.want(`ECHO_RES data=1:"x"`)
	p.want(`JOB_CREATED handle="H:test:*"`)
	p.want(`JOB_CREATED handle="H:test:*"`)
	if got := p.readLine(); got != "OK unknown" {
		t.Errorf("version: %q", got)
	}
	p.wantEnd()
	// Then it counts as gone: the foreground job is dropped.
	eventually(t, "the client is gone", func() bool {
		return fmt.Sprint(other.list("status")) == "[f\t1\t0\t0 g\t0\t0\t0]"
	})
}

func TestHalfClosedConnectionGetsLargeReplies(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	big := strings.Repeat("e", 16<<20)
	go func() {
		p.Write(req(wire.EchoReq, big))    //nolint:errcheck // seen by the reader
		p.Conn.(*net.TCPConn).CloseWrite() //nolint:errcheck // seen by the reader
	}()
	if got := p.next(); string(got.Args[0]) != big {
		t.Errorf("echo of %d bytes, want %d", len(got.Args[0]), len(big))
	}
	p.wantEnd()
}

func TestBothProtocolsOnOneConnection(t *testing.T) {
	_, addr := start(t, server.Config{Version: "1.2"})
	p := dial(t, addr)
	p.send(
		[]byte("version\r\n"), req(wire.EchoReq, "a"), []byte("STATUS\n"), req(wire.CanDo, "f"),
		[]byte("getpid x\nstatus\n"), req(wire.EchoReq, "b"),
	)
	if got := p.readLine(); got != "OK 1.2" {
		t.Errorf("version: %q", got)
	}
	p.want(`ECHO_RES data=1:"a"`)
	if got := p.readLine(); got != "." {
		t.Errorf("status: %q", got)
	}
	if got := p.readLine(); !strings.HasPrefix(got, "OK ") {
		t.Errorf("getpid: %q", got)
	}
	for _, want := range []string{"f\t0\t0\t1", "."} {
		if got := p.readLine(); got != want {
			t.Errorf("status: %q, want %q", got, want)
		}
	}
	p.want(`ECHO_RES data=1:"b"`)
}

func TestPacketInPieces(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	whole := append(req(wire.EchoReq, "abc"), "version\n"...)
	for i := range whole {
		p.send(whole[i : i+1])
	}
	p.want(`ECHO_RES data=3:"abc"`)
	if got := p.readLine(); got != "OK unknown" {
		t.Errorf("version: %q", got)
	}
}
