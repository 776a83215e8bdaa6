package server_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestTrace(t *testing.T) {
	var trace logs
	s, addr := start(t, server.Config{Version: "1.0", Trace: wire.NewTracer(&trace)})
	c, w := dial(t, addr), dial(t, addr)
	h := c.submit(wire.SubmitJob, "reverse", "", "hello")
	w.send(req(wire.CanDo, "reverse"), req(wire.GrabJob))
	w.want(`JOB_ASSIGN *`)
	w.send(req(wire.WorkComplete, h, "olleh"))
	c.want(`WORK_COMPLETE *`)
	c.line("version")
	c.list("status")
	c.line("create function x")
	c.send([]byte("\x00REQ\x00\x00\x00\x05\x00\x00\x00\x00"))
	c.wantError(wire.CodeInvalidCommand)
	c.wantEnd()
	s.Close()
	golden(t, "trace.txt", strings.NewReplacer(
		c.LocalAddr().String(), "client", w.LocalAddr().String(), "worker", h, "H:test:1").Replace(trace.String()))
}

// One line a change of state at info, a job's life at debug.
func TestLog(t *testing.T) {
	for name, level := range map[string]slog.Level{"info.txt": slog.LevelInfo, "debug.txt": slog.LevelDebug} {
		t.Run(name, func(t *testing.T) {
			var log logs
			s, addr := start(t, server.Config{Logger: log.logger(level)})
			// Lines of two connections may change places unless waited for.
			logged := func(msg string) {
				t.Helper()
				if level == slog.LevelDebug {
					log.wait(t, "msg="+msg)
				}
			}
			c := dial(t, addr)
			h := c.submit(wire.SubmitJob, "f", "u", "hello")
			c.submit(wire.SubmitJobBG, "f", "u", "again")
			logged("coalesced")
			w := worker(t, addr, "f")
			w.grab()
			w.Close()
			eventually(t, "the job is back", func() bool { return c.job(h).Attempts == 1 })
			logged("disconnected")
			w2 := worker(t, addr, "f")
			w2.grab()
			w2.send(req(wire.WorkComplete, h, ""))
			c.want(`WORK_COMPLETE *`)
			logged("ended")
			c.line("pause function f")
			c.line("pause function nope")
			log.wait(t, "msg=changed")
			bad := dial(t, addr)
			bad.send([]byte("\x00BAD........"))
			bad.wantError(wire.CodeInvalidMagic)
			bad.wantEnd()
			s.Close()
			golden(t, name, strings.NewReplacer(addr, "listener", c.LocalAddr().String(), "client",
				w.LocalAddr().String(), "worker", w2.LocalAddr().String(), "worker-2",
				bad.LocalAddr().String(), "bad", h, "H:test:1").Replace(log.String()))
		})
	}
}
