package batch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"gm/pkg/gearman"
)

// ErrLogged is what OpenLog's error wraps if the log has entries already and is
// not to be resumed.
var ErrLogged = errors.New("it has entries already")

// ErrNotLog is what OpenLog's error wraps if the file is none that a Log has
// written. It is left as it is.
var ErrNotLog = errors.New("it is no joblog")

// maxUnwritten is when a Log writes without being told to, in bytes.
const maxUnwritten = 64 << 10

// Entry is a line of a Log: one record and what became of it. Hash, in hex, is
// the first half of the SHA-256 of the record's payload; it is empty if the
// record could not be read.
type Entry struct {
	Seq      int            `json:"seq"`
	Name     string         `json:"name,omitempty"`
	Unique   string         `json:"unique,omitempty"`
	Handle   gearman.Handle `json:"handle,omitempty"`
	Server   string         `json:"server,omitempty"`
	Function string         `json:"function"`
	Start    LogTime        `json:"start"`
	End      LogTime        `json:"end"`
	In       int            `json:"in"`  // bytes
	Out      int64          `json:"out"` // bytes
	Attempts int            `json:"attempts"`
	Exit     int            `json:"exit"`
	Error    string         `json:"error,omitempty"`
	Hash     string         `json:"hash,omitempty"`
	// Offset is where the record's output ends in the file that has it.
	Offset *int64 `json:"offset,omitempty"`
}

// LogTime is a time that is written in RFC 3339 with milliseconds.
type LogTime struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t LogTime) MarshalJSON() ([]byte, error) {
	return t.AppendFormat(nil, `"2006-01-02T15:04:05.000Z07:00"`), nil
}

// Log is a file with a line of JSON for each record that has ended (see
// [Entry]), in the order in which their output was written. A record that was
// done again has several; the last one counts.
//
// It survives the end of the process at any moment, not that of the machine: it
// is not synced. A line that is there says that the record's output had been
// given to Before. Its methods are for one goroutine at a time.
type Log struct {
	// Before is called before lines are written: it must write the output that
	// is still buffered. An error keeps the lines from being written.
	Before func() error

	f         *os.File
	pending   []byte        // lines
	lines     []pendingLine // of pending
	written   int64         // where the output of the last line that was written ends; -1 if that is not known
	done      []logged      // by sequence, from 1
	functions []string      // that are in it; hardly ever more than one
	output    LogOutput     // when the log was opened
	matched   int           // entries that Skip was asked about
}

// pendingLine is a line of a Log that is still to be written.
type pendingLine struct {
	size   int   // bytes that are left
	begun  bool  // some of it has been written
	offset int64 // where the record's output ends; -1 if that is not known
}

// LogOutput is what a Log says of the file that has the records' output. It is
// a line with seq 0 where a run begins, and another one where a run ends.
type LogOutput struct {
	// File is the name that the system has for it, whatever it is called; empty
	// if that is not known.
	File string `json:"file,omitempty"`
	// Files says instead that each record has files of its own, and how they are
	// called: it is compared with that of the next run, and means nothing here.
	Files string `json:"files,omitempty"`
	// Offset is where the output of the last entry ends, or that of the first
	// one will begin; -1 if the log does not say it.
	Offset int64 `json:"offset"`
	// Ended says that the last run has come to an end by itself: what follows
	// Offset is not its.
	Ended bool `json:"ended,omitempty"`
}

// logged is what a Log remembers of a record. There may be millions.
type logged struct {
	hash     [sha256.Size / 2]byte
	out      int64  // bytes of the result
	function uint16 // index
	state    logState
}

type logState uint8

const (
	logNone logState = iota
	logDone
	logFailed
	logUnread // failed, because it could not be read
	logAgain  // to be done again in any case
)

// ExitAgain is the exit code of a record that has not come to its end, such as
// one whose server was lost: Skip does not leave it out. It is EX_TEMPFAIL of
// sysexits.h.
const ExitAgain = 75

// OpenLog opens or makes the log at path. With resume it reads what it has, and
// cuts off a last line that was not written whole; without, an error that wraps
// ErrLogged refuses a file that is not empty. One that is not a log is refused
// with an error that wraps ErrNotLog. A file that is refused stays as it is.
func OpenLog(path string, resume bool) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := newLog(f)
	if err := l.begin(resume); err != nil {
		f.Close()
		return nil, fmt.Errorf("open log: %s: %w", path, err)
	}
	return l, nil
}

// ReadLog reads the log at path and leaves it as it is. The Log that it returns
// is for Skip and other questions: nothing can be added to it.
func ReadLog(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	l := newLog(f)
	if _, err := l.load(); err != nil {
		return nil, fmt.Errorf("read log: %s: %w", path, err)
	}
	return l, nil
}

func newLog(f *os.File) *Log { return &Log{f: f, output: LogOutput{Offset: -1}, written: -1} }

func (l *Log) begin(resume bool) error {
	if !resume {
		info, err := l.f.Stat()
		if err == nil && info.Size() > 0 {
			err = ErrLogged
		}
		return err
	}
	whole, err := l.load()
	if err != nil {
		return err
	}
	if err := l.f.Truncate(whole); err != nil {
		return err
	}
	_, err = l.f.Seek(whole, io.SeekStart)
	return err
}

// load reads the lines that are there whole, and returns their length.
func (l *Log) load() (whole int64, err error) {
	lines := NewSplitter(l.f, []byte("\n"), true, maxLine)
	for n := 1; ; n++ {
		line, err := lines.Next()
		switch {
		case err == io.EOF:
			return whole, nil
		case err != nil:
			return 0, err
		case line.Err == nil && !bytes.HasSuffix(line.Payload, []byte("\n")) && beginsEntry(line.Payload):
			return whole, nil
		case line.Err == nil:
			line.Err = l.read(line.Payload)
		}
		if line.Err != nil {
			return 0, fmt.Errorf("%w: line %d: %w", ErrNotLog, n, line.Err)
		}
		whole += int64(len(line.Payload))
	}
}

// beginsEntry reports whether a line that was not written whole may be one of a
// log.
func beginsEntry(line []byte) bool {
	const begin = `{"seq":`
	n := min(len(line), len(begin))
	return string(line[:n]) == begin[:n]
}

// What a damaged log can make of memory is bounded.
const (
	maxGap       = 1 << 24 // no batch has as many records in flight
	maxFunctions = 1 << 10
	maxLine      = 16 << 20 // bytes
)

func (l *Log) read(line []byte) error {
	var e struct {
		Entry
		Start *json.RawMessage `json:"start"` // what else has a seq and a function lacks it
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	if e.Seq == 0 && e.Offset != nil && e.Function == "" {
		l.output = LogOutput{}
		return json.Unmarshal(line, &l.output)
	}
	l.output.Offset, l.output.Ended = -1, false
	if e.Offset != nil {
		l.output.Offset = *e.Offset
	}
	switch {
	case e.Seq < 1 || e.Seq > len(l.done)+maxGap:
		return fmt.Errorf("record %d can't follow the ones before", e.Seq)
	}
	function := slices.Index(l.functions, e.Function)
	if function < 0 {
		if function = len(l.functions); function == maxFunctions {
			return fmt.Errorf("over %d functions", maxFunctions)
		}
		l.functions = append(l.functions, e.Function)
	}
	is := logged{function: uint16(function), state: logDone, out: e.Out}
	sum, err := hex.DecodeString(e.Hash)
	switch {
	case e.Hash == "":
		is.state = logUnread
	case err != nil || len(sum) != len(is.hash):
		return fmt.Errorf("hash %q of record %d is none", e.Hash, e.Seq)
	case e.Exit == ExitAgain:
		is.state = logAgain
	case e.Exit != 0:
		is.state = logFailed
	}
	if e.Start == nil {
		return fmt.Errorf("record %d has no start", e.Seq)
	}
	copy(is.hash[:], sum)
	for len(l.done) < e.Seq {
		l.done = append(l.done, logged{})
	}
	l.done[e.Seq-1] = is
	return nil
}

// Begin notes where a run's output begins: without that, output that was
// written before an entry could not be told from what the file had before.
func (l *Log) Begin(o LogOutput) error { return l.mark(o) }

// End notes that a run has ended by itself, and has its output up to o.Offset.
func (l *Log) End(o LogOutput) error {
	if err := l.Flush(); err != nil {
		return err
	}
	o.Ended = true
	return l.mark(o)
}

func (l *Log) mark(o LogOutput) error {
	line, err := json.Marshal(struct {
		Seq int `json:"seq"`
		LogOutput
	}{0, o})
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	l.add(line, o.Offset)
	return l.write()
}

// add adds a line to those that are still to be written.
func (l *Log) add(line []byte, offset int64) {
	l.pending = append(append(l.pending, line...), '\n')
	l.lines = append(l.lines, pendingLine{size: len(line) + 1, offset: offset})
}

// write writes the lines that are still to be written. What it cannot write
// stays, so that a later try goes on where this one has stopped.
func (l *Log) write() error {
	if len(l.pending) == 0 {
		return nil
	}
	n, err := l.f.Write(l.pending)
	l.pending = l.pending[:copy(l.pending, l.pending[n:])]
	done := 0
	for ; done < len(l.lines) && n >= l.lines[done].size; done++ {
		n -= l.lines[done].size
		l.written = l.lines[done].offset
	}
	l.lines = l.lines[:copy(l.lines, l.lines[done:])]
	if n > 0 {
		l.lines[0].size -= n
		l.lines[0].begun = true
	}
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

// Retract is called when output could not be written: it drops the lines that
// are still to be written of records whose output does not end at written or
// before. It returns where the output of the last record ends that has a line.
func (l *Log) Retract(written int64) (end int64) {
	end = l.written
	size := 0
	for i, line := range l.lines {
		if !line.begun && (line.offset < 0 || line.offset > written) {
			l.lines, l.pending = l.lines[:i], l.pending[:size]
			break
		}
		size += line.size
		end = line.offset
	}
	return end
}

// Output returns what the log said of the output when it was opened.
func (l *Log) Output() LogOutput { return l.output }

// Skip returns a Batch.Skip that leaves out what the log has, but for records
// that ended with ExitAgain, and for all that failed if retryFailed. It refuses
// a record whose payload or function is not that of its entry, as far as both
// could be read.
func (l *Log) Skip(retryFailed bool) func(r *Record) (bool, error) {
	return func(r *Record) (bool, error) {
		if r.Seq > len(l.done) || l.done[r.Seq-1].state == logNone {
			return false, nil
		}
		l.matched++
		is := &l.done[r.Seq-1]
		switch {
		case l.functions[is.function] != r.Function:
			return false, fmt.Errorf("record %d went to %s when it was logged, not to %s", r.Seq, l.functions[is.function], r.Function)
		case is.state != logUnread && r.Err == nil && is.hash != hash(r.Payload):
			return false, fmt.Errorf("record %d is not the one that was logged: its hash is another", r.Seq)
		}
		return is.state == logDone || is.state != logAgain && !retryFailed, nil
	}
}

// Result returns how many bytes the result of a record had that had completed
// when the log was opened. Of any other record ok is false.
func (l *Log) Result(seq int) (bytes int64, ok bool) {
	if seq > len(l.done) || l.done[seq-1].state != logDone {
		return 0, false
	}
	return l.done[seq-1].out, true
}

// Completed returns how many records had completed when the log was opened.
func (l *Log) Completed() int {
	n := 0
	for i := range l.done {
		if l.done[i].state == logDone {
			n++
		}
	}
	return n
}

// Failed returns how many records had failed when the log was opened, and can be
// left out for it.
func (l *Log) Failed() int {
	n := 0
	for i := range l.done {
		if state := l.done[i].state; state == logFailed || state == logUnread {
			n++
		}
	}
	return n
}

// Left returns how many records that the log had Skip has not been asked about:
// after a whole run, those that the input lacks.
func (l *Log) Left() int {
	n := -l.matched
	for i := range l.done {
		if l.done[i].state != logNone {
			n++
		}
	}
	return n
}

// Append adds a record that has ended. Exit is 0 if it went well; offset is
// where its output ends in its file, -1 if that can't be said. The line is
// written by Flush, or when there are many.
func (l *Log) Append(r *Record, exit int, offset int64) error {
	e := Entry{
		Seq: r.Seq, Name: r.Name, Unique: r.Unique, Handle: r.Handle, Function: r.Function,
		Start: LogTime{r.Started}, End: LogTime{r.Ended}, In: len(r.Payload), Out: r.Bytes,
		Attempts: r.Attempts, Exit: exit,
	}
	if r.Err != nil {
		e.Error = r.Err.Error()
	}
	if !r.Unread {
		sum := hash(r.Payload)
		e.Hash = hex.EncodeToString(sum[:])
	}
	if r.Unique == "#" {
		e.Unique = e.Hash
	}
	if r.Server != (gearman.Server{}) {
		e.Server = r.Server.String()
	}
	if offset >= 0 {
		e.Offset = &offset
	}
	line, err := json.Marshal(&e)
	if err != nil {
		return fmt.Errorf("log record %d: %w", r.Seq, err)
	}
	l.add(line, offset)
	if len(l.pending) >= maxUnwritten {
		return l.Flush()
	}
	return nil
}

// Flush calls Before and writes the lines that are still to be written.
func (l *Log) Flush() error {
	if l.Before != nil {
		if err := l.Before(); err != nil {
			return err
		}
	}
	return l.write()
}

// Close closes the log without writing what Flush has not written.
func (l *Log) Close() error { return l.f.Close() }

func hash(b []byte) (h [sha256.Size / 2]byte) {
	sum := sha256.Sum256(b)
	copy(h[:], sum[:])
	return h
}
