package batch_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/wire"
)

const benchRecords = 100_000

// runLines sends the lines of text and returns the bytes that came back.
func runLines(tb testing.TB, c batch.Submitter, text string, b *batch.Batch) {
	tb.Helper()
	b.Client = c
	b.Task.Function = "echo"
	var size int
	b.Data = func(_ *batch.Record, piece []byte) error {
		size += len(piece)
		return nil
	}
	sum, err := b.Run(context.Background(), batch.NewSplitter(strings.NewReader(text), []byte("\n"), true, 0))
	if err != nil {
		tb.Fatal(err)
	}
	if sum.Records != benchRecords || sum.Failed > 0 || size != len(text) {
		tb.Fatalf("got %+v and %d bytes, want %d records and %d bytes", sum, size, benchRecords, len(text))
	}
}

func report(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchRecords/b.Elapsed().Seconds(), "records/s")
}

// at once is a client whose jobs have ended when StartAsync returns.
type atOnce struct{}

func (atOnce) StartAsync(_ context.Context, t *gearman.Task) (*gearman.Running, error) {
	t.OnCreated("H:1")
	t.OnComplete(t.Payload)
	return nil, nil
}

// BenchmarkEngine is the cost of a Batch without a client.
func BenchmarkEngine(b *testing.B) {
	text := strings.Repeat("a record\n", benchRecords)
	b.ReportAllocs()
	for b.Loop() {
		runLines(b, atOnce{}, text, &batch.Batch{})
	}
	report(b)
}

// BenchmarkClient is the cost of a Batch and its client: the other end of the
// connection answers at once without doing anything.
func BenchmarkClient(b *testing.B) {
	text := strings.Repeat("a record\n", benchRecords)
	c := newClient(b, gearman.Options{Servers: []gearman.Server{startParrot(b)}})
	b.ReportAllocs()
	for b.Loop() {
		runLines(b, c, text, &batch.Batch{})
	}
	report(b)
}

// startParrot starts a server that answers each submission with JOB_CREATED and
// WORK_COMPLETE.
func startParrot(tb testing.TB) gearman.Server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { parrot(nc) })
		}
	})
	tb.Cleanup(func() { // after that of the client, which began later
		l.Close()
		conns.Wait()
	})
	return gearman.Server{Network: "tcp", Addr: l.Addr().String()}
}

func parrot(nc net.Conn) {
	defer nc.Close()
	in := wire.NewReader(nc, wire.Limits{})
	var p wire.Packet
	var out []byte
	handle := []byte("H:parrot:0000000000")
	for {
		for {
			ok, err := in.Packet(&p)
			if err != nil {
				return
			}
			if !ok {
				break
			}
			if p.Type == wire.OptionReq {
				continue
			}
			for i := len(handle) - 1; ; i-- {
				if handle[i]++; handle[i] <= '9' {
					break
				}
				handle[i] = '0'
			}
			out = wire.Append(out, wire.Response, wire.JobCreated, handle)
			out = wire.Append(out, wire.Response, wire.WorkComplete, handle, p.Last())
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
		out = out[:0]
		if err := in.Fill(); err != nil {
			return
		}
	}
}
