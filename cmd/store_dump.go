package cmd

import (
	"fmt"

	"gm/pkg/store/dump"
)

// dumpLines is the help on the lines of a dump.
const dumpLines = `A line is a JSON object. A job has the fields function, payload (base64) and, where they are not empty, unique, reducer, priority (high or low; else normal), seq (its number: jobs are in this order), run_at_ms and accepted_ms (Unix times in milliseconds), attempts (in vain) and failures (how many of these were no lost workers). A name that is not UTF-8 is in function_base64, unique_base64 or reducer_base64 instead. What else a server keeps (dead jobs, results, policies) has the fields extra (its key) and value (base64). The last line has end (true), jobs and extras: how many there were. Fields are only ever added, and those that are not known are left aside.`

func (e *env) storeDump() *verb {
	return e.storeCommand("dump", "print all that a store has, as JSON lines",
		`Prints the jobs in their order, then what else a server keeps. Other programs can read it, gm store load puts it into another store. What can't be read is named on stderr, left out, and makes it exit with 1.

`+dumpLines,
		[]example{
			{"a backup", "gm store dump disk:/var/lib/gm | gzip >queue.jsonl.gz"},
			{"how many jobs of each function", `gm store dump disk:/var/lib/gm | grep -o '"function":"[^"]*"' | sort | uniq -c`},
		},
		dumpStore)
}

// dumpStore is the action of store dump.
func dumpStore(s *storeCall) error {
	if err := s.listed(); err != nil {
		return err
	}
	if err := dump.Write(s.Context.Context, s.stdout, s.Store); err != nil {
		return err
	}
	if s.bad > 0 {
		return exitWith(exitFailed, s.fail(fmt.Errorf("not all of it can be read: %d left out", s.bad)))
	}
	return nil
}
