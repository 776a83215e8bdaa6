package cmd

import (
	_ "embed" // for the description

	"gm/cmd/cli"
)

func pipeVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "pipe",
			Usage:       "send each record through several functions",
			ArgsUsage:   "FUNC FUNC..",
			Description: pipeDescription + "\n" + recordDescription,
			Flags:       e.recordVerbFlags(orderFlags()),
			Action:      e.pipeRecords,
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

// pipeDescription is the description of gm pipe.
//
//go:embed help/pipe.txt
var pipeDescription string

// pipeRecords is the action of gm pipe.
func (e *env) pipeRecords(c *cli.Context) error {
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
	return s.runRecords(c)
}
