package server_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// exchange sends some packets in one write, and reads and returns n bytes. It
// allocates nothing.
func (p *peer) exchange(packets, room []byte, n int) []byte {
	if _, err := p.Write(packets); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.ReadFull(p, room[:n]); err != nil {
		p.t.Fatal(err)
	}
	return room[:n]
}

// The handling of a packet, from socket to socket, allocates only the jobs
// themselves: one block for the job, one for its bytes.
func TestTurnsAllocateNothing(t *testing.T) {
	_, addr := start(t, server.Config{})
	c, w := dial(t, addr), dial(t, addr)
	w.send(req(wire.CanDo, "f"))
	w.sync()
	const many = 16
	room := make([]byte, 64<<10)

	echo := req(wire.EchoReq, "hello")
	submit := slices.Repeat(req(wire.SubmitJobBG, "f", "", "payload of a job"), many)
	created := many * (wire.HeaderSize + len(c.submit(wire.SubmitJobBG, "f", "", "")))
	w.send(req(wire.GrabJob))
	first := append([]byte(nil), w.next().Args[0]...)
	end := append(wire.Append(nil, wire.Request, wire.WorkComplete, first, []byte("done")), req(wire.GrabJob)...)
	assigned := wire.HeaderSize + len(first) + len("\x00f\x00") + len("payload of a job")

	for _, tt := range []struct {
		name string
		want float64
		do   func()
	}{
		{"echo", 0, func() { c.exchange(echo, room, len(echo)) }},
		{"submission", 2 * many, func() { c.exchange(submit, room, created) }},
		{"end and grab", 0, func() {
			got := w.exchange(end, room, assigned)
			h, _, _ := bytes.Cut(got[wire.HeaderSize:], []byte{0})
			copy(end[wire.HeaderSize:], h)
		}},
	} {
		for range 10 { // until the buffers are there
			tt.do()
		}
		got := testing.AllocsPerRun(100, tt.do)
		for range 10 { // other goroutines of the process only add to it
			got = min(got, testing.AllocsPerRun(100, tt.do))
		}
		if got > tt.want {
			t.Errorf("%s: %v allocations, want %v", tt.name, got, tt.want)
		}
	}
}
