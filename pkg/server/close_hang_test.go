package server_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// deaf is a store whose calls do not heed their context: those named in hangs
// wait for release.
type deaf struct {
	*library
	hangs   string
	release chan struct{}
}

func (d *deaf) hang(call string) {
	if strings.Contains(d.hangs, call) {
		<-d.release
	}
}

func (d *deaf) Commit(ctx context.Context, ops []store.Op) error {
	if countVisible(ops) > 0 {
		d.hang("commit")
	}
	return d.library.Commit(ctx, ops)
}

func (d *deaf) Replay(ctx context.Context, f func(*store.Record) error) error {
	d.hang("replay")
	return d.library.Replay(ctx, f)
}

func (d *deaf) ReadPayload(ctx context.Context, r *store.Record) ([]byte, error) {
	d.hang("payload")
	return d.library.ReadPayload(ctx, r)
}

func (d *deaf) Close() error {
	d.hang("close")
	return d.library.Close()
}

// A store that does not answer does not keep Close: it ends in bounded time,
// says so, and leaves one goroutine behind, which closes the store in the end.
func TestCloseOfAStoreThatDoesNotAnswer(t *testing.T) {
	for _, call := range []string{"commit", "replay", "payload", "close"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &deaf{library: newLibrary(), hangs: call, release: make(chan struct{})}
				var log logs
				s, err := server.New(server.Config{
					Store: st, StoreName: "fake", Host: "test", Memory: memory, StoreTimeout: time.Second, Logger: log.logger(0),
				})
				if err != nil {
					t.Fatal(err)
				}
				c := pipe(t, s)
				if call != "replay" {
					if err := s.Restored(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				switch call {
				case "commit":
					c.send(req(wire.SubmitJobBG, "f", "", "x"))
				case "payload":
					c.submit(wire.SubmitJobBG, "f", "", load("x"))
					c.send(req(wire.CanDo, "f"), req(wire.GrabJob))
				}
				synctest.Wait()
				began := time.Now()
				err = s.Close()
				if took := time.Since(began); took > 30*time.Second || err == nil {
					t.Errorf("Close: %v after %v", err, took)
				}
				synctest.Wait()
				if !log.has([]string{"level=ERROR", "the store is left open", "store fake does not answer"}) {
					t.Errorf("logged:\n%s", &log)
				}
				c.wantEnd()
				c.Close()
				synctest.Wait()
				if left := serverGoroutines(); len(left) > 1 {
					t.Errorf("%d goroutines are left, want 1:\n%s", len(left), strings.Join(left, "\n\n"))
				}
				close(st.release)
				synctest.Wait()
				if !st.closed {
					t.Error("the store was never closed")
				}
			})
		})
	}
}

// serverGoroutines returns the stacks of a bubble's goroutines that run the
// server's code.
func serverGoroutines() (stacks []string) {
	buf := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if first, rest, _ := strings.Cut(stack, "\n"); strings.Contains(first, "synctest bubble") && strings.Contains(rest, "gm/pkg/server.(") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// blocked is a log whose reader does not read.
type blocked struct{ release chan struct{} }

func (b blocked) Write(p []byte) (int, error) {
	<-b.release
	return len(p), nil
}

// A log that blocks stops nothing: not the service at debug level, and not the
// end of the server.
func TestLogThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := blocked{make(chan struct{})}
		log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s, dial := startPiped(t, server.Config{Logger: log, Store: newJournal()})
		c, w := dial(), dial()
		w.send(req(wire.CanDo, "f"))
		for range 10_000 { // four lines each
			h := c.submit(wire.SubmitJobBG, "f", "", "x")
			if w.grab() != h {
				t.Fatal("another job came")
			}
			w.send(req(wire.WorkComplete, h, ""))
		}
		w.sync()
		began := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
		close(out.release)
	})
}

// Lines that a slow log has lost are counted.
func TestLostLogLinesAreCounted(t *testing.T) {
	var log logs
	hold := &holding{logs: &log, gate: make(chan struct{})}
	s, addr := start(t, server.Config{Logger: slog.New(slog.NewTextHandler(hold, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c := dial(t, addr)
	for range 20 {
		c.send([]byte(strings.Repeat(string(req(wire.SubmitJobBG, "f", "", "x")), 1000)))
		for range 1000 {
			c.want(`JOB_CREATED *`)
		}
	}
	close(hold.gate)
	log.wait(t, "level=WARN", "the log is too slow", "lines lost")
	s.Close()
}

// holding is a log that writes when its gate is open.
type holding struct {
	*logs
	gate chan struct{}
}

func (h *holding) Write(b []byte) (int, error) {
	<-h.gate
	return h.logs.Write(b)
}
