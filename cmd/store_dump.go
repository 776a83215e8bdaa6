package cmd

import (
	"fmt"

	"gm/cmd/cli"
	"gm/pkg/store/dump"
)

// dumpLines is the help on the lines of a dump.
const dumpLines = `Each line is a JSON object. A job has the fields function, payload (base64) and, unless they are empty, unique, reducer, priority (high or low; else normal), seq (its number, the order of the jobs), run_at_ms and accepted_ms (Unix times in milliseconds), attempts (the failed ones) and failures (those of them without a lost worker). A name that is not UTF-8 is in function_base64, unique_base64 or reducer_base64 instead. Extras (dead jobs, results, policies) have the fields extra (the key) and value (base64). The last line has end (true) and the numbers of jobs and extras. Later versions may add fields; unknown fields are ignored.`

func (e *env) storeDump() *cli.Verb {
	return e.storeCommand("dump", "print a store as JSON lines",
		`Prints the jobs in their order, then the extras: dead jobs, results, policies. gm store load reads the lines, and other programs can. Unreadable records are left out and reported on stderr, and the exit code is 1.

`+dumpLines,
		[]cli.Example{
			{What: "a backup", Line: "gm store dump disk:/var/lib/gm | gzip >queue.jsonl.gz"},
			{What: "the number of jobs of each function", Line: `gm store dump disk:/var/lib/gm | grep -o '"function":"[^"]*"' | sort | uniq -c`},
		},
		dumpStore)
}

// dumpStore is the action of store dump.
func dumpStore(s *storeCall) error {
	if err := s.listed(); err != nil {
		return err
	}
	if err := dump.Write(s.Context.Context, s.Stdout, s.Store); err != nil {
		return err
	}
	if s.bad > 0 {
		return cli.ExitWith(cli.ExitFailed, s.fail(fmt.Errorf("unreadable records left out: %d", s.bad)))
	}
	return nil
}
