package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"gm/internal/filelock"
	"gm/pkg/batch"
)

// runLog is the joblog of a run. Together with the file that stdout is, it has
// each record's output once, whatever ends gm: a line goes to the log once the
// record's output is out, and says where that ends; output without a line is
// cut off by the run that goes on.
type runLog struct {
	*batch.Log
	run  *recordRun
	lock *os.File      // the log again, which is locked
	out  *stdoutBuffer // where results go; nil if that is no regular file
	file string        // out's, as the system calls it
	last int64         // where the output of the last record ended
}

// Hints of refusals to go on with a joblog.
const (
	hintAppend = "append to the output of the first run with >>, or put it back; --new-output goes on without it; to do all again, remove the joblog"
	hintNewLog = "--resume goes on with it; for a new run, remove it or name another file"
	hintNotLog = "it was left as it is; name another file for the joblog"
)

// openLog opens the joblog that the flags name; nil if they name none.
func (s *recordRun) openLog(out *stdoutBuffer) (*runLog, error) {
	if s.joblog == "" {
		return nil, nil
	}
	lock, err := lockLog(s.joblog)
	if err != nil {
		return nil, err
	}
	l := &runLog{run: s, lock: lock, last: -1}
	if out.file != nil && fileID(out.file) != "" && fileID(out.file) == fileID(lock) {
		l.close()
		return nil, withHint(usageErrorf("--joblog %s: it is stdout too", s.joblog), "results and the joblog need a file each")
	}
	if l.Log, err = batch.OpenLog(s.joblog, s.resume); err == nil {
		if out.file != nil && !s.ownFiles() {
			l.out, l.file = out, fileID(out.file)
		}
		err = l.begin()
	}
	if err != nil {
		l.close()
		return nil, logError(err)
	}
	return l, nil
}

// logError returns an error of opening a joblog with its exit code and hint.
func logError(err error) error {
	switch {
	case errors.Is(err, batch.ErrLogged):
		return withHint(exitWith(exitUsage, err), hintNewLog)
	case errors.Is(err, batch.ErrNotLog):
		return withHint(exitWith(exitUsage, err), hintNotLog)
	case exitCode(err) == exitFailed:
		return exitWith(exitIO, err)
	}
	return err
}

// lockLog keeps other runs from a log.
func lockLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, exitWith(exitIO, fmt.Errorf("open log: %w", err))
	}
	if err := checkLogFile(path); err != nil {
		f.Close()
		return nil, err
	}
	if err := filelock.Lock(f); err != nil {
		f.Close()
		err = fmt.Errorf("lock log: %s: %w", path, err)
		if errors.Is(err, filelock.ErrHeld) {
			return nil, withHint(exitWith(exitAgain, err), "wait until that run has ended, or name another file for the joblog")
		}
		return nil, exitWith(exitIO, err)
	}
	return f, nil
}

// checkLogFile refuses a joblog that cannot be read to its end, as a FIFO.
func checkLogFile(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() || path == os.DevNull {
		return nil // opening it says what is wrong
	}
	return withHint(usageErrorf("--joblog %s: not a regular file", path), "a joblog is read too: name a file that can be")
}

// begin finds the place in the output where the log ends. Output that a killed
// run has left behind that place is taken away: its records are done again.
func (l *runLog) begin() error {
	if err := l.checkOutput(); err != nil {
		return err
	}
	now := batch.LogOutput{File: l.file, Files: l.run.filesName(), Offset: -1}
	if l.out != nil {
		if was := l.Output(); was.Offset >= 0 && !was.Ended && was.File == l.file {
			if err := l.cutOutput(was.Offset); err != nil {
				return err
			}
		}
		l.last = l.out.offset()
		now.Offset = l.last
	}
	if l.out == nil && now.Files == "" {
		return nil
	}
	return l.Begin(now)
}

// checkOutput refuses to go on if the output of records that are left out is not
// where this run's goes to: their results would be missing.
func (l *runLog) checkOutput() error {
	s, was := l.run, l.Output()
	files := s.filesName()
	switch {
	case s.newOutput || l.Completed() == 0 || s.printsNothing():
		return nil
	case was.Files != files && was.Files == "" && was.File == "":
		return nil // a pipe or a terminal, of which nothing is known
	case was.Files != files:
		return l.gone("the results so far went to %s, not to %s", placeName(was.Files), placeName(files))
	case files != "" || was.File == "":
		return nil // checked record by record, or not known
	case l.out == nil:
		return l.gone("the results so far are in a file, and stdout is none")
	case was.Offset < 0:
		return nil
	}
	size, err := l.out.size()
	switch {
	case err != nil:
		return err
	case size < was.Offset:
		return l.gone("stdout has %d bytes and had %d: it was emptied, cut, or is another file", size, was.Offset)
	case was.File != l.file && size > was.Offset:
		return l.gone("stdout is not the file that it is about, and is longer than that was")
	case was.File != l.file:
		s.note("stdout is not the file that %s is about, but as long: it is appended to", s.joblog)
	}
	return nil
}

// placeName says where results go.
func placeName(files string) string {
	if files == "" {
		return "stdout"
	}
	return files
}

func (l *runLog) gone(format string, args ...any) error {
	err := fmt.Errorf("resume: the output that %s knows is gone: %w", l.run.joblog, fmt.Errorf(format, args...))
	return withHint(exitWith(exitUsage, err), hintAppend)
}

// cutOutput takes the output away that no line of the log is about.
func (l *runLog) cutOutput(offset int64) error {
	s := l.run
	if size, err := l.out.size(); err != nil || size < offset {
		return err // it is new
	}
	spare := s.joblog + ".cut"
	n, kept, err := l.out.cut(offset, spare)
	switch {
	case err != nil:
		return err
	case kept:
		s.note("%d bytes of stdout that %s does not know are in %s now", n, s.joblog, spare)
	case n > 0:
		s.note("%d bytes of stdout that %s does not know are dropped", n, s.joblog)
	}
	return nil
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
// back. If stdout has failed, records whose output is not there whole get no
// line: they are done again.
func (l *runLog) end(stdoutFailed bool) error {
	if l.out == nil {
		if stdoutFailed {
			l.Retract(-1)
		}
		if files := l.run.filesName(); files != "" {
			return l.End(batch.LogOutput{Files: files, Offset: -1})
		}
		return l.Flush()
	}
	if stdoutFailed {
		l.last = l.Retract(l.out.at)
	}
	if err := l.out.takeBack(l.last); err != nil {
		return err
	}
	return l.End(batch.LogOutput{File: l.file, Offset: l.last})
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
		switch {
		case err != nil:
			err = changedInput(err)
		case out && !l.run.newOutput:
			err = l.checkFile(r)
		}
		return out, err
	}
}

// checkFile refuses to leave a record out whose file of output is gone.
func (l *runLog) checkFile(r *batch.Record) error {
	s := l.run
	size, completed := l.Result(r.Seq)
	if !completed || !s.ownFiles() {
		return nil
	}
	path := filepath.Join(s.results, strconv.Itoa(r.Seq), "stdout")
	if s.out != "" {
		var err error
		if path, err = s.out.expand(s.labelOf(r), r.Seq); err != nil {
			return l.gone("record %d: %w", r.Seq, err)
		}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return l.gone("record %d: %w", r.Seq, err)
	case info.Mode().IsRegular() && info.Size() < size:
		return l.gone("record %d: %s has %d bytes and had %d", r.Seq, path, info.Size(), size)
	}
	return nil
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
		if err := checkLogFile(s.joblog); err != nil {
			return err
		}
		log, err := batch.ReadLog(s.joblog)
		if err != nil {
			return logError(err)
		}
		skip = (&runLog{Log: log, run: s}).skip(s.retryFailed)
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
