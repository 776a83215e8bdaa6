package results

import (
	"errors"
	"fmt"
	"os"

	"gm/internal/filelock"
	"gm/pkg/batch"
)

// Errors of a Joblog. Its other errors are those of the system, and
// [batch.ErrLogged] and [batch.ErrNotLog] of OpenJoblog.
var (
	// ErrOutputGone is wrapped by the error of a run that cannot go on, because
	// results of earlier runs are no longer where they were.
	ErrOutputGone = errors.New("output of the log is gone")
	// ErrInputChanged is wrapped by the error of a run that cannot go on,
	// because the records or functions differ from those of the log.
	ErrInputChanged = errors.New("input of the log has changed")
	// ErrJoblogIsOutput is wrapped by the error of OpenJoblog if the log and the
	// Output are the same file.
	ErrJoblogIsOutput = errors.New("log and output are one file")
	// ErrJoblogIrregular is wrapped by the error of OpenJoblog if the log cannot
	// be read to its end, because it is a FIFO or a device, except /dev/null.
	ErrJoblogIrregular = errors.New("log is no regular file")
	// ErrJoblogHeld is wrapped by the error of OpenJoblog if another run has the
	// log.
	ErrJoblogHeld = errors.New("log is in use")
)

// kindError is an error that also is one of the errors above, which are not in
// its text.
type kindError struct{ err, kind error }

// Error returns the text of the error.
func (e *kindError) Error() string { return e.err.Error() }

// Unwrap returns both errors.
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// JoblogConfig is the configuration of a Joblog.
type JoblogConfig struct {
	Path string
	// Resume leaves out the records of the log. Without it, OpenJoblog refuses a
	// log that has entries.
	Resume bool
	// RetryFailed does not leave out the records that failed.
	RetryFailed bool
	// NewOutput allows Resume although the results of earlier runs are no longer
	// where they were.
	NewOutput bool
	// Sink and Output are the same as those of the Recorder. Output is nil if
	// Sink does not write to one.
	Sink   Sink
	Output *Output
	// Files is the name of the files of Sink, if each record has its own. The
	// log stores it only to compare it with that of the next run.
	Files string
	// Note is called with a text for the user, such as the number of bytes that
	// were moved away; nil: no texts.
	Note func(text string)
}

// Joblog is a log with a line for each record that has ended, by which a later
// run leaves these records out. The lines are those of a [batch.Log].
//
// Together with an Output to a regular file, it has the output of each record
// once, even if the process was killed: a line is written after the output of
// its record, and has the offset of the end. A run that goes on moves output
// without a line away.
//
// The file is locked until Close.
type Joblog struct {
	log  *batch.Log
	c    JoblogConfig
	lock *os.File // the file again, which is locked; nil: it is only read
	out  *Output  // nil if it is no regular file
	file string   // identity of out's file
	last int64    // where the output of the last record ended
}

// OpenJoblog opens or creates a log. It prepares the Output for the run: it
// moves output without a line to the end of the file Path.cut.
func OpenJoblog(c JoblogConfig) (*Joblog, error) {
	lock, err := lockFile(c.Path)
	if err != nil {
		return nil, err
	}
	l := &Joblog{c: c, lock: lock, last: -1}
	if err := l.open(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// ReadJoblog opens a log only to find out which records Resume would leave out.
// It leaves the file unchanged.
func ReadJoblog(c JoblogConfig) (*Joblog, error) {
	if err := checkRegular(c.Path); err != nil {
		return nil, err
	}
	log, err := batch.ReadLog(c.Path)
	if err != nil {
		return nil, err
	}
	return &Joblog{c: c, log: log}, nil
}

func (l *Joblog) open() (err error) {
	out := l.c.Output
	toFile := out != nil && out.file != nil
	if toFile && fileID(out.file) != "" && fileID(out.file) == fileID(l.lock) {
		return &kindError{fmt.Errorf("%s: it is stdout too", l.c.Path), ErrJoblogIsOutput}
	}
	if l.log, err = batch.OpenLog(l.c.Path, l.c.Resume); err != nil {
		return err
	}
	if toFile && !l.hasFiles() {
		l.out, l.file = out, fileID(out.file)
	}
	return l.begin()
}

// hasFiles reports whether each record has files of its own.
func (l *Joblog) hasFiles() bool { return l.c.Files != "" }

// lockFile opens the log and keeps other runs from it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if err := checkRegular(path); err != nil {
		f.Close()
		return nil, err
	}
	if err := filelock.Lock(f); err != nil {
		f.Close()
		held := errors.Is(err, filelock.ErrHeld)
		err = fmt.Errorf("lock log: %s: %w", path, err)
		if held {
			err = &kindError{err, ErrJoblogHeld}
		}
		return nil, err
	}
	return f, nil
}

// checkRegular refuses a log that cannot be read to its end.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() || path == os.DevNull {
		return nil // an error is returned when the log is opened
	}
	return &kindError{fmt.Errorf("%s: not a regular file", path), ErrJoblogIrregular}
}

// begin finds the offset in the output at which the log ends. It removes output
// behind it that an interrupted run has left: its records are done again.
func (l *Joblog) begin() error {
	if err := l.checkOutput(); err != nil {
		return err
	}
	now := batch.LogOutput{File: l.file, Files: l.c.Files, Offset: -1}
	if l.out != nil {
		if was := l.log.Output(); was.Offset >= 0 && !was.Ended && was.File == l.file {
			if err := l.moveUnlogged(was.Offset); err != nil {
				return err
			}
		}
		l.last = l.out.offset()
		now.Offset = l.last
	}
	if l.out == nil && now.Files == "" {
		return nil
	}
	return l.log.Begin(now)
}

// checkOutput refuses to go on if the results of the records that are left out
// are not where this run writes.
func (l *Joblog) checkOutput() error {
	was := l.log.Output()
	switch {
	case l.c.NewOutput || l.log.Completed() == 0 || l.c.Sink == Discard:
		return nil
	case was.Files != l.c.Files && was.Files == "" && was.File == "":
		return nil // a pipe or a terminal, of which nothing is known
	case was.Files != l.c.Files:
		return l.outputGone("the results so far went to %s, not to %s", placeName(was.Files), placeName(l.c.Files))
	case l.c.Files != "" || was.File == "":
		return nil // checked record by record, or unknown
	case l.out == nil:
		return l.outputGone("the results so far are in a file, and stdout is not a file")
	case was.Offset < 0:
		return nil
	}
	size, err := l.out.fileSize()
	switch {
	case err != nil:
		return err
	case size < was.Offset:
		return l.outputGone("stdout has %d bytes and had %d: it was emptied, cut, or is another file", size, was.Offset)
	case was.File != l.file && size > was.Offset:
		return l.outputGone("stdout is not the file that it is about, and is longer than that was")
	case was.File != l.file:
		l.note("stdout is not the file that %s is about, but as long: it is appended to", l.c.Path)
	}
	return nil
}

// placeName names the place of results.
func placeName(files string) string {
	if files == "" {
		return "stdout"
	}
	return files
}

func (l *Joblog) note(format string, args ...any) {
	if l.c.Note != nil {
		l.c.Note(fmt.Sprintf(format, args...))
	}
}

func (l *Joblog) outputGone(format string, args ...any) error {
	err := fmt.Errorf("resume: the output that %s knows is gone: %w", l.c.Path, fmt.Errorf(format, args...))
	return &kindError{err, ErrOutputGone}
}

// moveUnlogged moves the output away that has no line in the log.
func (l *Joblog) moveUnlogged(offset int64) error {
	if size, err := l.out.fileSize(); err != nil || size < offset {
		return err // it is new
	}
	path := l.c.Path + ".cut"
	n, moved, err := l.out.moveEnd(offset, path)
	switch {
	case err != nil:
		return err
	case moved:
		l.note("%d bytes of stdout that %s does not know are in %s now", n, l.c.Path, path)
	case n > 0:
		l.note("%d bytes of stdout that %s does not know are dropped", n, l.c.Path)
	}
	return nil
}

// append logs the end of a record. It removes the output of a failed one, which
// may be done again.
func (l *Joblog) append(r *batch.Record, o *Outcome) error {
	offset := int64(-1)
	if l.out != nil {
		if r.Err != nil {
			if err := l.out.rewind(l.last); err != nil {
				return err
			}
		}
		offset = l.out.offset()
		l.last = offset
	}
	entry := *r
	entry.Err = o.Err // has more details
	return l.log.Append(&entry, o.Code(), offset)
}

// end records that the run was not interrupted. It removes the output of a
// record that has not ended. If the Output has failed, records whose output is
// not complete get no line: they are done again.
func (l *Joblog) end(outputFailed bool) error {
	if l.out == nil {
		if outputFailed {
			l.log.Retract(-1)
		}
		if l.hasFiles() {
			return l.log.End(batch.LogOutput{Files: l.c.Files, Offset: -1})
		}
		return l.log.Flush()
	}
	if outputFailed {
		l.last = l.log.Retract(l.out.at)
	}
	if err := l.out.rewind(l.last); err != nil {
		return err
	}
	return l.log.End(batch.LogOutput{File: l.file, Offset: l.last})
}

// Close closes the file and releases its lock.
func (l *Joblog) Close() {
	if l.log != nil && l.lock != nil {
		l.log.Close()
	}
	if l.lock != nil {
		l.lock.Close()
	}
}

// Skip returns a function for [batch.Batch.Skip] that leaves out the records
// which need not be done again. Its error wraps ErrInputChanged or, for a record
// whose file is gone, ErrOutputGone.
func (l *Joblog) Skip() func(r *batch.Record) (bool, error) {
	skip := l.log.Skip(l.c.RetryFailed)
	return func(r *batch.Record) (bool, error) {
		out, err := skip(r)
		switch {
		case err != nil:
			err = inputChanged(err)
		case out && !l.c.NewOutput:
			err = l.checkFile(r)
		}
		return out, err
	}
}

// checkFile refuses to leave a record out if the file with its result is gone.
func (l *Joblog) checkFile(r *batch.Record) error {
	size, completed := l.log.Result(r.Seq)
	files, ok := l.c.Sink.(fileSink)
	if !completed || !ok {
		return nil
	}
	path, err := files.resultPath(r)
	if err != nil {
		return l.outputGone("record %d: %w", r.Seq, err)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return l.outputGone("record %d: %w", r.Seq, err)
	case info.Mode().IsRegular() && info.Size() < size:
		return l.outputGone("record %d: %s has %d bytes and had %d", r.Seq, path, info.Size(), size)
	}
	return nil
}

// checkAllSeen returns an error if the log has records that the input of a
// complete run lacked.
func (l *Joblog) checkAllSeen() error {
	if n := l.log.Left(); l.c.Resume && n > 0 {
		return inputChanged(fmt.Errorf("%d records of the joblog are not in the input", n))
	}
	return nil
}

// failedBefore returns the number of failed records of earlier runs that this
// run leaves out.
func (l *Joblog) failedBefore() int {
	if l.c.Resume && !l.c.RetryFailed {
		return l.log.Failed()
	}
	return 0
}

func inputChanged(err error) error {
	return &kindError{fmt.Errorf("resume: %w", err), ErrInputChanged}
}
