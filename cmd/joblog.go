package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"gm/pkg/batch"
	"gm/pkg/store/lockfile"
)

// runLog is the joblog of a run. Together with the file that stdout is, it has
// each record's output once, whatever ends gm: a line goes to the log once the
// record's output is out, and says where that ends; output without a line is
// cut off by the run that goes on.
type runLog struct {
	*batch.Log
	lock *os.File      // the log again, which is locked
	out  *stdoutBuffer // where results go; nil if that is no regular file
	file string        // out's, as the system calls it
	last int64         // where the output of the last record ended
}

// openLog opens the joblog that the flags name; nil if they name none.
func (s *recordRun) openLog(out *stdoutBuffer) (*runLog, error) {
	if s.joblog == "" {
		return nil, nil
	}
	lock, err := lockLog(s.joblog)
	if err != nil {
		return nil, exitWith(exitIO, err)
	}
	l := &runLog{lock: lock}
	l.Log, err = batch.OpenLog(s.joblog, s.resume)
	switch {
	case errors.Is(err, batch.ErrLogged):
		err = withHint(exitWith(exitUsage, err), "--resume goes on with it; for a new run, remove it")
	case err != nil:
		err = exitWith(exitIO, err)
	case out.file != nil && s.out == "" && s.results == "":
		l.out, l.file = out, fileID(out.file)
		err = l.begin(s)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// lockLog keeps other runs from a log.
func lockLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := lockfile.Lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock log: %s: %w", path, err)
	}
	return f, nil
}

// begin finds the place in the output where the log ends. What a run has left
// there that was killed is taken away: its records are done again.
func (l *runLog) begin(s *recordRun) error {
	switch was := l.Output(); {
	case was.Offset < 0 || was.Ended:
	case was.File != l.file:
		s.note("stdout is not the file that %s is about: it is appended to", s.joblog)
	default:
		spare := s.joblog + ".cut"
		n, kept, err := l.out.cut(was.Offset, spare)
		switch {
		case err != nil:
			return withHint(err, "the output of the first run is to be appended to, with >>")
		case kept:
			s.note("%d bytes of stdout that %s does not know are in %s now", n, s.joblog, spare)
		case n > 0:
			s.note("%d bytes of stdout that %s does not know are dropped", n, s.joblog)
		}
	}
	l.last = l.out.offset()
	return l.Begin(l.file, l.last)
}

// add logs the end of a record. What a failed one has left in the output is
// taken back, for it may be done again.
func (l *runLog) add(r *batch.Record, o *outcome) error {
	offset := int64(-1)
	if l.out != nil {
		if r.Err != nil {
			if err := l.out.takeBack(l.last); err != nil {
				return err
			}
		}
		offset = l.out.offset()
		l.last = offset
	}
	entry := *r
	entry.Err = o.err // says more
	return l.Append(&entry, o.code(), offset)
}

// end ends a run that was not killed. A part of a record's output is taken
// back.
func (l *runLog) end() error {
	if l.out == nil {
		return l.Flush()
	}
	if err := l.out.takeBack(l.last); err != nil {
		return err
	}
	return l.End(l.file, l.last)
}

func (l *runLog) close() {
	if l.Log != nil {
		l.Log.Close()
	}
	l.lock.Close()
}

// skip returns what leaves out the records that need not be done again. An
// input that is not the log's ends the run.
func (l *runLog) skip(retryFailed bool) func(r *batch.Record) (bool, error) {
	skip := l.Skip(retryFailed)
	return func(r *batch.Record) (bool, error) {
		out, err := skip(r)
		if err != nil {
			err = changedInput(err)
		}
		return out, err
	}
}

// complete checks, at the end of a run, that the log has no records that the
// input lacks.
func (l *runLog) complete(resumed bool) error {
	if n := l.Left(); resumed && n > 0 {
		return changedInput(fmt.Errorf("%d records of the joblog are not in the input", n))
	}
	return nil
}

func changedInput(err error) error {
	return withHint(exitWith(exitUsage, fmt.Errorf("resume: %w", err)),
		"--resume needs the input and the functions of the first run")
}

// pretend prints what would be sent.
func (s *recordRun) pretend() error {
	skip := func(*batch.Record) (bool, error) { return false, nil }
	if _, err := os.Stat(s.joblog); err == nil && s.resume {
		log, err := batch.OpenLog(s.joblog, true)
		if err != nil {
			return exitWith(exitIO, err)
		}
		defer log.Close()
		skip = (&runLog{Log: log}).skip(s.retryFailed)
	}
	rows := newRowWriter(s.stdout, formatTSV, nil, nil)
	if s.format != "" {
		rows.format = s.format
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
		left, err := skip(&batch.Record{Seq: seq, Name: in.Name, Payload: in.Payload, Function: functions})
		if err != nil {
			return err
		}
		if left {
			continue
		}
		row := &dryRow{Seq: seq, Function: functions, Bytes: len(in.Payload), Name: s.label(&in, seq)}
		if s.out != "" && in.Err == nil {
			row.Out, _ = s.out.expand(row.Name, seq) // newOutNames has found no fault with it
		}
		if in.Err != nil {
			row.Error = in.Err.Error()
		}
		if err := rows.add(row); err != nil {
			return err
		}
	}
	return rows.close()
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

func (r *dryRow) cells(bool) []string {
	return []string{strconv.Itoa(r.Seq), r.Function, strconv.Itoa(r.Bytes), r.Name, r.Out, r.Error}
}
