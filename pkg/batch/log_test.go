package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/gearman"
)

func logPath(t *testing.T) string { return filepath.Join(t.TempDir(), "log") }

func openLog(t *testing.T, path string, resume bool) *Log {
	t.Helper()
	l, err := OpenLog(path, resume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func logRecord(seq int, payload string) *Record {
	return &Record{Seq: seq, Payload: []byte(payload), Function: "f"}
}

func appendAll(t *testing.T, l *Log, exit int, records ...*Record) {
	t.Helper()
	for _, r := range records {
		if err := l.Append(r, exit, -1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestLogLine(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, false)
	began := time.Date(2030, 1, 2, 3, 4, 5, 6_789_000, time.UTC)
	r := &Record{
		Seq: 7, Name: "a.txt", Unique: "#", Handle: "H:x:1", Server: gearman.Server{Network: "tcp", Addr: "h:4730"},
		Function: "f|g", Payload: []byte("hello"), Bytes: 12, Attempts: 2, Started: began, Ended: began.Add(time.Second),
		Err: errors.New("bad \"thing\""),
	}
	if err := l.Append(r, 3, 99); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, 0, &Record{Seq: 8, Function: "f", Started: began, Ended: began}, &Record{Seq: 9, Function: "f", Unread: true, Started: began, Ended: began})
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seq":7,"name":"a.txt","unique":"2cf24dba5fb0a30e26e83b2ac5b9e29e","handle":"H:x:1","server":"h:4730","function":"f|g",` +
		`"start":"2030-01-02T03:04:05.006Z","end":"2030-01-02T03:04:06.006Z","in":5,"out":12,"attempts":2,"exit":3,` +
		`"error":"bad \"thing\"","hash":"2cf24dba5fb0a30e26e83b2ac5b9e29e","offset":99}
{"seq":8,"function":"f","start":"2030-01-02T03:04:05.006Z","end":"2030-01-02T03:04:05.006Z","in":0,"out":0,"attempts":0,"exit":0,"hash":"e3b0c44298fc1c149afbf4c8996fb924"}
{"seq":9,"function":"f","start":"2030-01-02T03:04:05.006Z","end":"2030-01-02T03:04:05.006Z","in":0,"out":0,"attempts":0,"exit":0}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(string(got)) {
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Error(err)
		}
	}
}

func TestLogSkip(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, false)
	appendAll(t, l, 0, logRecord(1, "a"), logRecord(3, "c"), logRecord(300, "z"))
	appendAll(t, l, 1, logRecord(2, "b"), &Record{Seq: 5, Function: "f", Unread: true})
	l.Close()

	unread := &Record{Seq: 1, Function: "f", Unread: true, Err: errors.New("gone")}
	other := logRecord(1, "a")
	other.Function = "g"
	tests := []struct {
		name        string
		r           *Record
		skip, retry bool // without and with retryFailed
		err         string
	}{
		{"done", logRecord(1, "a"), true, true, ""},
		{"failed", logRecord(2, "b"), true, false, ""},
		{"in a gap", logRecord(4, "d"), false, false, ""},
		{"was not readable", logRecord(5, "e"), true, false, ""},
		{"done, not readable any more", unread, true, true, ""},
		{"beyond", logRecord(301, "y"), false, false, ""},
		{"another payload", logRecord(3, "x"), false, false, "record 3 is not the one that was logged: its hash is another"},
		{"failed, another payload", logRecord(2, "x"), false, false, "record 2 is not the one that was logged: its hash is another"},
		{"another function", other, false, false, "record 1 went to f when it was logged, not to g"},
	}
	l = openLog(t, path, true)
	if n := l.Left(); n != 5 {
		t.Errorf("got %d entries left, want 5", n)
	}
	for _, tt := range tests {
		for retry, want := range map[bool]bool{false: tt.skip, true: tt.retry} {
			got, err := l.Skip(retry)(tt.r)
			if text := fmt.Sprint(err); tt.err != "" && text != tt.err || tt.err == "" && err != nil {
				t.Errorf("%s: got error %s, want %s", tt.name, text, tt.err)
			}
			if got != want {
				t.Errorf("%s, retry %t: got %t, want %t", tt.name, retry, got, want)
			}
		}
	}
}

// The last entry of a record counts, and so does the last offset.
func TestLogResumesTwice(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, false)
	if l.Output().Offset >= 0 {
		t.Error("got an offset of an empty log")
	}
	appendAll(t, l, 1, logRecord(1, "a"))
	l.Close()
	l = openLog(t, path, true)
	if skip, err := l.Skip(true)(logRecord(1, "a")); skip || err != nil {
		t.Errorf("got %t, %v, want to try a failed record again", skip, err)
	}
	if err := l.Append(logRecord(1, "a"), 0, 50); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = openLog(t, path, true)
	if skip, err := l.Skip(true)(logRecord(1, "a")); !skip || err != nil {
		t.Errorf("got %t, %v, want to leave out what went well at last", skip, err)
	}
	if offset := l.Output().Offset; offset != 50 {
		t.Errorf("got offset %d, want 50", offset)
	}
	if n := l.Left(); n != 0 {
		t.Errorf("got %d entries left, want none", n)
	}
}

// A line that was cut by the end of the process counts for nothing, and the next
// one does not stick to it.
func TestLogTornLine(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, false)
	appendAll(t, l, 0, logRecord(1, "a"), logRecord(2, "b"))
	l.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.IndexByte(string(whole), '\n') + 1
	for cut := first; cut < len(whole); cut++ {
		if err := os.WriteFile(path, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		l := openLog(t, path, true)
		skip := l.Skip(false)
		for seq, want := range map[int]bool{1: true, 2: false} {
			if got, err := skip(logRecord(seq, string(rune('a'+seq-1)))); got != want || err != nil {
				t.Fatalf("cut at %d, record %d: got %t, %v, want %t", cut, seq, got, err, want)
			}
		}
		appendAll(t, l, 0, logRecord(2, "b"))
		l.Close()
		if got, _ := os.ReadFile(path); string(got) != string(whole) {
			t.Fatalf("cut at %d: got\n%s\nwant\n%s", cut, got, whole)
		}
	}
}

// TestLogReadsLargeSizes resumes a log with sizes that an int of 32 bits does not
// hold.
func TestLogReadsLargeSizes(t *testing.T) {
	path := logPath(t)
	text := `{"seq":1,"function":"f","start":"2030-01-02T03:04:05Z","in":5000000000,"out":6000000000}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, path, true)
	defer l.Close()
	if got := l.done[0].out; got != 6000000000 {
		t.Errorf("got a result of %d bytes, want 6000000000", got)
	}
}

func TestLogRefuses(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, false)
	appendAll(t, l, 0, logRecord(1, "a"))
	l.Close()
	if _, err := OpenLog(path, false); !errors.Is(err, ErrLogged) {
		t.Errorf("got %v, want %v", err, ErrLogged)
	}
	for text, want := range map[string]string{
		"{\"seq\":0,\"hash\":\"\"}\n":                                            "line 1: record 0 can't follow the ones before",
		"{\"seq\":1,\"function\":\"f\",\"state\":\"completed\"}\n":               "line 1: record 1 has no start",
		"{\"seq\":5000000000}\n":                                                 "line 1: record 5000000000 can't follow the ones before",
		"{\"seq\":1,\"hash\":\"abc\"}\n":                                         `line 1: hash "abc" of record 1 is none`,
		"{\"seq\":1,\"hash\":\"abcd\"}\n":                                        `line 1: hash "abcd" of record 1 is none`,
		"{\"seq\":1,\"function\":\"f\",\"start\":\"2030-01-02T03:04:05Z\"}\nx\n": "line 2: invalid character 'x' looking for beginning of value",
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLog(path, true); !errors.Is(err, ErrNotLog) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("got %q, want it as it was", got)
		}
	}
}

// Output is written before its lines, and lines that fail to be preceded by it
// are not written.
func TestLogBefore(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, false)
	full := errors.New("disk full")
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	calls := 0
	l.Before = func() error {
		calls++
		return full
	}
	if err := l.Append(logRecord(1, "a"), 0, -1); err != nil || calls != 0 || size() != 0 {
		t.Errorf("got %v, %d calls, %d bytes, want a line that waits", err, calls, size())
	}
	if err := l.Flush(); !errors.Is(err, full) || size() != 0 {
		t.Errorf("got %v and %d bytes, want %v", err, size(), full)
	}
	l.Before = func() error {
		calls++
		return nil
	}
	calls = 0
	for seq := 2; calls == 0 && seq < 10_000; seq++ {
		if err := l.Append(logRecord(seq, "a"), 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	if n := size(); n < maxUnwritten || n > 2*maxUnwritten {
		t.Errorf("got %d bytes written without a Flush, want about %d", n, maxUnwritten)
	}
}

// A batch that is stopped at any record and resumed does each record once.
func TestLogResume(t *testing.T) {
	const records = 40
	for _, unordered := range []bool{false, true} {
		for stop := range records {
			path := filepath.Join(t.TempDir(), "log")
			done := map[int]int{}
			errStop := errors.New("stop")
			run := func(resume bool, stop int) (Summary, error) {
				l := openLog(t, path, resume)
				defer l.Close()
				var sum Summary
				var err error
				synctest.Test(t, func(t *testing.T) {
					n := 0
					c := &fakeClient{job: brackets}
					defer c.tasks.Wait()
					b := &Batch{Client: c, Task: gearman.Task{Function: "f"}, Window: 5, Unordered: unordered}
					b.Skip = l.Skip(false)
					b.Done = func(r *Record) error {
						if n++; n > stop {
							return errStop
						}
						done[r.Seq]++
						return l.Append(r, 0, -1)
					}
					b.Flush = l.Flush
					sum, err = b.Run(t.Context(), numbered(records))
					if flushErr := l.Flush(); flushErr != nil {
						t.Error(flushErr)
					}
				})
				return sum, err
			}
			if _, err := run(false, stop); !errors.Is(err, errStop) {
				t.Fatalf("got %v, want %v", err, errStop)
			}
			sum, err := run(true, records)
			if want := (Summary{Records: records - stop, Skipped: stop}); err != nil || sum != want {
				t.Errorf("stopped after %d: got %+v, %v, want %+v", stop, sum, err, want)
			}
			for seq := 1; seq <= records; seq++ {
				if done[seq] != 1 {
					t.Errorf("stopped after %d: record %d was done %d times", stop, seq, done[seq])
				}
			}
		}
	}
}

// FuzzLog checks that any file is either read or refused unchanged, and that
// appended entries can be read again.
func FuzzLog(f *testing.F) {
	f.Add([]byte("{\"seq\":1,\"function\":\"f\",\"hash\":\"2cf24dba5fb0a30e26e83b2ac5b9e29e\",\"exit\":1,\"offset\":9}\n"))
	f.Add([]byte("{\"seq\":3,\"start\":\"2030-01-02T03:04:05.006Z\"}\n{\"seq\":2"))
	f.Add([]byte("\n"))
	large := regexp.MustCompile(`"seq": *[0-9]{6}`)
	f.Fuzz(func(t *testing.T, content []byte) {
		if large.Match(content) {
			t.Skip("a sequence in the millions takes its time")
		}
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		l, err := OpenLog(path, true)
		if err != nil {
			if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
				t.Fatalf("refused with %v, and changed to %q", err, got)
			}
			return
		}
		r := logRecord(7, "x")
		err = errors.Join(l.Append(r, 0, 5), l.Flush(), l.Close())
		if err != nil {
			t.Fatal(err)
		}
		l, err = OpenLog(path, true)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if skip, err := l.Skip(false)(r); !skip || err != nil {
			t.Errorf("got %t, %v, want to skip what was appended", skip, err)
		}
		if offset := l.Output().Offset; offset != 5 {
			t.Errorf("got offset %d, want 5", offset)
		}
	})
}

// A file that is no log is left unchanged, however it ends; neither reading a
// log nor refusing it changes a byte.
func TestLogLeavesOtherFiles(t *testing.T) {
	torn := `{"seq":1,"function":"f","start":"2030-01-02T03:04:05Z","hash":"` // a killed run's
	for name, tt := range map[string]struct {
		text   string
		resume error // nil: it is a log
	}{
		"a letter":      {"Dear all,", ErrNotLog},
		"a few letters": {"Dear all,\nkind regards", ErrNotLog},
		"a byte":        {"x", ErrNotLog},
		"a newline":     {"\n", ErrNotLog},
		"binary":        {"\x7fELF\x00\x00\x00", ErrNotLog},
		"other JSON":    {"{\"a\":1}\n", ErrNotLog},
		"an array":      {"[", ErrNotLog},
		"parallel's":    {"Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n", ErrNotLog},
		"one long line": {strings.Repeat("x", maxLine+1), ErrNotLog},
		"a torn log":    {torn, nil},
	} {
		path := logPath(t)
		if err := os.WriteFile(path, []byte(tt.text), 0o666); err != nil {
			t.Fatal(err)
		}
		same := func(who string) {
			if got, _ := os.ReadFile(path); string(got) != tt.text {
				t.Errorf("%s: %s left %d bytes, want the %d as they were", name, who, len(got), len(tt.text))
			}
		}
		if _, err := OpenLog(path, false); !errors.Is(err, ErrLogged) {
			t.Errorf("%s: got %v, want ErrLogged", name, err)
		}
		same("OpenLog")
		if _, err := ReadLog(path); !errors.Is(err, tt.resume) {
			t.Errorf("%s: got %v, want %v", name, err, tt.resume)
		}
		same("ReadLog")
		if tt.resume == nil {
			continue
		}
		if _, err := OpenLog(path, true); !errors.Is(err, ErrNotLog) {
			t.Errorf("%s: got %v, want ErrNotLog", name, err)
		}
		same("OpenLog with resume")
	}
}

// When output could not be written, only the records whose output is there get
// a line.
func TestLogRetract(t *testing.T) {
	for written, want := range map[int64]struct {
		end   int64
		lines int
	}{5: {5, 0}, 9: {5, 0}, 10: {10, 1}, 25: {20, 2}, 30: {30, 3}} {
		path := logPath(t)
		l := openLog(t, path, false)
		if err := l.Begin(LogOutput{File: "f", Offset: 5}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := l.Append(logRecord(i+1, "a"), 0, int64(10*i+10)); err != nil {
				t.Fatal(err)
			}
		}
		if end := l.Retract(written); end != want.end {
			t.Errorf("written %d: got end %d, want %d", written, end, want.end)
		}
		if err := l.End(LogOutput{File: "f", Offset: want.end}); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, path, true)
		if got := l.Completed(); got != want.lines || l.Output().Offset != want.end {
			t.Errorf("written %d: got %d records up to %d, want %+v", written, got, l.Output().Offset, want)
		}
	}
	l := openLog(t, logPath(t), false)
	if err := l.Append(logRecord(1, "a"), 0, -1); err != nil {
		t.Fatal(err)
	}
	l.Retract(-1) // it is not known where the output ends
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if info, err := l.f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("got a line of a record whose output may be lost, error %v", err)
	}
}
