package cmd

import (
	_ "embed" // for the description

	"gm/cmd/cli"
	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/records"
	"gm/pkg/work"
)

func mapVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "map",
			Usage:       "scatter records over workers, gather or reduce the results",
			ArgsUsage:   "[DATA..]",
			Description: mapDescription + "\n" + recordDescription,
			Flags:       e.recordVerbFlags(append(mapFlags(), orderFlags()...)),
			Action:      e.mapRecords,
		},
		Examples: []cli.Example{
			{What: "each line through a worker, in order", Line: "seq 1000 | gm map -f rev"},
			{What: "blocks of lines instead of lines", Line: "gm map -f rev --block 64K < /etc/services"},
			{What: "one result of all blocks, combined eight at a time", Line: "gm map -f count --reduce add --arity 8 --block 4K < /etc/services"},
			{What: "the same by the workers alone; gm wait and gm result take the handle", Line: "gm map -b -f count --reduce add --arity 8 --block 4K < /etc/services"},
		},
		Exits:      recordExits,
		OwnSignals: true,
	}
}

// mapDescription is the description of gm map.
//
//go:embed help/map.txt
var mapDescription string

// mapFlags returns the flags that only this verb has.
func mapFlags() []cli.Flag {
	const background = "Background"
	return []cli.Flag{
		&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "send each record to the function `FUNC`"},
		&cli.StringFlag{Name: "reduce", Usage: "combine the results into one with the function `FUNC`"},
		&cli.IntFlag{Name: "arity", Value: batch.DefaultArity, Usage: "combine `N` results at a time, at least 2"},
		&cli.BoolFlag{Name: "background", Aliases: []string{"b"}, Category: background, Usage: "print the handle and leave all to the workers, which must be gm work"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: background, Usage: "do not print the handle"},
		cli.SizeFlag(0, cli.GenericFlag{Name: "tier", Category: background, Usage: "with -b: first cut the input into parts of `SIZE`, whose workers cut them into blocks"}),
	}
}

// mapRecords is the action of gm map.
func (e *env) mapRecords(c *cli.Context) error {
	s, err := e.newRecordRun(c, c.String("function"))
	if err != nil {
		return err
	}
	s.cfg.NoHandles = c.Bool("quiet")
	switch background := c.Bool("background"); {
	case background:
		return s.mapInBackground(c)
	case s.cfg.NoHandles || c.IsSet("tier"):
		return cli.UsageErrorf("--quiet and --tier need --background")
	}
	if err := s.setReduction(c); err != nil {
		return err
	}
	if err := s.setInput(c, c.Args().Slice(), true); err != nil {
		return err
	}
	b := s.cfg.Batch
	if b.Reduce != nil {
		b.Reduce.End = []byte(s.cfg.End)
		s.cfg.End = ""
	}
	b.Unordered = b.Unordered || c.Bool("unordered")
	return s.runRecords(c)
}

// setReduction reads the flags of the reduction.
func (s *recordRun) setReduction(c *cli.Context) error {
	if !c.IsSet("reduce") {
		return cli.RefuseFlags(c, "needs --reduce", "arity")
	}
	t := s.tasks[0]
	t.Function = c.String("reduce")
	s.cfg.Batch.Reduce = &batch.Reduction{Task: t, Arity: c.Int("arity"), MaxPayload: s.opts.MaxPayload}
	if err := checkReduction(c); err != nil {
		return err
	}
	return cli.RefuseFlags(c, "cannot be used with --reduce, which leaves one result",
		"joblog", "resume", "new-output", "retry-failed", "halt", "out", "out-anywhere", "results", "tag", "prefix", "line-buffer", "unordered")
}

// checkReduction refuses wrong values of the flags of the reduction.
func checkReduction(c *cli.Context) error {
	switch arity := c.Int("arity"); {
	case c.IsSet("reduce") && c.String("reduce") == "":
		return cli.UsageErrorf("--reduce: no function")
	case arity < 2 || arity > batch.MaxArity:
		return cli.UsageErrorf("--arity %d: must be from 2 to %d", arity, batch.MaxArity)
	}
	return nil
}

// mapInBackground submits all of the input as one job. The reducer of the job says how
// the worker cuts it up.
func (s *recordRun) mapInBackground(c *cli.Context) error {
	err := cli.RefuseFlags(c, "cannot be used with --background",
		"stripped", "end", "files", "lines", "max-buffer", "tag", "prefix", "line-buffer", "out", "out-anywhere", "results", "unordered",
		"joblog", "resume", "new-output", "retry-failed", "dry-run", "halt", "reconnect", "propagate", "bar", "eta", "progress")
	if err != nil {
		return err
	}
	if err := checkReduction(c); err != nil {
		return err
	}
	how, _, err := cutOf(c)
	if err != nil {
		return err
	}
	m := work.NewMapSpec(c.String("reduce"))
	m.Arity, m.Jobs, m.Retries = c.Int("arity"), s.cfg.Batch.Window, s.cfg.Batch.Retries
	m.Delim, m.Comma, m.Header = how.Delim, how.Comma, how.Header
	if how.Size > 0 {
		m.Blocks = []int{how.Size}
	}
	if tier := int(cli.SizeOf(c, "tier")); tier > 0 {
		m.Blocks = append([]int{tier}, m.Blocks...)
	}
	t := &s.tasks[0]
	if t.Priority != gearman.Normal {
		return cli.UsageErrorf("--background: a job with a reducer has normal priority: the protocol has no packet for others")
	}
	t.Background, t.Reducer = true, m.String()
	switch c.NArg() {
	case 0:
		s.announceStdin("the records")
		s.cfg.Input = records.Whole(s.Stdin, "stdin", s.opts.MaxPayload)
	case 1:
		s.cfg.Input = records.Arguments(c.Args().Slice())
	default:
		return cli.UsageErrorf("--background: %d arguments: the input is one payload", c.NArg())
	}
	return s.runRecords(c)
}
