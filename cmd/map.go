package cmd

import (
	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
	"gm/pkg/work"
)

func mapVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "map",
			Usage:       "scatter records over workers, gather or reduce the results",
			ArgsUsage:   "[DATA..]",
			Description: mapDescription,
			Flags:       e.recordVerbFlags(append(mapFlags(), orderFlags()...)),
			Action:      e.mapReduce,
		},
		examples: []example{
			{"each line through a worker, in order", "seq 1000 | gm map -f rev"},
			{"blocks of lines instead of lines", "gm map -f rev --block 64K < /etc/services"},
			{"and one result of them all, in a tree of eight by eight", "gm map -f count --reduce add --arity 8 --block 4K < /etc/services"},
			{"the same by the workers alone: the handle is for gm wait and gm result", "gm map -b -f count --reduce add --arity 8 --block 4K < /etc/services"},
		},
		exits:      recordExits,
		ownSignals: true,
	}
}

const mapDescription = `
Sends each record of stdin, or each DATA, to a worker of the function -f, and
prints the results in the order of the records. A record is a line, without its
newline, unless a flag says otherwise.

With --reduce G the results are folded into one: --arity of them at a time, in
their order, put one after the other, are the payload of a job of G, and so are its
results, until one is left, which is printed. So G has to understand what -f and
G make: G of "3\n4\n" might be "7\n". Each result has gone through G at least
once. A job that fails ends it all. Results that wait count against --max-buffer.

With -b all of it is one job, and its handle is printed. The worker of -f that
gets it, a gm work, cuts it into blocks of --block (1MiB), submits these to -f for
itself and others, folds the results through G, and the last one is the job's.
With --tier 64M --block 1M the parts of 64 MiB are such jobs again. All of the
input is one payload: --max-payload.
` + recordDescription

// mapFlags are the verb's own.
func mapFlags() []cli.Flag {
	const background = "Background"
	return []cli.Flag{
		&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "`FUNC` that each record goes to"},
		&cli.StringFlag{Name: "reduce", Usage: "function `FUNC` that makes one result of some"},
		&cli.IntFlag{Name: "arity", Value: batch.DefaultArity, Usage: "how many results --reduce takes at a time: `N` from 2"},
		&cli.BoolFlag{Name: "background", Aliases: []string{"b"}, Category: background, Usage: "leave it to the workers, which must be gm work: print the handle and do not wait"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: background, Usage: "do not print the handle"},
		sizeFlag(0, cli.GenericFlag{Name: "tier", Category: background, Usage: "with -b: parts of `SIZE` that are cut up again by the workers that get them"}),
	}
}

// mapReduce is the action of gm map.
func (e *env) mapReduce(c *cli.Context) error {
	s, err := e.newRecordRun(c, c.String("function"))
	if err != nil {
		return err
	}
	s.quiet = c.Bool("quiet")
	switch background := c.Bool("background"); {
	case background:
		return s.mapInBackground(c)
	case s.quiet || c.IsSet("tier"):
		return usageErrorf("--quiet and --tier are for --background")
	}
	if err := s.setReduction(c); err != nil {
		return err
	}
	if err := s.setSource(c, c.Args().Slice(), true); err != nil {
		return err
	}
	if s.reduction != nil {
		s.reduction.End = []byte(s.ending)
		s.ending = ""
	}
	s.unordered = c.Bool("unordered") || s.lineBuffer
	return s.run(c)
}

// setReduction reads what the results are to be folded with.
func (s *recordRun) setReduction(c *cli.Context) error {
	if !c.IsSet("reduce") {
		if c.IsSet("arity") {
			return usageErrorf("--arity is for --reduce")
		}
		return nil
	}
	t := s.tasks[0]
	t.Function = c.String("reduce")
	s.reduction = &batch.Reduction{Task: t, Arity: c.Int("arity"), MaxPayload: s.opts.MaxPayload}
	if err := checkReduction(c); err != nil {
		return err
	}
	return refuse(c, "is for results, and --reduce leaves one",
		"joblog", "resume", "new-output", "retry-failed", "halt", "out", "out-anywhere", "results", "tag", "prefix", "line-buffer", "unordered")
}

func checkReduction(c *cli.Context) error {
	switch arity := c.Int("arity"); {
	case c.IsSet("reduce") && c.String("reduce") == "":
		return usageErrorf("--reduce: no function")
	case arity < 2 || arity > batch.MaxArity:
		return usageErrorf("--arity %d: not from 2 to %d", arity, batch.MaxArity)
	}
	return nil
}

// refuse returns an error if one of the flags is set.
func refuse(c *cli.Context, why string, flags ...string) error {
	for _, name := range flags {
		if c.IsSet(name) {
			return usageErrorf("--%s %s", name, why)
		}
	}
	return nil
}

// mapInBackground submits all of the input as one job, with a reducer that says
// how the worker is to cut it up.
func (s *recordRun) mapInBackground(c *cli.Context) error {
	err := refuse(c, "is not for --background",
		"stripped", "end", "files", "lines", "max-buffer", "tag", "prefix", "line-buffer", "out", "out-anywhere", "results", "unordered",
		"joblog", "resume", "new-output", "retry-failed", "dry-run", "halt", "reconnect", "propagate", "bar", "eta", "progress")
	if err != nil {
		return err
	}
	if err := checkReduction(c); err != nil {
		return err
	}
	how, err := cutFlags(c)
	if err != nil {
		return err
	}
	m := work.NewMapSpec(c.String("reduce"))
	m.Arity, m.Jobs, m.Retries = c.Int("arity"), s.window, s.retries
	m.Delim, m.Comma, m.Header = how.delimiter(), how.comma, how.header
	if how.size > 0 {
		m.Blocks = []int{how.size}
	}
	if tier := int(sizeOf(c, "tier")); tier > 0 {
		m.Blocks = append([]int{tier}, m.Blocks...)
	}
	t := &s.tasks[0]
	if t.Priority != 0 {
		return usageErrorf("--background: a job with a reducer has normal priority, the protocol has no packet for others")
	}
	t.Background, t.Reducer = true, m.String()
	switch c.NArg() {
	case 0:
		s.announceStdin("the records")
		s.source = batch.NewWhole(s.stdin, "stdin", s.opts.MaxPayload)
	case 1:
		s.source = arguments(c.Args().Slice())
	default:
		return usageErrorf("--background: %d arguments; the input is one payload", c.NArg())
	}
	return s.run(c)
}
