package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

// watchFlags are the flags of verbs that can go on showing.
func (e *env) watchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on showing, until interrupted"},
		durationFlag(2*time.Second, cli.GenericFlag{
			Name: "interval", Aliases: []string{"i"},
			Usage: "time from one look to the next with --watch: a `DURATION`",
		}),
		&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Usage: "end --watch after `N` looks; 0 is never"},
	}
}

// watch calls look at once and then every --interval, --count times, until
// the context is done. On a terminal what look prints with -o table replaces
// what it has printed before. A look that fails because no server answers is
// noted, once for a series of them, and the watch goes on.
func (e *env) watch(c *cli.Context, look func(now time.Time) error) error {
	interval := durationOf(c, "interval")
	if interval <= 0 {
		return usageErrorf("interval 0: --watch needs a time between two looks")
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	now, failing := time.Now(), false
	for n := 1; ; n++ {
		err := look(now)
		switch {
		case err == nil && failing:
			e.note("%s: servers answer again", c.Command.Name)
		case err == nil:
		case c.Context.Err() != nil:
			return context.Cause(c.Context)
		case exitCode(err) != exitNoServer && exitCode(err) != exitTimeout && !errors.Is(err, gearman.ErrLost):
			return err
		case !failing:
			e.note("%v", err)
		}
		failing = err != nil
		if n == c.Int("count") {
			return err
		}
		select {
		case now = <-tick.C:
		case <-c.Context.Done():
			return context.Cause(c.Context)
		}
	}
}

// watchFormat returns the format of a watch, which can't be one document.
func (e *env) watchFormat(c *cli.Context) (rowFormat, error) {
	format, err := e.rowFormat(c)
	if format == formatJSON {
		return "", withHint(usageErrorf("-o json is one document, and --watch has no end"),
			"-o jsonl prints an object a look")
	}
	return format, err
}

// redraw clears the terminal and prints a table, in one write.
func (e *env) redraw(c *cli.Context, now time.Time, columns []column, rows []row) error {
	s, err := e.style(c)
	if err != nil {
		return err
	}
	var frame bytes.Buffer
	fmt.Fprintf(&frame, "\x1b[H\x1b[2J%s  every %v\n\n", now.Format(time.TimeOnly), durationOf(c, "interval"))
	w := newRowWriter(&frame, formatTable, s, columns)
	for _, r := range rows {
		if err := w.add(r); err != nil {
			return err
		}
	}
	if err := w.close(); err != nil {
		return err
	}
	_, err = e.stdout.Write(frame.Bytes())
	return err
}
