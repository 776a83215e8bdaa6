package gearman

import (
	"strings"
	"testing"

	"gm/pkg/wire"
)

// TestOptionOnce answers the options of a client in the ways of various servers.
func TestOptionOnce(t *testing.T) {
	refusal := func(p *peer) { p.send(wire.Error, "unknown_option", "Server does not recognize given option") }
	for _, test := range []struct {
		name   string
		once   bool // the client asks for it
		answer func(p *peer)
		want   bool
	}{
		{"accepted", true, func(p *peer) {
			p.send(wire.OptionRes, "exceptions")
			p.send(wire.OptionRes, "once")
		}, true},
		{"refused", true, func(p *peer) {
			p.send(wire.OptionRes, "exceptions")
			refusal(p)
		}, false},
		{"accepted by a server without exceptions", true, func(p *peer) {
			refusal(p)
			p.send(wire.OptionRes, "once")
		}, true},
		{"refused by a server without options", true, func(p *peer) {
			refusal(p)
			refusal(p)
		}, false},
		{"ignored", true, func(p *peer) { p.send(wire.OptionRes, "exceptions") }, false},
		{"ignored like all options", true, func(*peer) {}, false},
		{"not requested", false, func(p *peer) { p.send(wire.OptionRes, "exceptions") }, false},
		{"not requested, and accepted", false, func(p *peer) {
			p.send(wire.OptionRes, "exceptions")
			p.send(wire.OptionRes, "once")
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			c := testClient(t, Options{Servers: []Server{f.Server}, Once: test.once})
			r := startAsync(t, c, &Task{Function: "f", Background: true})
			s := f.accept()
			s.expect(wire.OptionReq, "exceptions")
			if test.once {
				s.expect(wire.OptionReq, "once")
			}
			s.expect(wire.SubmitJobBG, "f", "", "")
			test.answer(s)
			s.send(wire.JobCreated, "H:1")
			result, err := end(t, r)
			if err != nil {
				t.Fatal(err)
			}
			if result.Handle != "H:1" || result.Once != test.want {
				t.Errorf("got %+v, want Once %v", result, test.want)
			}
			// A later refusal is the answer to a task.
			r = startAsync(t, c, &Task{Function: "f", Background: true})
			s.expect(wire.SubmitJobBG, "f", "", "")
			s.send(wire.Error, wire.CodeQueueError, "full")
			if _, err := end(t, r); err == nil {
				t.Error("a refused task has succeeded")
			}
		})
	}
}

// TestOptionOnceOfEachServer has a task that moves from a server with the option to one
// without it.
func TestOptionOnceOfEachServer(t *testing.T) {
	with, without := newFake(t), newFake(t)
	c := testClient(t, Options{Servers: []Server{with.Server, without.Server}, Once: true})
	r := startAsync(t, c, &Task{Function: "f", Background: true})
	s := with.acceptClient()
	s.expect(wire.OptionReq, "once")
	s.send(wire.OptionRes, "once")
	s.expect(wire.SubmitJobBG, "f", "", "")
	s.send(wire.Error, wire.CodeShutdown, "ends")
	s = without.acceptClient()
	s.expect(wire.OptionReq, "once")
	s.send(wire.Error, wire.CodeUnknownOption, "no")
	s.expect(wire.SubmitJobBG, "f", "", "")
	s.send(wire.JobCreated, "H:2")
	if result, err := end(t, r); err != nil || result.Once {
		t.Errorf("got %+v, %v; want a job without Once", result, err)
	}
}

// TestOncePrefix sends the prefix with the option.
func TestOncePrefix(t *testing.T) {
	f := newFake(t)
	c := testClient(t, Options{Servers: []Server{f.Server}, Once: true, OncePrefix: "outbox:"})
	r := startAsync(t, c, &Task{Function: "f", Background: true})
	s := f.acceptClient()
	s.expect(wire.OptionReq, "once:outbox:")
	s.send(wire.OptionRes, "once:outbox:")
	s.expect(wire.SubmitJobBG, "f", "", "")
	s.send(wire.JobCreated, "H:1")
	if result, err := end(t, r); err != nil || !result.Once {
		t.Errorf("got %+v, %v; want Once", result, err)
	}
	for _, prefix := range []string{"a\x00b", strings.Repeat("p", DefaultMaxUnique+1)} {
		if _, err := NewClient(Options{Once: true, OncePrefix: prefix}); err == nil || !strings.Contains(err.Error(), "once prefix") {
			t.Errorf("prefix %q: got %v, want an error", prefix, err)
		}
	}
}
