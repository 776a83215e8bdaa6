package gearman

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"testing"

	"gm/pkg/wire"
)

// allocated returns how many bytes f allocates, freed ones included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const big = 64 << 20

// A client holds only the result, the reader's buffer and the smaller buffers before
// it: together less than 5 times the result.
func TestBigPayloadClient(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	payload := bytes.Repeat([]byte("0123456789abcdef"), big/16)
	served := make(chan error, 1)
	go func() {
		nc := <-f.conns
		defer nc.Close()
		sent := wire.AppendString(nil, wire.Request, wire.OptionReq, "exceptions")
		size := len("f") + 1 + 1 + big
		in := make([]byte, len(sent)+wire.HeaderSize+2+1)
		if _, err := io.ReadFull(nc, in); err != nil {
			served <- err
			return
		}
		if want := wire.AppendHeader(sent, wire.Request, wire.SubmitJob, size); !bytes.HasPrefix(in, want) {
			t.Errorf("got %q", in)
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(nc, big)); n != big {
			t.Errorf("got %d bytes of payload, %v", n, err)
		}
		out := wire.AppendString(nil, wire.Response, wire.JobCreated, "H:1")
		out = wire.AppendHeader(out, wire.Response, wire.WorkComplete, len("H:1")+1+big)
		nc.Write(append(out, "H:1\x00"...))
		_, err := nc.Write(payload)
		served <- err
	}()
	n := allocated(func() {
		got, err := c.Do(context.Background(), &Task{Function: "f", Payload: payload})
		if err != nil || !bytes.Equal(got.Data, payload) {
			t.Errorf("got %v", err)
		}
	})
	if err := within(t, "the server", served); err != nil {
		t.Error(err)
	}
	if n > 5*big {
		t.Errorf("allocated %d MB for %d MB", n>>20, big>>20)
	}
}

func TestBigPayloadWorker(t *testing.T) {
	f := newFake(t)
	payload := bytes.Repeat([]byte("0123456789abcdef"), big/16)
	n := allocated(func() {
		runWorker(t, workerOf(f), handlers{"cat": echo})
		s := f.accept()
		s.expect(wire.CanDo, "cat")
		s.expect(wire.GrabJobAll)
		head := wire.AppendHeader(nil, wire.Response, wire.JobAssign, len("H:1")+1+len("cat")+1+big)
		s.raw(string(append(head, "H:1\x00cat\x00"...)))
		s.nc.Write(payload)
		want := append(wire.AppendHeader(nil, wire.Request, wire.WorkComplete, len("H:1")+1+big), "H:1\x00"...)
		head = make([]byte, len(want))
		if _, err := io.ReadFull(s.nc, head); err != nil || !bytes.Equal(head, want) {
			t.Fatalf("got %q, %v", head, err)
		}
		chunk := make([]byte, 1<<20)
		for i := range big >> 20 {
			if _, err := io.ReadFull(s.nc, chunk); err != nil || !bytes.Equal(chunk, payload[i<<20:(i+1)<<20]) {
				t.Fatalf("MB %d: %v", i, err)
			}
		}
		s.expect(wire.GrabJobAll)
		s.close()
	})
	if n > 5*big {
		t.Errorf("allocated %d MB for %d MB", n>>20, big>>20)
	}
}

// A size that is announced costs nothing before the bytes are there.
func TestAnnouncedSizeCostsNothing(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	n := allocated(func() {
		r := startAsync(t, c, &Task{Function: "f"})
		s := f.acceptClient()
		s.expect(wire.SubmitJob, "f", "", "")
		s.send(wire.JobCreated, "H:1")
		s.raw(string(wire.AppendHeader(nil, wire.Response, wire.WorkComplete, big)) + "H:1\x00")
		s.close()
		if _, err := end(t, r); err == nil {
			t.Error("half a packet is no result")
		}
	})
	if n > 1<<20 {
		t.Errorf("allocated %d bytes", n)
	}
}

// A client that submits faster than the server reads waits, and can give up.
func TestSubmitterWaitsForRoom(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	payload := make([]byte, 1<<20)
	ctx, cancel := context.WithCancel(context.Background())
	sent := 0
	done := make(chan error, 1)
	go func() {
		for {
			r, err := c.StartAsync(ctx, &Task{Function: "f", Payload: payload})
			if err != nil {
				done <- err
				return
			}
			if sent++; sent == 200 {
				<-r.Done()
			}
		}
	}()
	s := f.acceptClient() // and reads no more
	conn, err := c.servers[0].connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a submitter that waits", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return conn.unwritten >= maxUnwritten
	})
	cancel()
	if err := within(t, "the submitter", done); err == nil {
		t.Error("no error")
	}
	if sent >= 200 {
		t.Errorf("%d MB went nowhere", sent)
	}
	s.close()
}

// Events that nobody takes hold the reader up; the context frees it.
func TestEventsHaveBackPressure(t *testing.T) {
	f := newFake(t)
	c := clientOf(t, f)
	ctx, cancel := context.WithCancel(context.Background())
	events := make(chan Event, 2)
	r, err := c.StartAsync(ctx, &Task{Function: "f", Events: events})
	if err != nil {
		t.Fatal(err)
	}
	other := startAsync(t, c, &Task{Function: "g"})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.expect(wire.SubmitJob, "g", "", "")
	s.send(wire.JobCreated, "H:1")
	s.send(wire.JobCreated, "H:2")
	for range 5 {
		s.send(wire.WorkData, "H:1", "x")
	}
	s.send(wire.WorkComplete, "H:2", "")
	waitFor(t, "events to fill up", func() bool { return len(events) == cap(events) })
	cancel()
	if _, err := end(t, other); err != nil {
		t.Error(err)
	}
	end(t, r)
	if e := <-events; e.Kind != EventCreated || e.Handle != "H:1" || e.Attempt != 1 {
		t.Errorf("got %+v", e)
	}
	if e := <-events; e.Kind != EventData || string(e.Data) != "x" {
		t.Errorf("got %+v", e)
	}
}
