package cmd

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"gm/cmd/cli"
	"gm/pkg/batch"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
	"gm/pkg/results"
)

// progressOptions are the forms in which a run shows its progress.
type progressOptions struct{ bar, eta, json bool }

func newProgressOptions(c *cli.Context) (progressOptions, error) {
	o := progressOptions{bar: c.Bool("bar"), eta: c.Bool("eta")}
	switch format := c.String("progress"); format {
	case "":
	case "json":
		o.json = true
	default:
		return o, cli.UsageErrorf("--progress %q: must be json", format)
	}
	if o.json && (o.bar || o.eta) {
		return o, cli.UsageErrorf("--progress cannot be used with --bar and --eta")
	}
	return o, nil
}

// Intervals between two reports of the progress.
const (
	jsonInterval = time.Second
	barInterval  = 200 * time.Millisecond
)

// openBar makes stderr a Bar if it is a terminal and the flags ask for one.
func (s *recordRun) openBar() {
	if s.progress.json || !s.progress.bar && !s.progress.eta || cli.TerminalOf(s.Stderr) == nil {
		return
	}
	s.bar = results.NewBar(s.Stderr)
	outside := *s.env
	s.env = &outside
	s.Stderr = s.bar
}

// showProgress shows the progress of b until stop is called, which shows it once
// more.
func (s *recordRun) showProgress(b *batch.Batch) (stop func()) {
	meter := results.NewMeter(b, s.total, s.input)
	switch {
	case s.progress.json:
		return results.Repeat(jsonInterval, func(bool) {
			if line, err := json.Marshal(meter.Read(time.Now())); err == nil {
				s.Stderr.Write(append(line, '\n'))
			}
		})
	case s.bar != nil:
		terminal := cli.TerminalOf(s.bar.Terminal())
		return results.Repeat(barInterval, func(last bool) {
			line := meter.Read(time.Now()).Line(results.LineOptions{
				Width:    cli.TerminalWidth(terminal),
				Bar:      s.progress.bar,
				Duration: func(d time.Duration) string { return cli.FormatAge(d) },
			})
			if last {
				s.bar.Finish(line)
			} else {
				s.bar.Draw(line)
			}
		})
	}
	return func() {}
}

// cli.HeedSignals returns a context that SIGINT or SIGTERM cancels. If jobs are running,
// the first Ctrl-C at a terminal only stops the sending of records, and gm waits for
// their results until the second one. A signal after the cancellation ends the
// process.
func (s *recordRun) heedSignals(ctx context.Context, b *batch.Batch) (context.Context, func()) {
	if s.leavesNothing() {
		return ctx, func() {} // a signal may end the process as it comes
	}
	ctx, cancel := context.WithCancelCause(ctx)
	signals, stop := cli.NotifySignals(os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var heeding sync.WaitGroup
	heeding.Go(func() {
		patient := s.terminal && s.reduction == nil
		for {
			select {
			case got := <-signals:
				sig := &cli.SignalError{Sig: got.(syscall.Signal)}
				running := b.Progress().Running
				switch {
				case ctx.Err() != nil:
					cli.DieBySignal(sig.Sig)
				case patient && got == os.Interrupt && running > 0:
					patient = false
					s.note("no further records are sent; %d jobs are running, and their results are waited for; a second Ctrl-C ends it now", running)
					b.Drain(sig)
				default:
					cancel(sig)
				}
			case <-done:
				return
			}
		}
	})
	return ctx, func() {
		stop()
		close(done)
		heeding.Wait()
		cancel(nil)
	}
}

// silence is the time after which gm looks for workers if a person at a terminal
// has seen no result.
const silence = 2 * time.Second

// watchForWorkers notes at a terminal that no worker can do a function, if no
// record has ended after a while, unless stop is called before.
func (s *recordRun) watchForWorkers(ctx context.Context, b *batch.Batch) (stop func()) {
	if !s.terminal || s.tasks[0].Background {
		return func() {}
	}
	return results.AfterSilence(ctx, b, silence, s.noteMissingWorkers)
}

// noteMissingWorkers prints the functions that no worker of any server can do.
func (s *recordRun) noteMissingWorkers(ctx context.Context) {
	answers := fleet.Ask(ctx, s.opts, requireTimeout,
		func(ctx context.Context, admin *gearman.Admin) ([]gearman.FunctionStatus, error) {
			return admin.Status(ctx)
		})
	var known []string // functions with workers
	for _, a := range answers {
		if a.Err != nil {
			return // its functions are unknown
		}
		for _, f := range a.Value {
			if f.Workers > 0 {
				known = append(known, f.Function)
			}
		}
	}
	var functions []string
	for _, t := range s.tasks {
		functions = append(functions, t.Function)
	}
	if s.reduction != nil {
		functions = append(functions, s.reduction.Task.Function)
	}
	slices.Sort(functions)
	for _, f := range slices.Compact(functions) {
		if slices.Contains(known, f) {
			continue
		}
		question := ""
		if near := cli.Nearest(f, known); near != "" {
			question = ", did you mean " + near + "?"
		}
		s.note("no worker can do %s yet%s (gm waits for one; Ctrl-C ends it)", f, question)
	}
}

// serverNotes is a slog.Handler for a client of several servers. It prints on stderr
// which of them gets no records, and which gets records again.
type serverNotes struct{ run *recordRun }

// Enabled implements slog.Handler.
func (n serverNotes) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

// Handle implements slog.Handler.
func (n serverNotes) Handle(_ context.Context, r slog.Record) error {
	var server, reason string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "server":
			server = a.Value.String()
		case "error":
			reason = a.Value.String()
		}
		return true
	})
	if r.Level >= slog.LevelWarn {
		n.run.note("server %s is left out: %s", server, reason)
	} else {
		n.run.note("server %s gets records again", server)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (n serverNotes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n serverNotes) WithGroup(string) slog.Handler { return n }
