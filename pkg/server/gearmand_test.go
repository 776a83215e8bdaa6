package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store/storetest"
	"gm/pkg/wire"
)

// The same packets are sent to Debian's gearmand and to gm: every request with
// its arguments as they should be, missing, empty, binary, and with more behind
// them. Both must answer with the same kinds of packets, and go on with the
// connection and its job or not. The wanted differences are below, by reason.

// A request's arguments; F, U and H stand for a function, a unique and the handle
// of the job that the connection holds.
var requestArgs = map[wire.Type][]string{
	wire.CanDo:             {"F"},
	wire.CantDo:            {"F"},
	wire.ResetAbilities:    nil,
	wire.PreSleep:          nil,
	wire.SubmitJob:         {"F", "U", "x"},
	wire.GrabJob:           nil,
	wire.WorkStatus:        {"H", "1", "2"},
	wire.WorkComplete:      {"H", "x"},
	wire.WorkFail:          {"H"},
	wire.GetStatus:         {"H"},
	wire.EchoReq:           {"x"},
	wire.SubmitJobBG:       {"F", "U", "x"},
	wire.SubmitJobHigh:     {"F", "U", "x"},
	wire.SetClientID:       {"id"},
	wire.CanDoTimeout:      {"F", "5000"},
	wire.AllYours:          nil,
	wire.WorkException:     {"H", "x"},
	wire.OptionReq:         {"exceptions"},
	wire.WorkData:          {"H", "x"},
	wire.WorkWarning:       {"H", "x"},
	wire.GrabJobUniq:       nil,
	wire.SubmitJobHighBG:   {"F", "U", "x"},
	wire.SubmitJobLow:      {"F", "U", "x"},
	wire.SubmitJobLowBG:    {"F", "U", "x"},
	wire.SubmitJobSched:    {"F", "U", "1", "2", "3", "4", "5", "x"},
	wire.SubmitJobEpoch:    {"F", "U", "1", "x"},
	wire.SubmitReduceJob:   {"F", "U", "r", "", "x"},
	wire.SubmitReduceJobBG: {"F", "U", "r", "", "x"},
	wire.GrabJobAll:        nil,
	wire.GetStatusUnique:   {"U"},
}

// odd are arguments of single requests, with NULs between them.
var odd = map[wire.Type][]string{
	wire.CanDoTimeout: {
		"F\x00", "F\x000", "F\x00-5", "F\x001.5", "F\x00 7 ", "F\x0012abc", "F\x00abc", "F\x000x10", "F\x00\x01\x02", "F\x00+5", "F\x001e9",
	},
	wire.SubmitJobEpoch: {"F\x00U\x00\x00x", "F\x00U\x00-5\x00x", "F\x00U\x001.5\x00x", "F\x00U\x00 7 \x00x", "F\x00U\x00abc\x00x"},
	wire.WorkStatus: {
		"H\x00a\x00b", "H\x001.5\x00 2", "H\x00-1\x00-2", "H\x00\x00", "H\x0099999999999999999999\x001", "H\x001\x002\x00\x00", "H\x001\x002\x003",
	},
	wire.WorkFail:        {"H\x00why", "H\x00why\x00more", "H\x00\x00\x00"},
	wire.SetClientID:     {"a b", "a\tb", "a\nb", "a\x00b", strings.Repeat("x", 200)},
	wire.GetStatus:       {"H\x00\x00\x00", "H\x00a\x00b"},
	wire.GetStatusUnique: {"U\x00\x00\x00", "U\x00a\x00b"},
	wire.OptionReq:       {"Exceptions", "foo"},
}

// variants returns the bodies of a request, by name.
func variants(typ wire.Type) map[string]string {
	args := requestArgs[typ]
	join := func(args []string) string { return strings.Join(args, "\x00") }
	replaced := func(with string) []string {
		all := make([]string, len(args))
		for i, a := range args {
			if all[i] = with; a == "H" {
				all[i] = a
			}
		}
		return all
	}
	all := map[string]string{"normal": join(args), "NUL": join(args) + "\x00", "extra": strings.TrimPrefix(join(args)+"\x00extra", "\x00")}
	for i := range args {
		all[fmt.Sprintf("%d of %d", i, len(args))] = join(args[:i])
	}
	if len(args) > 0 {
		all["empty"], all["binary"] = join(replaced("")), join(replaced("\xff\x01\x80"))
		all["no job"] = strings.Replace(join(args), "H", "H:none:1", 1)
	}
	for _, body := range odd[typ] {
		all[fmt.Sprintf("%q", body[:min(len(body), 30)])] = body
	}
	return all
}

// silence is why gm answers what gearmand leaves without an answer, with all that
// comes behind it.
const silence = "gearmand does not answer any more"

// wantedDifferences are the requests that gm answers in another way, by reason.
// A name without a variant is all of them.
var wantedDifferences = map[string][]string{
	"a function has a name, so that it can be shown and asked for": {
		"CAN_DO 0 of 1", "CAN_DO empty", "CAN_DO_TIMEOUT empty", "SUBMIT_JOB empty", "SUBMIT_JOB_BG empty",
		"SUBMIT_JOB_HIGH empty", "SUBMIT_JOB_HIGH_BG empty", "SUBMIT_JOB_LOW empty", "SUBMIT_JOB_LOW_BG empty", "SUBMIT_JOB_EPOCH empty",
		"SUBMIT_REDUCE_JOB empty", "SUBMIT_REDUCE_JOB_BACKGROUND empty",
	},
	"a running job goes on when its worker's abilities change": {"RESET_ABILITIES"},
	"PROTOCOL has it":                       {"ALL_YOURS", "SUBMIT_REDUCE_JOB 4 of 5", "SUBMIT_REDUCE_JOB_BACKGROUND 4 of 5"},
	"workers of Perl send an end behind it": {"WORK_EXCEPTION"},
	"Perl's worker sends an empty result as the handle alone": {
		"WORK_COMPLETE 1 of 2", "WORK_DATA 1 of 2", "WORK_WARNING 1 of 2",
	},
	"no job is no reason to close": {"WORK_COMPLETE 0 of 2", "WORK_DATA 0 of 2", "WORK_WARNING 0 of 2"},
	silence: {
		"CAN_DO_TIMEOUT 0 of 2", "CAN_DO_TIMEOUT 1 of 2", "WORK_STATUS 0 of 3", "WORK_STATUS 1 of 3", "WORK_STATUS 2 of 3",
	},
}

func TestAnswersAreThoseOfGearmand(t *testing.T) {
	t.Parallel()
	reference := startGearmand(t)
	_, addr := start(t, server.Config{})
	reasons := make(map[string]string)
	for reason, names := range wantedDifferences {
		for _, name := range names {
			reasons[name] = reason
		}
	}
	n, differ := 0, make(map[string]bool)
	for typ := range wire.Type(50) {
		if _, ok := requestArgs[typ]; !ok {
			if typ.Goes(wire.Request) {
				t.Errorf("%v is not in the table", typ)
			}
			continue
		}
		for variant, body := range variants(typ) {
			n++
			reason := reasons[typ.String()+" "+variant] + reasons[typ.String()]
			patience := 10 * time.Second
			if reason == silence {
				patience = 200 * time.Millisecond
			}
			want := talk(t, reference, typ, body, n, patience)
			got := talk(t, addr, typ, body, n, 10*time.Second)
			if got != want && reason == "" {
				t.Errorf("%v %s\n     got %s\ngearmand %s", typ, variant, got, want)
			}
			if got != want {
				differ[typ.String()+" "+variant], differ[typ.String()] = true, true
			}
		}
	}
	for name := range reasons {
		if !differ[name] {
			t.Errorf("%s is no difference", name)
		}
	}
	if n < 200 {
		t.Errorf("%d requests, want more", n)
	}
}

// startGearmand starts Debian's gearmand on a free port and returns its address.
func startGearmand(t *testing.T) string {
	path, err := exec.LookPath("gearmand")
	if err != nil {
		t.Skip("gearmand is not installed (Debian: gearman-job-server)")
	}
	free, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free)
	addr := net.JoinHostPort("127.0.0.1", port)
	cmd := exec.Command(path, "-p", port, "-L", "127.0.0.1", "-l", filepath.Join(t.TempDir(), "gearmand.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
	})
	eventually(t, "gearmand listens", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return addr
}

// talk has a worker of one running job send a request, and then the end of the
// job. It returns what the worker and the job's client got.
func talk(t *testing.T, addr string, typ wire.Type, body string, n int, patience time.Duration) string {
	t.Helper()
	w, c := dial(t, addr), dial(t, addr)
	defer w.Close()
	defer c.Close()
	mine := fmt.Sprintf("mine%d", n)
	w.send(req(wire.CanDo, mine))
	w.heard(t, "can do", patience)
	c.send(req(wire.SubmitJob, mine, fmt.Sprintf("unique%d", n), "x"))
	c.want(`JOB_CREATED *`)
	h := w.grab()
	for _, r := range [][2]string{{"F", fmt.Sprintf("other%d", n)}, {"U", fmt.Sprintf("unique%d", n)}, {"H", h}} {
		if rest, ok := strings.CutPrefix(body, r[0]); ok && (rest == "" || rest[0] == 0) {
			body = r[1] + rest
		}
		body = strings.Replace(body, "\x00"+r[0]+"\x00", "\x00"+r[1]+"\x00", 1)
	}
	w.send(append(wire.AppendHeader(nil, wire.Request, typ, len(body)), body...))
	got, alive := w.heard(t, "first", patience)
	text := fmt.Sprintf("worker %v, client %v", got, c.kinds(t, "first", patience))
	if !alive {
		return text
	}
	w.send(req(wire.WorkComplete, h, "done"))
	then, _ := w.heard(t, "second", patience)
	return fmt.Sprintf("%s, then worker %v, client %v", text, then, c.kinds(t, "second", patience))
}

func (p *peer) kinds(t *testing.T, mark string, patience time.Duration) []string {
	got, _ := p.heard(t, mark, patience)
	return got
}

// heard returns the kinds of packets that come before the echo of mark, and
// whether it comes. What is said before the end of a connection is left out.
func (p *peer) heard(t *testing.T, mark string, patience time.Duration) (got []string, alive bool) {
	t.Helper()
	p.Write(req(wire.EchoReq, mark))            //nolint:errcheck // the end is seen below
	p.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // fails only on a closed connection
	for {
		err := p.r.Next(&p.p)
		var silent net.Error
		switch {
		case errors.As(err, &silent) && silent.Timeout():
			return []string{"silence"}, false
		case err != nil && (errors.Is(err, io.EOF) || errors.As(err, new(*net.OpError))):
			return []string{"the end"}, false
		case err != nil:
			t.Fatal(err)
		}
		switch p.p.Type {
		case wire.EchoRes:
			if bytes.Equal(p.p.Args[0], []byte(mark)) {
				return got, true
			}
			got = append(got, "ECHO_RES")
		case wire.Error:
			got = append(got, "ERROR "+string(p.p.Args[0]))
		case wire.StatusRes, wire.StatusResUnique:
			got = append(got, fmt.Sprintf("%v %s %s", p.p.Type, p.p.Args[1], p.p.Args[2]))
		default:
			got = append(got, p.p.Type.String())
		}
	}
}
