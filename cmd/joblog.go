package cmd

import (
	"errors"
	"io"
	"os"
	"strconv"

	"gm/cmd/cli"
	"gm/pkg/batch"
	"gm/pkg/results"
)

// openJoblog opens the joblog that the flags name; nil if they name none.
func (s *recordRun) openJoblog(sink results.Sink) (*results.Joblog, error) {
	if s.joblog == "" {
		return nil, nil
	}
	log, err := results.OpenJoblog(s.joblogConfig(sink))
	return log, joblogError(err)
}

func (s *recordRun) joblogConfig(sink results.Sink) results.JoblogConfig {
	return results.JoblogConfig{
		Path:        s.joblog,
		Resume:      s.resume,
		RetryFailed: s.retryFailed,
		NewOutput:   s.newOutput,
		Sink:        sink,
		Output:      s.output,
		Files:       s.filesName(),
		Note:        func(text string) { s.note("%s", text) },
	}
}

// joblogError returns an error of opening a joblog with its exit code.
func joblogError(err error) error {
	switch {
	case errors.Is(err, results.ErrJoblogIsOutput), errors.Is(err, results.ErrJoblogIrregular):
		return cli.UsageErrorf("--joblog %w", err)
	case exitCode(err) == cli.ExitFailed:
		return cli.ExitWith(cli.ExitIO, err)
	}
	return err
}

// resultsHint returns the hint for an error of writing results.
func resultsHint(err error) string {
	switch {
	case errors.Is(err, results.ErrOutputGone):
		return "append to the output of the first run with >>, or put it back; --new-output goes on without it; to do all again, remove the joblog"
	case errors.Is(err, results.ErrInputChanged):
		return "--resume needs the input and the functions of the first run"
	case errors.Is(err, batch.ErrLogged):
		return "--resume goes on with it; for a new run, remove it or name another file"
	case errors.Is(err, batch.ErrNotLog):
		return "it was left as it is; name another file for the joblog"
	case errors.Is(err, results.ErrJoblogIsOutput):
		return "results and the joblog need a file each"
	case errors.Is(err, results.ErrJoblogIrregular):
		return "a joblog is read too: name a file that can be"
	case errors.Is(err, results.ErrJoblogHeld):
		return "wait until that run has ended, or name another file for the joblog"
	case errors.Is(err, results.ErrIrregular):
		return "--out-anywhere writes to such files"
	case errors.Is(err, results.ErrLinkOutside):
		return "--out-anywhere follows it"
	case errors.Is(err, results.ErrOutside):
		return "--out-anywhere allows it"
	}
	return ""
}

// resultsCode returns the exit code of an error of writing results; cli.ExitOK if err
// is of another kind.
func resultsCode(err error) int {
	for _, kind := range []error{
		results.ErrOutputGone, results.ErrInputChanged, results.ErrJoblogIsOutput, results.ErrJoblogIrregular,
		batch.ErrLogged, batch.ErrNotLog,
	} {
		if errors.Is(err, kind) {
			return cli.ExitUsage
		}
	}
	if errors.Is(err, results.ErrJoblogHeld) {
		return cli.ExitAgain
	}
	return cli.ExitOK
}

// printDryRun prints the records that would be sent.
func (s *recordRun) printDryRun() error {
	skip, err := s.dryRunSkip()
	if err != nil {
		return err
	}
	rows := cli.NewRowWriter(s.Stdout, cli.FormatTSV, nil, nil)
	if s.format != "" {
		rows.Format = s.format
	}
	functions := stageNames(s.tasks)
	for seq := 1; ; seq++ {
		in, err := s.source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		r := &batch.Record{Seq: seq, Name: in.Name, Payload: in.Payload, Function: functions}
		left, err := skip(r)
		if err != nil {
			return err
		}
		if left {
			continue
		}
		row := &dryRow{Seq: seq, Function: functions, Bytes: len(in.Payload), Name: s.label(r)}
		if s.out != "" && in.Err == nil {
			row.Out, _ = s.out.Expand(row.Name, seq) // the NamedSource has found no fault with it
		}
		if in.Err != nil {
			row.Error = in.Err.Error()
		}
		if err := rows.Add(row); err != nil {
			return err
		}
	}
	return rows.Close()
}

// dryRunSkip returns a function that reports whether the joblog has a record.
func (s *recordRun) dryRunSkip() (func(r *batch.Record) (bool, error), error) {
	none := func(*batch.Record) (bool, error) { return false, nil }
	if !s.resume {
		return none, nil
	}
	if _, err := os.Stat(s.joblog); err != nil {
		return none, nil
	}
	sink, err := s.newSink()
	if err != nil {
		return nil, err
	}
	log, err := results.ReadJoblog(s.joblogConfig(sink))
	if err != nil {
		return nil, joblogError(err)
	}
	return log.Skip(), nil
}

// dryRow is a record that would be sent.
type dryRow struct {
	Seq      int    `json:"seq"`
	Function string `json:"function"`
	Bytes    int    `json:"bytes"`
	Name     string `json:"name"`
	Out      string `json:"out,omitempty"`
	Error    string `json:"error,omitempty"`
}

func (r *dryRow) Cells(bool) []string {
	return []string{strconv.Itoa(r.Seq), r.Function, strconv.Itoa(r.Bytes), r.Name, r.Out, r.Error}
}
