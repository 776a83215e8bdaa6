package server

import (
	"io"
	"testing"
	"time"

	"gm/pkg/queue"
	"gm/pkg/server/transport"
	"gm/pkg/wire"
)

func TestEveryRequestHasAHandler(t *testing.T) {
	for typ := range wire.StatusResUnique + 1 {
		has := int(typ) < len(handlers) && handlers[typ] != nil
		if has != typ.Goes(wire.Request) {
			t.Errorf("%v: handler %v, request %v", typ, has, typ.Goes(wire.Request))
		}
	}
}

// nowhere is a socket without another end. It takes all bytes.
type nowhere struct{}

func (nowhere) Read([]byte) (int, error)         { return 0, io.EOF }
func (nowhere) TryWrite(b []byte) (int, error)   { return len(b), nil }
func (nowhere) NotifyWritable(*transport.Outbox) {}
func (nowhere) IsReadable() bool                 { return false }
func (nowhere) IsWritable() bool                 { return true }
func (nowhere) Close() error                     { return nil }
func (nowhere) Free()                            {}
func (nowhere) CloseWrite()                      {}
func (nowhere) Linger(time.Duration)             {}
func (nowhere) AckNow()                          {}
func (nowhere) FD() int                          { return -1 }

// bench is a connection whose packets are handed to dispatch directly.
type bench struct{ *conn }

func newBench(t testing.TB) bench {
	s, err := New(Config{Host: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := newAloneConn(s, nowhere{}, "nowhere")
	s.admit(c)
	t.Cleanup(func() {
		c.serve() // which finds the end
		s.Close()
	})
	return bench{c}
}

// packet returns a decoded packet.
func packet(t testing.TB, typ wire.Type, args ...string) *wire.Packet {
	var p wire.Packet
	if _, err := wire.Decode(wire.AppendString(nil, wire.Request, typ, args...), wire.Limits{}, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// do handles packets in one turn and forgets the replies.
func (b bench) do(t testing.TB, packets ...*wire.Packet) {
	b.s.mu.Lock()
	for _, p := range packets {
		if err := b.dispatch(1, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range b.s.dirty {
		c.dirty = false
		c.Flush()
	}
	b.s.dirty = b.s.dirty[:0]
	b.s.mu.Unlock()
}

// handle returns the job that the connection was given last.
func (b bench) handle() string {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	var h string
	var walk queue.PeerWalk
	b.peer.BeginWalk(&walk)
	defer walk.End()
	for walk.Jobs(1, func(j *queue.Job) { h = j.Handle() }) == 1 {
	}
	return h
}

func TestAllocations(t *testing.T) {
	b := newBench(t)
	b.do(t, packet(t, wire.CanDo, "f"), packet(t, wire.SubmitJob, "f", "u", "x"), packet(t, wire.GrabJob))
	h := b.handle()
	tests := []struct {
		name    string
		packets []*wire.Packet
		want    float64
	}{
		{"echo", []*wire.Packet{packet(t, wire.EchoReq, "x")}, 0},
		{"can do again", []*wire.Packet{packet(t, wire.CanDo, "f")}, 0},
		{"nothing to grab", []*wire.Packet{packet(t, wire.GrabJob)}, 0},
		{"sleep", []*wire.Packet{packet(t, wire.PreSleep)}, 0},
		{"status", []*wire.Packet{packet(t, wire.GetStatus, h)}, 0},
		{"status of an unknown job", []*wire.Packet{packet(t, wire.GetStatus, "H:test:9")}, 0},
		{"status by unique", []*wire.Packet{packet(t, wire.GetStatusUnique, "u")}, 0},
		{"data", []*wire.Packet{packet(t, wire.WorkData, h, "part")}, 0},
		{"status report", []*wire.Packet{packet(t, wire.WorkStatus, h, "1", "2")}, 0},
		{"coalescing", []*wire.Packet{packet(t, wire.SubmitJobBG, "f", "u", "x")}, 0},
		{
			"submission and grab: the job and its bytes",
			[]*wire.Packet{packet(t, wire.SubmitJobBG, "f", "", "x"), packet(t, wire.GrabJobAll)},
			2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(200, func() { b.do(t, tt.packets...) }); got > tt.want {
				t.Errorf("%v allocations, want at most %v", got, tt.want)
			}
		})
	}
}
