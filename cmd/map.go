package cmd

import (
	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
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
		},
		exits: recordExits,
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
` + recordDescription

// mapFlags are the verb's own.
func mapFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "`FUNC` that each record goes to"},
		&cli.StringFlag{Name: "reduce", Usage: "function `FUNC` that makes one result of some"},
		&cli.IntFlag{Name: "arity", Value: batch.DefaultArity, Usage: "how many results --reduce takes at a time: `N` from 2"},
	}
}

// mapReduce is the action of gm map.
func (e *env) mapReduce(c *cli.Context) error {
	s, err := e.newRecordRun(c, c.String("function"))
	if err != nil {
		return err
	}
	if err := s.setReduction(c); err != nil {
		return err
	}
	if err := s.setSource(c, c.Args().Slice(), true); err != nil {
		return err
	}
	s.unordered = c.Bool("unordered")
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
	switch {
	case t.Function == "":
		return usageErrorf("--reduce: no function")
	case s.reduction.Arity < 2 || s.reduction.Arity > batch.MaxArity:
		return usageErrorf("--arity %d: not from 2 to %d", s.reduction.Arity, batch.MaxArity)
	}
	for _, name := range []string{"joblog", "resume", "retry-failed", "halt", "out", "results", "tag", "prefix", "unordered"} {
		if c.IsSet(name) {
			return usageErrorf("--%s is for results, and --reduce leaves one", name)
		}
	}
	return nil
}
