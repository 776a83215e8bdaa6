package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// askPayload sends job HANDLE payload and returns the row and the payload, or the
// line that says why there is none.
func askPayload(t *testing.T, addr, handle string) (wire.Job, []byte, string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // the read fails then
	io.WriteString(nc, "job "+handle+" payload\nversion\n")
	in := bufio.NewReader(nc)
	line, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var j wire.Job
	if !strings.HasPrefix(line, "{") {
		return j, nil, line
	}
	if err := json.Unmarshal([]byte(line), &j); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, j.Size)
	if _, err := io.ReadFull(in, payload); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".\n", "OK test\n"} {
		if line, err := in.ReadString('\n'); err != nil || strings.ReplaceAll(line, "\r", "") != want {
			t.Errorf("behind the payload: %q, %v, want %q", line, err, want)
		}
	}
	return j, payload, ""
}

func TestJobPayload(t *testing.T) {
	st := newLibrary()
	_, addr := start(t, server.Config{Store: st, Memory: memory, Version: "test"})
	c := dial(t, addr)
	odd := "a\n.\nb\x00\xff"
	waiting := c.submit(wire.SubmitJobBG, "f", "u1", odd)
	empty := c.submit(wire.SubmitJobBG, "f", "u2", "")
	spilled := c.submit(wire.SubmitJobBG, "f", "u3", load("3"))
	for _, test := range []struct{ handle, want string }{{waiting, odd}, {empty, ""}, {spilled, load("3")}} {
		j, payload, said := askPayload(t, addr, test.handle)
		if said != "" || j.Handle != test.handle || j.State != wire.StateWaiting || string(payload) != test.want {
			t.Errorf("%s: got %+v, %.40q, %q", test.handle, j, payload, said)
		}
	}
	w := worker(t, addr, "f")
	running := w.grab()
	if j, payload, _ := askPayload(t, addr, running); j.State != wire.StateRunning || string(payload) != odd {
		t.Errorf("running: %+v, %.40q", j, payload)
	}
	w.send(req(wire.WorkFail, running))
	if w.grab() != empty || w.grab() != spilled {
		t.Fatal("the jobs come in another order")
	}
	w.send(req(wire.WorkFail, spilled))
	eventually(t, "both are dead", func() bool {
		j, _, _ := askPayload(t, addr, spilled)
		return j.State == wire.StateDead
	})
	for _, test := range []struct{ handle, want string }{{running, odd}, {spilled, load("3")}} {
		if j, payload, said := askPayload(t, addr, test.handle); j.State != wire.StateDead || !bytes.Equal(payload, []byte(test.want)) {
			t.Errorf("dead: %+v, %.40q, %q", j, payload, said)
		}
	}
	for _, handle := range []string{"H:nowhere:1", "x"} {
		if _, _, said := askPayload(t, addr, handle); said != "ERR UNKNOWN_JOB\r\n" {
			t.Errorf("%s: %q", handle, said)
		}
	}
	if got := dial(t, addr).line("job " + spilled + " pay"); !strings.HasPrefix(got, "ERR") {
		t.Errorf("another second word: %q", got)
	}
}

// A payload that the store has not any more is an error, and the connection goes on.
func TestJobPayloadThatIsLost(t *testing.T) {
	st := newLibrary()
	_, addr := start(t, server.Config{Store: st, Memory: memory, Version: "test"})
	c := dial(t, addr)
	spilled := c.submit(wire.SubmitJobBG, "f", "u", load("1"))
	st.set(func(context.Context, uint64) error { return &store.CorruptError{Where: "page 7", Why: "checksum"} })
	if _, _, said := askPayload(t, addr, spilled); !strings.HasPrefix(said, "ERR NOT_STORED the payload cannot be read: page 7") {
		t.Errorf("got %q", said)
	}
	st.set(func(context.Context, uint64) error { return errors.Join(store.ErrNotFound) })
	if _, _, said := askPayload(t, addr, spilled); !strings.HasPrefix(said, "ERR") {
		t.Errorf("got %q", said)
	}
}
