package cmd

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
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
		return o, usageErrorf("--progress %q: must be json", format)
	}
	if o.json && (o.bar || o.eta) {
		return o, usageErrorf("--progress cannot be used with --bar and --eta")
	}
	return o, nil
}

// Intervals between two reports of the progress.
const (
	jsonInterval = time.Second
	barInterval  = 200 * time.Millisecond
)

// openBar makes stderr a Bar if the progress is to be drawn on that terminal.
func (s *recordRun) openBar() {
	if s.progress.json || !s.progress.bar && !s.progress.eta || terminalOf(s.stderr) == nil {
		return
	}
	s.bar = results.NewBar(s.stderr)
	outside := *s.env
	s.env = &outside
	s.stderr = s.bar
}

// showProgress shows the progress of b until stop is called, which shows it once
// more.
func (s *recordRun) showProgress(b *batch.Batch) (stop func()) {
	meter := results.NewMeter(b, s.total, s.input)
	switch {
	case s.progress.json:
		return results.Repeat(jsonInterval, func(bool) {
			if line, err := json.Marshal(meter.Read(time.Now())); err == nil {
				s.stderr.Write(append(line, '\n'))
			}
		})
	case s.bar != nil:
		terminal := terminalOf(s.bar.Terminal())
		return results.Repeat(barInterval, func(last bool) {
			line := meter.Read(time.Now()).Line(results.LineOptions{
				Width:    terminalWidth(terminal),
				Bar:      s.progress.bar,
				Duration: func(d time.Duration) string { return age(d.Milliseconds()) },
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

// terminalOf returns the file that w is, if it is a terminal; else nil.
func terminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		return f
	}
	return nil
}

// fileOf returns the file that w, one of env's streams, writes to; nil if it is
// none.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}
