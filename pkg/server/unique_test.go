package server_test

import (
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

func TestUnique(t *testing.T) {
	type sub struct {
		typ                       wire.Type
		function, unique, payload string
	}
	tests := []struct {
		name string
		a, b sub
		same bool
	}{
		{"empty never coalesces", sub{wire.SubmitJobBG, "f", "", "x"}, sub{wire.SubmitJobBG, "f", "", "x"}, false},
		{"equal", sub{wire.SubmitJobBG, "f", "u", "x"}, sub{wire.SubmitJobBG, "f", "u", "y"}, true},
		{"another function", sub{wire.SubmitJobBG, "f", "u", "x"}, sub{wire.SubmitJobBG, "g", "u", "x"}, false},
		{"background, foreground", sub{wire.SubmitJobBG, "f", "u", "x"}, sub{wire.SubmitJob, "f", "u", "x"}, true},
		{"another priority", sub{wire.SubmitJobHighBG, "f", "u", "x"}, sub{wire.SubmitJobLow, "f", "u", "x"}, true},
		{"epoch", sub{wire.SubmitJobBG, "f", "u", "x"}, sub{wire.SubmitJobEpoch, "f", "u", "1\x00x"}, true},
		{"- with one payload", sub{wire.SubmitJobBG, "f", "-", "x"}, sub{wire.SubmitJobBG, "f", "-", "x"}, true},
		{"- with two payloads", sub{wire.SubmitJobBG, "f", "-", "x"}, sub{wire.SubmitJobBG, "f", "-", "y"}, false},
		{"- without a payload", sub{wire.SubmitJobBG, "f", "-", ""}, sub{wire.SubmitJobBG, "f", "-", ""}, false},
		{"- and that payload as unique", sub{wire.SubmitJobBG, "f", "-", "x"}, sub{wire.SubmitJobBG, "f", "x", "x"}, false},
		{"# is the client's", sub{wire.SubmitJobBG, "f", "#", "x"}, sub{wire.SubmitJobBG, "f", "#", "y"}, true},
		{
			"255 bytes, the last differs",
			sub{wire.SubmitJobBG, "f", strings.Repeat("u", 254) + "a", "x"},
			sub{wire.SubmitJobBG, "f", strings.Repeat("u", 254) + "b", "x"},
			false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := start(t, server.Config{})
			c := dial(t, addr)
			submit := func(s sub) string {
				args := []string{s.function, s.unique}
				return c.submit(s.typ, append(args, strings.SplitN(s.payload, "\x00", s.typ.NumArgs()-2)...)...)
			}
			a, b := submit(tt.a), submit(tt.b)
			if (a == b) != tt.same {
				t.Errorf("got jobs %s and %s, want one job: %v", a, b, tt.same)
			}
		})
	}
}

func TestFirstPayloadStays(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, a, b := worker(t, addr, "f"), dial(t, addr), dial(t, addr)
	h := a.submit(wire.SubmitJob, "f", "u", "first")
	b.submit(wire.SubmitJob, "f", "u", "second")
	w.send(req(wire.GrabJobUniq))
	w.want(`JOB_ASSIGN_UNIQ handle="` + h + `" function="f" unique="u" workload=5:"first"`)
	// A running job is joined too, and everybody gets the result.
	late := dial(t, addr)
	late.submit(wire.SubmitJobHigh, "f", "u", "third")
	w.send(req(wire.WorkStatus, h, "1", "3"), req(wire.WorkComplete, h, "x"))
	for _, c := range []*peer{a, b, late} {
		c.want(`WORK_STATUS handle="` + h + `" numerator="1" denominator="3"`)
		c.want(`WORK_COMPLETE handle="` + h + `" data=1:"x"`)
	}
	// One that has ended is not.
	if again := a.submit(wire.SubmitJob, "f", "u", "x"); again == h {
		t.Error("a submission joined a job that has ended")
	}
}

func TestOneClientSubmitsTwice(t *testing.T) {
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	h := c.submit(wire.SubmitJob, "f", "u", "")
	if again := c.submit(wire.SubmitJob, "f", "u", ""); again != h {
		t.Fatalf("got job %s, want %s", again, h)
	}
	w.grab()
	big := strings.Repeat("b", 100<<10)
	w.send(req(wire.WorkData, h, "d"), req(wire.WorkStatus, h, "1", "2"), req(wire.WorkWarning, h, "w"),
		req(wire.WorkData, h, big), req(wire.WorkComplete, h, ""))
	for _, want := range []string{
		`WORK_DATA handle="` + h + `" data=1:"d"`,
		`WORK_STATUS handle="` + h + `" numerator="1" denominator="2"`,
		`WORK_WARNING handle="` + h + `" data=1:"w"`,
		`WORK_DATA handle="` + h + `" data=102400:*`,
		`WORK_COMPLETE handle="` + h + `" data=0:""`,
	} {
		c.want(want)
		c.want(want)
	}
	c.sync()
}

// A submission never joins a job that was cancelled and ends with its worker: it
// would be gone with it.
func TestSubmissionDoesNotJoinACancelledJob(t *testing.T) {
	for _, again := range []wire.Type{wire.SubmitJobBG, wire.SubmitJob, wire.SubmitJobEpoch} {
		t.Run(again.String(), func(t *testing.T) {
			st := newJournal()
			_, addr := start(t, server.Config{Store: st})
			w, c := worker(t, addr, "f"), dial(t, addr)
			h := c.submit(wire.SubmitJobBG, "f", "u", "first")
			w.grab()
			if got := c.line("cancel job " + h); got != "OK" {
				t.Fatalf("cancel: %q", got)
			}
			args := []string{"f", "u", "second"}
			if again == wire.SubmitJobEpoch {
				args = []string{"f", "u", "1", "second"}
			}
			second := c.submit(again, args...)
			if second == h {
				t.Fatal("the submission joined the cancelled job")
			}
			if kept := st.payloads(t); again != wire.SubmitJob && kept != "second" {
				t.Errorf("the store keeps %q, want the second job only", kept)
			}
			w.Close()
			if got := worker(t, addr, "f").grab(); got != second {
				t.Errorf("job %s is handed out, want %s", got, second)
			}
		})
	}
}

// A job that was cancelled on its way to the store ends there without the one
// that has its unique now, in whatever order the store has them.
func TestJobWithTheUniqueOfACancelledOneIsApart(t *testing.T) {
	st := gated()
	var log logs
	_, addr := start(t, server.Config{Store: st, Logger: log.logger(0)})
	a, b, admin := dial(t, addr), dial(t, addr), dial(t, addr)
	a.send(req(wire.SubmitJobBG, "f", "u", "first"))
	<-st.entered
	h, _, _ := strings.Cut(admin.list("show jobs")[0], "\t")
	admin.send([]byte("cancel job " + h + "\n"))
	log.wait(t, "changed", "cancel job")
	b.send(req(wire.SubmitJobBG, "f", "u", "second"))
	third := dial(t, addr)
	eventually(t, "the second job is there", func() bool { return len(third.list("show jobs")) == 2 })
	st.open()
	a.want(`JOB_CREATED *`)
	b.want(`JOB_CREATED *`)
	eventually(t, "the store keeps the second job", func() bool { return st.payloads(t) == "second" })
	if !st.all()[0].Apart {
		t.Error("the second job is stored in the place of the first")
	}
}
