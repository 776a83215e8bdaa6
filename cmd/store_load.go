package cmd

import (
	"errors"
	"strconv"

	"gm/cmd/cli"
	"gm/pkg/store/dump"
)

func (e *env) storeLoad() *cli.Verb {
	return e.storeCommand("load", "load the lines of gm store dump into a store",
		`Reads stdin. Jobs keep their numbers, and with them their handles and their order. The store must be empty, unless --merge adds to it. Then a job that the store has already is not changed, a job with the unique of a waiting job joins it, as in a server, and a job with the number of another job gets the next free number. An extra that the store has already is not changed, except the highest number of a job, of which the higher one is kept. A job without seq is new and comes last.

It fails if the last line, with the number of jobs, is missing or wrong: then the dump is incomplete. The lines before that are loaded. --partial accepts selected lines, and lines of other programs.

Prints one row: jobs added, extras added, jobs joined, jobs that the store had already.

`+dumpLines,
		[]cli.Example{
			{What: "move a queue from Redis to a directory", Line: "gm store dump redis://localhost/0 | gm store load disk:/var/lib/gm"},
			{What: "only the jobs of one function", Line: `gm store dump disk:old | grep '"function":"resize"' | gm store load --partial disk:new`},
		},
		loadStore,
		append([]cli.Flag{
			&cli.BoolFlag{Name: "merge", Usage: "add to a store that is not empty"},
			&cli.BoolFlag{Name: "partial", Usage: "accept lines that are not a whole dump"},
		}, e.RowFlags()...)...)
}

// loadedRow is the row that store load prints.
type loadedRow struct{ dump.Counts }

var loadedColumns = []cli.Column{{Name: "jobs", Right: true}, {Name: "extras", Right: true}, {Name: "joined", Right: true}, {Name: "there", Right: true}}

func (r loadedRow) Cells(bool) []string {
	return []string{strconv.Itoa(r.Jobs), strconv.Itoa(r.Extras), strconv.Itoa(r.Joined), strconv.Itoa(r.There)}
}

// loadStore is the action of store load.
func loadStore(s *storeCall) error {
	rows, err := s.NewRows(s.Context, loadedColumns...)
	if err != nil {
		return err
	}
	l, err := dump.NewLoader(s.Context.Context, s.Store, s.Bool("merge"))
	if errors.Is(err, dump.ErrNotEmpty) {
		return cli.WithHint(cli.ExitWith(cli.ExitRefused, s.fail(err)), "--merge adds to its jobs")
	}
	if err != nil {
		return err
	}
	err = l.Load(s.Context.Context, s.Stdin)
	if err == nil && !l.Complete() && !s.Bool("partial") {
		err = cli.WithHint(cli.ExitWith(cli.ExitIO, s.fail(errors.New("the last line is missing: the dump may be incomplete; the lines up to here are loaded"))),
			"load the whole dump again with --merge, or use --partial if no lines are missing")
	}
	if addErr := rows.Add(loadedRow{l.Counts()}); err == nil {
		err = addErr
	}
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	return err
}
