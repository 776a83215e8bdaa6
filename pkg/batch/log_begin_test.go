package batch

import (
	"os"
	"testing"
)

// A log knows where the output begins before it has an entry, and a record that
// has not ended is not left out.
func TestLogBegin(t *testing.T) {
	path := logPath(t)
	l := openLog(t, path, true)
	if err := l.Begin(LogOutput{File: "f", Offset: 17}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{17, 30} {
		l = openLog(t, path, true)
		if got, want := l.Output(), (LogOutput{File: "f", Offset: want}); got != want {
			t.Errorf("got output %+v, want %+v", got, want)
		}
		if err := l.Begin(LogOutput{File: "f", Offset: 99}); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(logRecord(1, "a"), ExitAgain, 30); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.End(LogOutput{File: "f", Offset: 31}); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, path, true)
	if got, want := l.Output(), (LogOutput{File: "f", Offset: 31, Ended: true}); got != want {
		t.Errorf("got output %+v, want %+v", got, want)
	}
	if out, err := l.Skip(false)(logRecord(1, "a")); out || err != nil {
		t.Errorf("got %t, %v, want a record that is done again", out, err)
	}
	if _, err := l.Skip(false)(logRecord(1, "b")); err == nil {
		t.Error("got no error of a record that has changed")
	}
	appendAll(t, l, 1, logRecord(2, "b"))
	appendAll(t, l, 0, logRecord(3, "c"))
	if got := openLog(t, path, true).Failed(); got != 1 {
		t.Errorf("got %d records that failed, want 1", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(text[:len(`{"seq":0,"file":"f","offset":17}`)]), `{"seq":0,"file":"f","offset":17}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
