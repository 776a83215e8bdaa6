package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// Ways to talk to a kept command, as --keep names them.
const (
	keepLine      = "line"
	keepNetstring = "netstring"
	keepJSON      = "json"
)

// keepValue is the value of --keep, which may go without one.
type keepValue string

// Set takes the name of a way, or true for lines.
func (v *keepValue) Set(s string) error {
	switch s {
	case "true":
		s = keepLine
	case "false":
		s = ""
	case keepLine, keepNetstring, keepJSON:
	default:
		return fmt.Errorf("%q: not line, netstring or json", s)
	}
	*v = keepValue(s)
	return nil
}

func (v *keepValue) String() string { return string(*v) }

// keepFlag is a flag that takes a value only after "=".
type keepFlag struct{ *cli.GenericFlag }

func (keepFlag) TakesValue() bool { return false }

func keepFlags() []cli.Flag {
	const category = "Kept commands"
	return []cli.Flag{
		keepFlag{&cli.GenericFlag{
			Name: "keep", Value: new(keepValue), Category: category,
			Usage: "one child serves many jobs, a line in and a line out; or --keep=netstring, or --keep=json",
		}},
		&cli.IntFlag{Name: "max-jobs", Category: category, Usage: "replace the child after `N` jobs"},
		durationFlag(0, cli.GenericFlag{Name: "max-age", Category: category, Usage: "replace the child after `TIME`, between two jobs"}),
		childSizeFlag(0, cli.GenericFlag{Name: "max-rss", Category: category, Usage: "replace the child when it occupies more than `SIZE` of memory, between two jobs; Linux only"}),
	}
}

// keepers are the kept children of a worker, one a slot.
type keepers struct {
	way     string
	slots   []*runner.Keeper
	timeout time.Duration
}

// newKeepers reads the flags about kept commands. It is nil if there is none.
func newKeepers(c *cli.Context, w *commandWorker) (*keepers, error) {
	way := string(*c.Generic("keep").(*keepValue))
	if way == "" {
		for _, name := range []string{"max-jobs", "max-age", "max-rss"} {
			if c.IsSet(name) {
				return nil, usageErrorf("--%s is for a kept command: --keep", name)
			}
		}
		return nil, nil
	}
	for _, name := range []string{"stream", "lines"} {
		if c.Bool(name) {
			return nil, withHint(usageErrorf("--%s does not go with --keep", name), `with --keep=json the command sends {"data": ...}`)
		}
	}
	switch {
	case w.command == nil:
		return nil, usageErrorf("--keep is for a command, and there is none")
	case w.attempts && way != keepJSON:
		return nil, usageErrorf("--attempts goes with --keep=json only: a kept command has one environment for all jobs")
	case c.IsSet("max-jobs") && c.Int("max-jobs") < 1:
		return nil, usageErrorf("--max-jobs %d: not a positive number", c.Int("max-jobs"))
	case c.IsSet("max-rss") && !runner.MaxRSSSupported():
		return nil, usageErrorf("--max-rss is not supported on this system: it takes Linux")
	}
	adapted := runner.AdaptKept(w.command.Args, w.command.Shell)
	w.command.Args = adapted.Args
	if adapted.Hint != "" {
		w.log.Warn("kept command may not answer at once", "hint", adapted.Hint)
	}
	k := &keepers{way: way, timeout: w.command.Timeout}
	for slot := 1; slot <= cap(w.slots); slot++ {
		r := &runner.Keeper{
			Command:   w.command,
			Env:       append(adapted.Env[:len(adapted.Env):len(adapted.Env)], "GM_SLOT="+strconv.Itoa(slot), "GM_KEEP="+way),
			MaxJobs:   c.Int("max-jobs"),
			MaxAge:    durationOf(c, "max-age"),
			MaxRSS:    sizeOf(c, "max-rss"),
			MaxAnswer: w.maxResult,
			Kill:      w.kill,
			Logger:    w.log.With("slot", slot),
		}
		switch way {
		case keepNetstring:
			r.Framing = runner.Netstring
		case keepJSON:
			r.MaxAnswer = w.maxResult/3*4 + keepJSONRoom
		}
		if len(w.functions) == 1 {
			r.Env = append(r.Env, "GEARMAN_FUNCTION="+w.functions[0])
		}
		k.slots = append(k.slots, r)
	}
	return k, nil
}

// close has the children end. If ctx is done they are stopped.
func (k *keepers) close(ctx context.Context) {
	if k == nil {
		return
	}
	var closing sync.WaitGroup
	for _, slot := range k.slots {
		closing.Go(func() { slot.Close(ctx) })
	}
	closing.Wait()
}

// handleKept does one job with the kept child of a slot.
func (w *commandWorker) handleKept(ctx context.Context, j *gearman.Job, slot int) ([]byte, error) {
	keeper := w.keep.slots[slot-1]
	if w.keep.way == keepJSON {
		return w.handleKeptJSON(ctx, j, keeper)
	}
	var result []byte
	res := runWithRoom(ctx, func() runner.Result {
		return keeper.Do(ctx, j.Payload(), func(answer []byte) (bool, error) {
			result = bytes.Clone(answer)
			return true, nil
		})
	})
	return result, w.conclude(ctx, j, w.command, res)
}

// keptError returns what a job has failed of, with what to do about it.
func keptError(err error) error {
	if errors.Is(err, runner.ErrNewline) {
		return fmt.Errorf("%w; gm work --keep=netstring and --keep=json take any payload", err)
	}
	return err
}
