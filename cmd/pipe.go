package cmd

import (
	"github.com/urfave/cli/v2"
)

func pipeVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "pipe",
			Usage:       "send each record through several functions",
			ArgsUsage:   "FUNC FUNC..",
			Description: pipeDescription,
			Flags:       e.recordVerbFlags(orderFlags()),
			Action:      e.pipe,
		},
		examples: []example{
			{"each line reversed, then counted", "head -3 /etc/passwd | gm pipe rev wc"},
			{"files in, files out", "ls /etc/passwd /etc/group | gm pipe rev wc --files --out '{/}.count'"},
			{"what takes long is not done again", "seq 100 | gm pipe rev rev --joblog pipe.log --resume >> pipe.out"},
		},
		exits:      recordExits,
		ownSignals: true,
	}
}

const pipeDescription = `
Sends each record of stdin to the first FUNC, what it makes of it to the next, and
so on, and prints what the last one makes. A record is a line, without its
newline, unless a flag says otherwise. Each stage of each record is a job of its
own, for any worker: while one record is in its last stage, others are in their
first. At most -j jobs are in flight, of all stages together. Results are printed
in the order of the records.

A record that fails goes no further: it is told, with its stage. The others go on.
` + recordDescription

// orderFlags are the flags of verbs that print results in the order of records.
func orderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "unordered", Category: catResults, Usage: "print results as they come, each whole"},
	}
}

// pipe is the action of gm pipe.
func (e *env) pipe(c *cli.Context) error {
	if c.NArg() == 0 {
		return withHint(usageErrorf("pipe: no function"), "name them in their order: gm pipe F G H")
	}
	s, err := e.newRecordRun(c, c.Args().Slice()...)
	if err != nil {
		return err
	}
	if err := s.setSource(c, nil, true); err != nil {
		return err
	}
	s.unordered = c.Bool("unordered") || s.lineBuffer
	return s.run(c)
}
