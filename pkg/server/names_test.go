package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// oddNames are names of functions that a peer can send in a packet.
var oddNames = []string{
	"a b", " lead", "trail ", "tab\tin", "\t1\t2\t3", `"quoted"`, `"open`, `in"side`, `back\slash`, `\x20`, `App\Jobs\Mail`,
	"\x01\x1b[31m", "\v\f", "\x7f", "\xff\xfe", "größe", "nbsp\u00a0", "line\u2028sep", "-", ".", ":", "OK", "ERR x",
}

// Whatever a function is called, the rows keep their columns, and every admin
// command reaches it by the name that the rows show.
func TestOddFunctionNames(t *testing.T) {
	for _, name := range oddNames {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			_, addr := start(t, server.Config{})
			w, p := dial(t, addr), dial(t, addr)
			w.send(req(wire.CanDo, name))
			w.sync()
			p.submit(wire.SubmitJobBG, name, "", "x")
			for _, cmd := range []string{"status", "prioritystatus"} {
				row := p.list(cmd)
				if len(row) != 1 || len(strings.Fields(row[0])) != len(strings.Split(row[0], "\t")) {
					t.Fatalf("%s: %q", cmd, row)
				}
			}
			shown, _, _ := strings.Cut(p.list("status")[0], "\t")
			if got := wire.ParseName(shown); got != name {
				t.Fatalf("status shows %q, which is %q", shown, got)
			}
			info, err := wire.ParseWorkerInfo([]byte(p.list("workers")[0]))
			if err != nil || !slices.Equal(info.Functions, []string{name}) {
				t.Errorf("workers: %+v, %v", info, err)
			}
			word := string(wire.AppendWord(nil, name))
			if rows := p.list("jobs " + word); name != "-" && len(rows) != 1 {
				t.Errorf("jobs: %q", rows)
			}
			w.Close()
			eventually(t, "the worker is gone", func() bool { return len(p.list("workers")) == 1 })
			for _, cmd := range []string{
				"maxqueue %s 5", "pause function %s", "resume function %s", "policy function %s 3", "policy function %s",
				"create function %s", "retry function %s", "purge dead %s", "purge function %s", "drop function %s",
			} {
				if got := p.line(fmt.Sprintf(cmd, word)); !strings.HasPrefix(got, "OK") {
					t.Errorf("%s: %s", fmt.Sprintf(cmd, word), got)
				}
			}
			if rows := p.list("status"); len(rows) != 0 {
				t.Errorf("status after the drop: %q", rows)
			}
		})
	}
}

// A name that merely contains a quote needs none.
func TestQuotesInsideNamesStand(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	for _, name := range []string{`a"b"`, `"open`, `it's`, `x"`} {
		if got := p.line("create function " + name); got != "OK" {
			t.Errorf("create %s: %s", name, got)
		}
		row := p.list("status")
		if got, err := wire.ParseFunctionStatus([]byte(row[0])); err != nil || got.Function != name {
			t.Errorf("status after create %s: %q, %v", name, row, err)
		}
		if got := p.line("drop function " + name); got != "OK" {
			t.Errorf("drop %s: %s", name, got)
		}
	}
}

func TestNamesThatNoPacketCanCarryAreRefused(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	for line, want := range map[string]string{
		`create function "a\nb"`:      `ERR CREATE_FUNCTION "a\nb"`,
		`create function "a\x00b"`:    `ERR CREATE_FUNCTION "a\x00b"`,
		"create function a\x00b":      `ERR CREATE_FUNCTION "a\x00b"`,
		`create function ""`:          `ERR CREATE_FUNCTION `,
		`"no\nsuch" command`:          `ERR UNKNOWN_COMMAND Unknown+server+command"no\nsuch"`,
		`jobs f "no\nsuch"`:           `ERR INVALID_ARGUMENTS An+incomplete+set+of+arguments+was+sent+to+this+command+"no\nsuch"`,
		`pause function "no\nsuch"`:   "ERR function not found",
		`cancel job "H:test:1\nOK"`:   "ERR UNKNOWN_JOB",
		`policy function "no\nsuch"`:  "ERR function not found",
		`policy function f "1,\n2"`:   "ERR *",
		`job "H:test:1\nOK"`:          "ERR UNKNOWN_JOB",
		`result "H:test:1\nOK"`:       "ERR UNKNOWN_JOB",
		`drop function "no\nsuch"`:    "ERR function not found",
		`retry job "no\nsuch"`:        "ERR UNKNOWN_JOB",
		`maxqueue "a\nb" 1`:           "ERR *",
		`policy function "a\nb" 3,1s`: "ERR *",
	} {
		got := p.line(line)
		prefix, any := strings.CutSuffix(want, "*")
		if got != want && !(any && strings.HasPrefix(got, prefix)) {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
		p.sync() // it was one line
	}
}

func TestUniquesInShowUniqueJobs(t *testing.T) {
	_, addr := start(t, server.Config{})
	p := dial(t, addr)
	uniques := []string{"plain", "two words", "two\nlines", "cr\r", ".", "ERR x", `"q"`, "\x1b[2J", `back\slash`}
	for _, u := range uniques {
		p.submit(wire.SubmitJobBG, "f", u, "")
	}
	var got []string
	for _, row := range p.list("show unique jobs") {
		got = append(got, wire.ParseName(row))
	}
	if !slices.Equal(got, uniques) {
		t.Errorf("got %q, want %q", got, uniques)
	}
	if rows := p.list("show unique jobs"); rows[0] != "plain" || rows[1] != "two words" {
		t.Errorf("plain uniques are not shown as gearmand shows them: %q", rows[:2])
	}
}
