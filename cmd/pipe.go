package cmd

import "gm/cmd/cli"

func pipeVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "pipe",
			Usage:       "send each record through several functions",
			ArgsUsage:   "FUNC FUNC..",
			Description: pipeDescription,
			Flags:       e.recordVerbFlags(orderFlags()),
			Action:      e.pipe,
		},
		Examples: []cli.Example{
			{What: "each line reversed, then counted", Line: "head -3 /etc/passwd | gm pipe rev wc"},
			{What: "files in, files out", Line: "ls /etc/passwd /etc/group | gm pipe rev wc --files --out '{/}.count'"},
			{What: "a log, with which finished stages are not run again", Line: "seq 100 | gm pipe rev rev --joblog pipe.log --resume >> pipe.out"},
		},
		Exits:      recordExits,
		OwnSignals: true,
	}
}

const pipeDescription = `
Sends each record of stdin to the first FUNC, its result to the next FUNC, and so
on, and prints the last result. A record is a line, without its newline, unless a
flag says otherwise. Each stage of each record is a job of its own, for any worker:
while one record is in its last stage, others are in their first. At most -j jobs
of all stages are in flight. Results are printed in the order of the records.

A record that fails goes no further: stderr names it and its stage. The others go
on.
` + recordDescription

// orderFlags returns the flags of verbs that print results in the order of records.
func orderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "unordered", Category: catResults, Usage: "print results as they arrive, each as a whole"},
	}
}

// pipe is the action of gm pipe.
func (e *env) pipe(c *cli.Context) error {
	if c.NArg() == 0 {
		return cli.WithHint(cli.UsageErrorf("pipe: no function"), "name the functions in their order: gm pipe F G H")
	}
	s, err := e.newRecordRun(c, c.Args().Slice()...)
	if err != nil {
		return err
	}
	if err := s.setInput(c, nil, true); err != nil {
		return err
	}
	b := s.cfg.Batch
	b.Unordered = b.Unordered || c.Bool("unordered")
	return s.run(c)
}
