package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// A Screen draws each table in place of the one before, within the size of the
// terminal. It uses the alternate screen, so that the scrollback stays clean, and prints
// the last table when it is left.
type Screen struct {
	out      io.Writer
	style    *Style
	interval time.Duration
	size     func() (columns, lines int) // 0 if out is no terminal

	last   Frame
	drawn  bool
	inside bool // on the alternate screen
}

// Frame is the content of a Screen.
type Frame struct {
	At      time.Time
	Columns []Column
	Rows    []Row
	Notes   []string // lines above the table, in a warning colour
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // alternate screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	cursorHome  = "\x1b[H"
	eraseLine   = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// newScreen returns a screen on stdout.
func (e *Env) newScreen(c *urfave.Context) (*Screen, error) {
	s, err := e.Style(c)
	if err != nil {
		return nil, err
	}
	return &Screen{
		out: e.Stdout, style: s, interval: DurationOf(c, "interval"),
		size: func() (int, int) { return TerminalSize(e.Stdout) },
	}, nil
}

// Draw shows a frame.
func (s *Screen) Draw(f Frame) error {
	s.last, s.drawn = f, true
	return s.drawLast()
}

// enterAlternate goes to the alternate screen, if out is a terminal.
func (s *Screen) enterAlternate() {
	if columns, _ := s.size(); columns > 0 {
		io.WriteString(s.out, enterScreen) //nolint:errcheck // the next write fails as well
		s.inside = true
	}
}

// leaveAlternate returns to the normal screen and prints the last frame there.
func (s *Screen) leaveAlternate() {
	if !s.inside {
		return
	}
	s.inside = false
	io.WriteString(s.out, leaveScreen) //nolint:errcheck // the verb ends
	if s.drawn {
		s.drawLast() //nolint:errcheck // as above
	}
}

// drawError shows an error above the last table.
func (s *Screen) drawError(now time.Time, err error) error {
	f := s.last
	f.At = now
	f.Notes = []string{err.Error()}
	if s.drawn {
		f.Notes = append(f.Notes, "as of "+s.last.At.Format(time.TimeOnly)+":")
	}
	last, drawn := s.last, s.drawn
	defer func() { s.last, s.drawn = last, drawn }()
	return s.Draw(f)
}

// drawLast shows the last frame again with one write, within the current size of the
// terminal.
func (s *Screen) drawLast() error {
	width, height := s.size()
	lines, err := s.frameLines(width, height)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if s.inside {
		text.WriteString(cursorHome)
		text.WriteString(strings.Join(lines, eraseLine+"\r\n") + eraseLine + eraseBelow)
	} else {
		text.WriteString(strings.Join(lines, "\n") + "\n")
	}
	_, err = s.out.Write(text.Bytes())
	return err
}

// frameLines returns the last frame as lines that fit into the size.
func (s *Screen) frameLines(width, height int) ([]string, error) {
	f := s.last
	fit := func(text string) string {
		if width > 0 {
			return Shorten(text, width)
		}
		return text
	}
	lines := []string{fit(f.At.Format(time.TimeOnly) + "  every " + s.interval.String())}
	for _, note := range f.Notes {
		lines = append(lines, s.style.Warn.Sprint(fit(Printable(note, false))))
	}
	if height == 0 || len(lines)+1 < height {
		lines = append(lines, "")
	}
	rows := f.Rows
	if room := height - len(lines) - 1; height > 0 && len(rows) > room { // without the heading
		rows = rows[:max(0, room-1)]
	}
	var text bytes.Buffer
	w := NewRowWriter(&text, FormatTable, s.style, f.Columns)
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
	if more := len(f.Rows) - len(rows); more > 0 {
		lines = append(lines, fit(fmt.Sprintf("%s and %d more rows", Ellipsis, more)))
	}
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	return lines, nil
}
