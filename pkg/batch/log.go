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

// ErrLogged is wrapped by OpenLog's error if the log has entries and resume is
// false.
var ErrLogged = errors.New("it has entries already")

// ErrNotLog is wrapped by OpenLog's error if a Log has not written the file.
// The file is left unchanged.
var ErrNotLog = errors.New("it is no joblog")

// maxUnwritten is the number of pending bytes at which a Log writes without
// Flush.
const maxUnwritten = 64 << 10

// Entry is a line of a Log: one record and its outcome. Hash, in hex, is the
// first half of the SHA-256 of the record's payload; it is empty if the record
// could not be read.
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
	// Offset is the end of the record's output in the output file.
	Offset *int64 `json:"offset,omitempty"`
}

// LogTime is a time that JSON has in RFC 3339 with milliseconds.
type LogTime struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t LogTime) MarshalJSON() ([]byte, error) {
	return t.AppendFormat(nil, `"2006-01-02T15:04:05.000Z07:00"`), nil
}

// Log is a file with a line of JSON for each record that has ended (see
// [Entry]), in the order in which their output was written. A record that ran
// again has several lines; the last one counts.
//
// It survives a crash of the process at any moment, but not of the machine: it
// is not synced. A line is written only after Before has written the record's
// output. Its methods are for one goroutine at a time.
type Log struct {
	// Before is called before lines are written. It must write the output that
	// is still buffered. If it returns an error, the lines are not written.
	Before func() error

	f         *os.File
	pending   []byte        // lines
	lines     []pendingLine // of pending
	written   int64         // end of the output of the last written line; -1 if unknown
	done      []logged      // by sequence, from 1
	functions []string      // functions of the records; rarely more than one
	output    LogOutput     // when the log was opened
	matched   int           // entries that Skip was asked about
}

// pendingLine is a line of a Log that has not been written completely.
type pendingLine struct {
	size   int   // bytes that are not written yet
	begun  bool  // a part of it has been written
	offset int64 // end of the record's output; -1 if unknown
}

// LogOutput describes the file with the records' output. A Log has it as a line
// with seq 0 at the beginning of a run, and again at its end.
type LogOutput struct {
	// File identifies the file in the system, independent of its path; it is
	// empty if that is unknown.
	File string `json:"file,omitempty"`
	// Files is the pattern of the names if each record has files of its own.
	// The Log stores it only to compare it with that of the next run.
	Files string `json:"files,omitempty"`
	// Offset is the end of the output of the last entry, or the beginning of
	// that of the first; -1 if the log does not have it.
	Offset int64 `json:"offset"`
	// Ended is true if the last run was not interrupted: the bytes after Offset
	// are not its output.
	Ended bool `json:"ended,omitempty"`
}

// logged is the part of an entry that a Log keeps in memory. There may be
// millions.
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
	logAgain  // it must run again in any case
)

// ExitAgain is the exit code of a record that has not ended, such as one whose
// server was lost: Skip does not leave it out. It is EX_TEMPFAIL of sysexits.h.
const ExitAgain = 75

// OpenLog opens or creates the log at path. With resume it reads the entries,
// and cuts off an incomplete last line. Without resume it refuses a file that
// is not empty with an error that wraps ErrLogged. It refuses a file that is
// not a log with an error that wraps ErrNotLog. It leaves a refused file
// unchanged.
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

// ReadLog reads the log at path and leaves it unchanged. The returned Log is
// for Skip and other queries: nothing can be added to it.
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

// load reads the complete lines, and returns their length.
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

// beginsEntry reports whether an incomplete line may be one of a log.
func beginsEntry(line []byte) bool {
	const begin = `{"seq":`
	n := min(len(line), len(begin))
	return string(line[:n]) == begin[:n]
}

// Limits of the memory that a damaged log can take.
const (
	maxGap       = 1 << 24 // no batch has as many records in flight
	maxFunctions = 1 << 10
	maxLine      = 16 << 20 // bytes
)

func (l *Log) read(line []byte) error {
	var e struct {
		Entry
		Seq   int64            `json:"seq"`   // an int may have 32 bits
		In    int64            `json:"in"`    // bytes; a log of a 64-bit system can have more than an int
		Start *json.RawMessage `json:"start"` // other JSON with a seq and a function lacks it
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
	case e.Seq < 1 || e.Seq > int64(len(l.done)+maxGap):
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
	for len(l.done) < int(e.Seq) {
		l.done = append(l.done, logged{})
	}
	l.done[e.Seq-1] = is
	return nil
}

// Begin records the offset at which a run's output begins. Without it, output
// written before an entry could not be distinguished from earlier bytes of the
// file.
func (l *Log) Begin(o LogOutput) error { return l.mark(o) }

// End records that a run was not interrupted, and that its output ends at
// o.Offset.
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
	l.addLine(line, o.Offset)
	return l.write()
}

// addLine adds a line to the pending ones.
func (l *Log) addLine(line []byte, offset int64) {
	l.pending = append(append(l.pending, line...), '\n')
	l.lines = append(l.lines, pendingLine{size: len(line) + 1, offset: offset})
}

// write writes the pending lines. Bytes that it cannot write stay pending, so
// that a later call goes on from there.
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

// Retract is called when output could not be written. It drops the pending
// lines of records whose output ends after written. It returns the end of the
// output of the last record that has a line.
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

// Output returns the description of the output that the log had when it was
// opened.
func (l *Log) Output() LogOutput { return l.output }

// Skip returns a Batch.Skip that leaves out the records of the log, except
// those that ended with ExitAgain, and all that failed if retryFailed. It
// returns an error for a record whose payload or function differs from that of
// its entry, as far as both could be read.
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

// Result returns the size of the result of a record that had completed when the
// log was opened. For any other record ok is false.
func (l *Log) Result(seq int) (bytes int64, ok bool) {
	if seq > len(l.done) || l.done[seq-1].state != logDone {
		return 0, false
	}
	return l.done[seq-1].out, true
}

// Completed returns the number of records that had completed when the log was
// opened.
func (l *Log) Completed() int {
	n := 0
	for i := range l.done {
		if l.done[i].state == logDone {
			n++
		}
	}
	return n
}

// Failed returns the number of records that had failed when the log was opened
// and that Skip can leave out.
func (l *Log) Failed() int {
	n := 0
	for i := range l.done {
		if state := l.done[i].state; state == logFailed || state == logUnread {
			n++
		}
	}
	return n
}

// Left returns the number of logged records that Skip was not called for: after
// a complete run, those that the input lacks.
func (l *Log) Left() int {
	n := -l.matched
	for i := range l.done {
		if l.done[i].state != logNone {
			n++
		}
	}
	return n
}

// Append adds a record that has ended. exit is 0 if it completed; offset is the
// end of its output in the output file, or -1 if unknown. Flush writes the
// line, or Append itself when there are many.
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
	l.addLine(line, offset)
	if len(l.pending) >= maxUnwritten {
		return l.Flush()
	}
	return nil
}

// Flush calls Before and writes the pending lines.
func (l *Log) Flush() error {
	if l.Before != nil {
		if err := l.Before(); err != nil {
			return err
		}
	}
	return l.write()
}

// Close closes the log without writing pending lines.
func (l *Log) Close() error { return l.f.Close() }

func hash(b []byte) (h [sha256.Size / 2]byte) {
	sum := sha256.Sum256(b)
	copy(h[:], sum[:])
	return h
}
