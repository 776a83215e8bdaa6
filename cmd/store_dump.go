package cmd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"

	"gm/pkg/store"
)

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
	out := bufio.NewWriterSize(s.stdout, 256<<10)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	jobs, extras := 0, 0
	err := s.Replay(s.Context.Context, func(r *store.Record) error {
		jobs++
		return lines.Encode(jobLine(r))
	})
	if err == nil {
		err = s.Extras(s.Context.Context, "", func(key string, value []byte) error {
			extras++
			return lines.Encode(extraLine(key, value))
		})
	}
	if err == nil {
		err = lines.Encode(&dumpLine{End: true, Jobs: &jobs, Extras: &extras})
	}
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if s.bad > 0 {
		return exitWith(exitFailed, s.fail(fmt.Errorf("not all of it can be read: %d left out", s.bad)))
	}
	return nil
}
