package server_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// A worker that writes the end of a job and its next grab one after the other,
// with Nagle's algorithm on, does not wait for a delayed acknowledgment.
func TestGrabInAWriteOfItsOwn(t *testing.T) {
	const jobs = 40
	_, addr := start(t, server.Config{})
	w, c := worker(t, addr, "f"), dial(t, addr)
	if err := w.Conn.(*net.TCPConn).SetNoDelay(false); err != nil {
		t.Fatal(err)
	}
	for range jobs + 1 {
		c.submit(wire.SubmitJobBG, "f", "", "x")
	}
	h := w.grab()
	var took []time.Duration
	for i := range jobs {
		end := req(wire.WorkComplete, h, "done")
		if i%2 == 1 {
			end = req(wire.WorkFail, h)
		}
		began := time.Now()
		w.send(end)
		h = w.grab()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	// A delayed acknowledgment takes 40 ms, of nearly every job.
	if median := took[jobs/2]; median > 20*time.Millisecond {
		t.Errorf("a job takes %v", median)
	}
}
