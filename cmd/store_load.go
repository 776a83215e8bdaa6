package cmd

import (
	"errors"
	"strconv"

	"github.com/urfave/cli/v2"

	"gm/pkg/store/dump"
)

func (e *env) storeLoad() *verb {
	return e.storeCommand("load", "put the lines of gm store dump into a store",
		`Reads stdin. Jobs keep their numbers, and so their handles and their order. The store has to be empty, or else --merge adds to it: a job that is there already is left as it is; one with the unique of another that waits is joined to that, as at a server; one with the number of another gets the next free one. An extra that is there already is left as it is, except the highest number that a server gave to a job: the higher one is kept. A job without seq is new, and comes last.

It fails if the last line, which tells how many there were, is missing or wrong: then the dump was cut short. What was read up to there is loaded. --partial is for lines that were chosen, or written by others.

Prints one row: jobs that were added, extras that were, jobs that were joined, jobs that were there already.

`+dumpLines,
		[]example{
			{"from one kind of store to another", "gm store dump redis://localhost/0 | gm store load disk:/var/lib/gm"},
			{"the jobs of one function only", `gm store dump disk:old | grep '"function":"resize"' | gm store load --partial disk:new`},
		},
		loadStore,
		append([]cli.Flag{
			&cli.BoolFlag{Name: "merge", Usage: "add to what the store has"},
			&cli.BoolFlag{Name: "partial", Usage: "the lines are not a whole dump"},
		}, e.rowFlags()...)...)
}

// loadedRow is the row that store load prints.
type loadedRow struct{ dump.Counts }

var loadedColumns = []column{{"jobs", true}, {"extras", true}, {"joined", true}, {"there", true}}

func (r loadedRow) cells(bool) []string {
	return []string{strconv.Itoa(r.Jobs), strconv.Itoa(r.Extras), strconv.Itoa(r.Joined), strconv.Itoa(r.There)}
}

// loadStore is the action of store load.
func loadStore(s *storeCall) error {
	rows, err := s.newRows(s.Context, loadedColumns...)
	if err != nil {
		return err
	}
	l, err := dump.NewLoader(s.Context.Context, s.Store, s.Bool("merge"))
	if errors.Is(err, dump.ErrNotEmpty) {
		return withHint(exitWith(exitRefused, s.fail(err)), "--merge adds to what it has")
	}
	if err != nil {
		return err
	}
	err = l.Load(s.Context.Context, s.stdin)
	if err == nil && !l.Complete() && !s.Bool("partial") {
		err = withHint(exitWith(exitIO, s.fail(errors.New("the lines have no end: the dump may be cut short; what was read is loaded"))),
			"load a whole dump with --merge; --partial if these are all the lines there should be")
	}
	if addErr := rows.add(loadedRow{l.Counts()}); err == nil {
		err = addErr
	}
	if closeErr := rows.close(); err == nil {
		err = closeErr
	}
	return err
}
