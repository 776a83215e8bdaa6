package cli

import (
	"context"
	"os"
	"os/signal"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// WatchFlags returns the flags of verbs that can repeat their output; Watch reads them.
func WatchFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "repeat the output until interrupted"},
		DurationFlag(2*time.Second, urfave.GenericFlag{
			Name: "interval", Aliases: []string{"i"},
			Usage: "with --watch: wait `DURATION` from one output to the next",
		}),
		&urfave.IntFlag{Name: "count", Aliases: []string{"c"}, Usage: "with --watch: end after `N` outputs; 0 means no limit"},
	}
}

// A Watch repeats the output of a verb: tables on a Screen, or lines.
type Watch struct {
	Screen *Screen    // nil if the format is not a table
	Lines  *RowWriter // nil if there is a screen

	// Show prints one output. It gets the time that the output shows.
	Show func(now time.Time) error
	// Passing reports whether a later output may succeed after this error of Show.
	Passing func(error) bool
	// Recovered is the message for stderr when Show succeeds after an error.
	Recovered string
}

// NewWatch returns a watch in the format of RowFlags, which cannot be one document. The
// caller sets its functions and then runs it.
func (e *Env) NewWatch(c *urfave.Context) (*Watch, error) {
	format, err := e.RowFormat(c)
	if err != nil {
		return nil, err
	}
	w := &Watch{}
	switch format {
	case FormatJSON:
		return nil, WithHint(UsageErrorf("--watch cannot be used with -o json, which is one document"),
			"-o jsonl prints one object each time")
	case FormatTable:
		w.Screen, err = e.newScreen(c)
	default:
		w.Lines, err = e.NewRows(c)
	}
	return w, err
}

// Print prints a row as a line at once, if there is no screen.
func (w *Watch) Print(r Row) error {
	if err := w.Lines.Add(r); err != nil {
		return err
	}
	return w.Lines.Flush()
}

// RunWatch shows an output at once and then every --interval, at most --count times, until
// the context is done. It shows the last table again when the terminal changes its size.
// It reports the first of several passing errors, and goes on.
func (e *Env) RunWatch(c *urfave.Context, w *Watch) error {
	interval := DurationOf(c, "interval")
	if interval <= 0 {
		return UsageErrorf("--interval must be greater than 0")
	}
	resized, stopResized := notifyResize()
	defer stopResized()
	if w.Screen != nil {
		w.Screen.enterAlternate()
		defer w.Screen.leaveAlternate()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	now, failing := time.Now(), false
	for n := 1; ; n++ {
		err := w.Show(now)
		if err != nil && c.Context.Err() != nil {
			return context.Cause(c.Context)
		}
		if err != nil && !w.Passing(err) {
			return err
		}
		if reportErr := e.reportChange(w, now, err, failing); reportErr != nil {
			return reportErr
		}
		failing = err != nil
		if n == c.Int("count") {
			return err
		}
		if now, err = w.nextTick(c.Context, tick.C, resized); err != nil {
			return err
		}
	}
}

// reportChange reports an error of Show, and the first success after one. The screen
// shows every error, stderr only the first one.
func (e *Env) reportChange(w *Watch, now time.Time, err error, failing bool) error {
	switch {
	case err != nil && w.Screen != nil:
		return w.Screen.drawError(now, err)
	case err != nil && !failing:
		e.Notef("%v", err)
	case err == nil && failing && w.Screen == nil:
		e.Notef("%s", w.Recovered)
	}
	return nil
}

// nextTick waits for the time of the next output. It redraws the screen when the
// terminal changes its size.
func (w *Watch) nextTick(ctx context.Context, tick <-chan time.Time, resized <-chan os.Signal) (time.Time, error) {
	for {
		select {
		case now := <-tick:
			return now, nil
		case <-resized:
			if w.Screen == nil {
				continue
			}
			if err := w.Screen.drawLast(); err != nil {
				return time.Time{}, err
			}
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// notifyResize returns a channel that receives an element when the terminal changes its
// size.
func notifyResize() (resized <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	if len(resizeSignals) == 0 {
		return signals, func() {}
	}
	signal.Notify(signals, resizeSignals...)
	return signals, func() { signal.Stop(signals) }
}
