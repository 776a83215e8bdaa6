package cli

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// numberRow is a row of one number.
type numberRow struct {
	N int `json:"n"`
}

func (r numberRow) Cells(bool) []string { return []string{strconv.Itoa(r.N)} }

// watchContext returns an environment and the context of a verb with these flags, whose
// stdout is no terminal.
func watchContext(t *testing.T, args ...string) (e *Env, c *urfave.Context, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	e = &Env{Stdout: stdout, Stderr: stderr, Getenv: func(string) string { return "" }}
	verb := &Verb{Command: &urfave.Command{Name: "look", Flags: append(append(WatchFlags(), e.RowFlags()...), CommonFlags()...)}}
	e.Root = &Verb{Command: &urfave.Command{Name: "gm"}, Verbs: []*Verb{verb}}
	call, err := ParseArgs(e.Root, append([]string{"look"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = call.Context(); err != nil {
		t.Fatal(err)
	}
	c.Context = t.Context()
	return e, c, stdout, stderr
}

// A watch goes on after a passing error. It reports the first of several errors, and the
// next success.
func TestWatchGoesOnAfterPassingErrors(t *testing.T) {
	e, c, stdout, stderr := watchContext(t, "-i", "1ms", "-c", "5", "-o", "jsonl")
	w, err := e.NewWatch(c)
	if err != nil || w.Screen != nil {
		t.Fatalf("screen %v, %v", w.Screen, err)
	}
	closed := errors.New("closed")
	n := 0
	w.Show = func(time.Time) error {
		if n++; n == 2 || n == 3 {
			return closed
		}
		return w.Print(numberRow{n})
	}
	w.Passing = func(err error) bool { return errors.Is(err, closed) }
	w.Recovered = "open again"
	if err := e.RunWatch(c, w); err != nil {
		t.Error(err)
	}
	if got, want := stdout.String(), "{\"n\":1}\n{\"n\":4}\n{\"n\":5}\n"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got, want := stderr.String(), "gm: closed\ngm: open again\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

// A watch ends with an error that does not pass, with the error of its last output, and
// with the cause of its context.
func TestWatchEnds(t *testing.T) {
	broken := errors.New("broken")
	stopped := errors.New("stopped")
	for _, test := range []struct {
		name    string
		passing bool
		want    error
	}{{"broken", false, broken}, {"last output", true, broken}, {"stopped", true, stopped}} {
		t.Run(test.name, func(t *testing.T) {
			count := "2"
			if test.want == stopped {
				count = "0"
			}
			e, c, _, _ := watchContext(t, "-i", "1ms", "-c", count)
			ctx, cancel := context.WithCancelCause(c.Context)
			defer cancel(nil)
			c.Context = ctx
			shown := 0
			err := e.RunWatch(c, &Watch{
				Show: func(time.Time) error {
					if shown++; test.want == stopped && shown == 3 {
						cancel(stopped)
					}
					return broken
				},
				Passing: func(error) bool { return test.passing },
			})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v after %d outputs, want %v", err, shown, test.want)
			}
		})
	}
}

func TestWatchRefusesFlags(t *testing.T) {
	e, c, _, _ := watchContext(t, "-o", "json")
	if _, err := e.NewWatch(c); err == nil || !strings.Contains(err.Error(), "one document") {
		t.Errorf("-o json: %v", err)
	}
	e, c, _, _ = watchContext(t, "-i", "0")
	if err := e.RunWatch(c, &Watch{}); err == nil || !strings.Contains(err.Error(), "--interval must be greater than 0") {
		t.Errorf("-i 0: %v", err)
	}
}

// A frame has no more lines and columns than the terminal. An error stands above the last
// table, which has its own time.
func TestScreenFitsTheTerminal(t *testing.T) {
	style := &Style{}
	style.Set(false)
	var out bytes.Buffer
	s := &Screen{out: &out, style: style, interval: time.Second, size: func() (int, int) { return 24, 6 }}
	at := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
	rows := []Row{numberRow{1}, numberRow{2}, numberRow{3}, numberRow{4}}
	if err := s.Draw(Frame{At: at, Columns: []Column{{Name: "n", Right: true}}, Rows: rows, Notes: []string{"a note that is longer than a line"}}); err != nil {
		t.Fatal(err)
	}
	want := "12:00:00  every 1s\na note that is longer t…\n\nN\n1\n… and 3 more rows\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := s.drawError(at.Add(time.Minute), errors.New("no answer")); err != nil {
		t.Fatal(err)
	}
	want = "12:01:00  every 1s\nno answer\nas of 12:00:00:\n\n… and 4 more rows\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if s.last.At != at {
		t.Errorf("the last frame is of %v, want %v", s.last.At, at)
	}
}

// Without a terminal Confirm needs yes.
func TestConfirmNeedsATerminal(t *testing.T) {
	e, _, stdout, stderr := watchContext(t)
	e.Stdin = strings.NewReader("y\n")
	e.verb = "shelf burn"
	if err := e.Confirm(true, "burn it"); err != nil {
		t.Error(err)
	}
	if err := e.Confirm(false, "burn it"); err == nil || err.Error() != "shelf burn: would burn it, but cannot ask without a terminal" {
		t.Errorf("got %v", err)
	}
	if stdout.Len()+stderr.Len() > 0 {
		t.Errorf("printed %q and %q", stdout, stderr)
	}
}
