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
	pending   []byte    // lines
	done      []logged  // by sequence, from 1
	functions []string  // that are in it; hardly ever more than one
	output    LogOutput // when the log was opened
	matched   int       // entries that Skip was asked about
}

// LogOutput is what a Log says of the file that has the records' output. It is
// a line with seq 0 where a run begins, and another one where a run ends.
type LogOutput struct {
	// File is the name that the system has for it, whatever it is called; empty
	// if that is not known.
	File string `json:"file,omitempty"`
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
// ErrLogged refuses a file that is not empty.
func OpenLog(path string, resume bool) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{f: f, output: LogOutput{Offset: -1}}
	if err := l.begin(resume); err != nil {
		f.Close()
		return nil, fmt.Errorf("open log: %s: %w", path, err)
	}
	return l, nil
}

func (l *Log) begin(resume bool) error {
	if !resume {
		info, err := l.f.Stat()
		if err == nil && info.Size() > 0 {
			err = ErrLogged
		}
		return err
	}
	lines := NewSplitter(l.f, []byte("\n"), true, 0)
	var whole int64
	for n := 1; ; n++ {
		line, err := lines.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !bytes.HasSuffix(line.Payload, []byte("\n")) {
			break
		}
		if err := l.read(line.Payload); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		whole += int64(len(line.Payload))
	}
	if err := l.f.Truncate(whole); err != nil {
		return err
	}
	_, err := l.f.Seek(whole, io.SeekStart)
	return err
}

// What a damaged log can make of memory is bounded.
const (
	maxGap       = 1 << 24 // no batch has as many records in flight
	maxFunctions = 1 << 10
)

func (l *Log) read(line []byte) error {
	var e Entry
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
	is := logged{function: uint16(function), state: logDone}
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
	copy(is.hash[:], sum)
	for len(l.done) < e.Seq {
		l.done = append(l.done, logged{})
	}
	l.done[e.Seq-1] = is
	return nil
}

// Begin notes where a run's output begins: without that, output that was
// written before an entry could not be told from what the file had before.
func (l *Log) Begin(file string, offset int64) error {
	return l.mark(LogOutput{File: file, Offset: offset})
}

// End notes that a run has ended by itself, and has its output up to offset.
func (l *Log) End(file string, offset int64) error {
	if err := l.Flush(); err != nil {
		return err
	}
	return l.mark(LogOutput{File: file, Offset: offset, Ended: true})
}

func (l *Log) mark(o LogOutput) error {
	line, err := json.Marshal(struct {
		Seq int `json:"seq"`
		LogOutput
	}{0, o})
	if err == nil {
		_, err = l.f.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
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
	l.pending = append(append(l.pending, line...), '\n')
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
	lines := l.pending
	l.pending = l.pending[:0]
	if len(lines) == 0 {
		return nil
	}
	if _, err := l.f.Write(lines); err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	return nil
}

// Close closes the log without writing what Flush has not written.
func (l *Log) Close() error { return l.f.Close() }

func hash(b []byte) (h [sha256.Size / 2]byte) {
	sum := sha256.Sum256(b)
	copy(h[:], sum[:])
	return h
}
