package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

// watchFlags returns the flags of verbs that can repeat their output.
func (e *env) watchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "repeat the output until interrupted"},
		cli.DurationFlag(2*time.Second, cli.GenericFlag{
			Name: "interval", Aliases: []string{"i"},
			Usage: "with --watch: wait `DURATION` from one output to the next",
		}),
		&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Usage: "with --watch: end after `N` outputs; 0 is no limit"},
	}
}

// watch calls look at once and then every --interval, at most --count times, until the
// context is done. On a screen each output replaces the one before, also when the terminal
// changes its size. If no server answers, watch notes the error once and goes on.
func (e *env) watch(c *cli.Context, screen *watchScreen, look func(now time.Time) error) error {
	interval := cli.DurationOf(c, "interval")
	if interval <= 0 {
		return cli.UsageErrorf("--interval must be greater than 0")
	}
	resized, stopResized := notifyResize()
	defer stopResized()
	if screen != nil {
		screen.enter()
		defer screen.leave()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	now, failing := time.Now(), false
	for n := 1; ; n++ {
		err := look(now)
		switch {
		case err == nil && failing && screen == nil:
			e.note("%s: servers answer again", c.Command.Name)
		case err == nil:
		case c.Context.Err() != nil:
			return context.Cause(c.Context)
		case exitCode(err) != cli.ExitNoServer && exitCode(err) != cli.ExitTimeout && !errors.Is(err, gearman.ErrLost):
			return err
		case screen != nil:
			if err := screen.drawError(now, err); err != nil {
				return err
			}
		case !failing:
			e.note("%v", err)
		}
		failing = err != nil
		if n == c.Int("count") {
			return err
		}
		for waiting := true; waiting; {
			select {
			case now = <-tick.C:
				waiting = false
			case <-resized:
				if err := screen.redraw(); err != nil {
					return err
				}
			case <-c.Context.Done():
				return context.Cause(c.Context)
			}
		}
	}
}

// notifyResize returns a channel that receives an element when the terminal changes its
// size.
func notifyResize() (<-chan os.Signal, func()) {
	resized := make(chan os.Signal, 1)
	if len(cli.ResizeSignals) == 0 {
		return resized, func() {}
	}
	signal.Notify(resized, cli.ResizeSignals...)
	return resized, func() { signal.Stop(resized) }
}

// watchFormat returns the format of a watch, which cannot be one document.
func (e *env) watchFormat(c *cli.Context) (cli.RowFormat, error) {
	format, err := e.RowFormat(c)
	if format == cli.FormatJSON {
		return "", cli.WithHint(cli.UsageErrorf("--watch cannot be used with -o json, which is one document"),
			"-o jsonl prints one object each time")
	}
	return format, err
}

// A watchScreen draws each table in place of the one before, within the size of the
// terminal. It uses the alternate screen, so that the scrollback stays clean, and prints
// the last table when it leaves.
type watchScreen struct {
	out      io.Writer
	style    *cli.Style
	interval time.Duration
	size     func() (columns, lines int) // 0 for no terminal

	last   watchFrame
	drawn  bool
	inside bool // on the alternate screen
}

// watchFrame is the content of a screen.
type watchFrame struct {
	at      time.Time
	columns []cli.Column
	rows    []cli.Row
	notes   []string // lines above the table that name missing servers
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // alternate screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	cursorHome  = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// newWatchScreen returns the screen of a verb that draws; nil in any other format.
func (e *env) newWatchScreen(c *cli.Context, format cli.RowFormat) (*watchScreen, error) {
	if format != cli.FormatTable {
		return nil, nil
	}
	s, err := e.Style(c)
	if err != nil {
		return nil, err
	}
	return &watchScreen{
		out: e.Stdout, style: s, interval: cli.DurationOf(c, "interval"),
		size: func() (int, int) { return cli.TerminalSize(e.Stdout) },
	}, nil
}

// enter goes to the alternate screen.
func (s *watchScreen) enter() {
	if columns, _ := s.size(); columns > 0 {
		io.WriteString(s.out, enterScreen) //nolint:errcheck // the next write fails as well
		s.inside = true
	}
}

// leave returns to the normal screen and prints the last frame there.
func (s *watchScreen) leave() {
	if !s.inside {
		return
	}
	s.inside = false
	io.WriteString(s.out, leaveScreen) //nolint:errcheck // the verb ends
	if s.drawn {
		s.redraw() //nolint:errcheck // as above
	}
}

// draw shows a frame.
func (s *watchScreen) draw(f watchFrame) error {
	s.last, s.drawn = f, true
	return s.redraw()
}

// drawError shows an error above the last table.
func (s *watchScreen) drawError(now time.Time, err error) error {
	f := s.last
	f.at = now
	f.notes = []string{err.Error()}
	if s.drawn {
		f.notes = append(f.notes, "as of "+s.last.at.Format(time.TimeOnly)+":")
	}
	last, drawn := s.last, s.drawn
	defer func() { s.last, s.drawn = last, drawn }()
	return s.draw(f)
}

// redraw shows the last frame again with one write, within the current size of the
// terminal.
func (s *watchScreen) redraw() error {
	if s == nil {
		return nil
	}
	width, height := s.size()
	lines, err := s.lines(width, height)
	if err != nil {
		return err
	}
	var frame bytes.Buffer
	if s.inside {
		frame.WriteString(cursorHome)
		frame.WriteString(strings.Join(lines, eraseLine+"\r\n") + eraseLine + eraseBelow)
	} else {
		frame.WriteString(strings.Join(lines, "\n") + "\n")
	}
	_, err = s.out.Write(frame.Bytes())
	return err
}

// lines returns the last frame as lines that fit into the size.
func (s *watchScreen) lines(width, height int) ([]string, error) {
	f := s.last
	fit := func(text string) string {
		if width > 0 {
			return cli.Shorten(text, width)
		}
		return text
	}
	lines := []string{fit(f.at.Format(time.TimeOnly) + "  every " + s.interval.String())}
	for _, note := range f.notes {
		lines = append(lines, s.style.Warn.Sprint(fit(cli.Printable(note, false))))
	}
	if height == 0 || len(lines)+1 < height {
		lines = append(lines, "")
	}
	rows := f.rows
	if room := height - len(lines) - 1; height > 0 && len(rows) > room { // without the heading
		rows = rows[:max(0, room-1)]
	}
	var text bytes.Buffer
	w := cli.NewRowWriter(&text, cli.FormatTable, s.style, f.columns)
	w.Width = width
	for _, r := range rows {
		if err := w.Add(r); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if text.Len() > 0 {
		lines = append(lines, strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")...)
	}
	if more := len(f.rows) - len(rows); more > 0 {
		lines = append(lines, fit(fmt.Sprintf("%s and %d more rows", cli.Ellipsis, more)))
	}
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	return lines, nil
}
