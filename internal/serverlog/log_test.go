package serverlog

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// testPatience is the time after which a test fails that waits.
const testPatience = 30 * time.Second

// TestSyslog reads the datagrams of a log to syslog.
func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	there, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Skipf("no datagram sockets on this system: %v", err)
	}
	defer there.Close()
	defer func(paths []string) { syslogSockets = paths }(syslogSockets)
	syslogSockets = []string{path}

	l, err := Open(Options{Syslog: true})
	if err != nil {
		t.Fatal(err)
	}
	log := l.Logger.With("a", 1)
	log.Warn("two\nlines", "b", 2)
	log.Error("bad")
	l.Close()
	for _, want := range []string{
		`^<28>... .\d ..:..:.. gm\[\d+\]: level=WARN msg="two\\nlines" a=1 b=2$`,
		`^<27>... .\d ..:..:.. gm\[\d+\]: level=ERROR msg=bad a=1$`,
	} {
		buf := make([]byte, 1024)
		there.SetReadDeadline(time.Now().Add(testPatience)) //nolint:errcheck // the read fails then
		n, _, err := there.ReadFrom(buf)
		if err != nil || !regexp.MustCompile(want).Match(buf[:n]) {
			t.Errorf("got %q, %v, want %s", buf[:n], err, want)
		}
	}
}

// TestOpenFails checks that the errors name the operation, and that a failed Open leaves
// no open file.
func TestOpenFails(t *testing.T) {
	defer func(paths []string) { syslogSockets = paths }(syslogSockets)
	syslogSockets = []string{filepath.Join(t.TempDir(), "nosuch")}
	dir := t.TempDir()
	for want, o := range map[string]Options{
		"open log: ":    {File: filepath.Join(dir, "no", "such"), Output: &bytes.Buffer{}},
		"open syslog: ": {File: filepath.Join(dir, "log"), Syslog: true, Output: &bytes.Buffer{}},
	} {
		if l, err := Open(o); l != nil || err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, %v, want an error with %q", l, err, want)
		}
	}
}

// TestLogFile writes to a file and to stderr, changes the level, and reopens the file.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var stderr bytes.Buffer
	l, err := Open(Options{Level: slog.LevelInfo, JSON: true, Output: &stderr, Stderr: true, File: path})
	if err != nil {
		t.Fatal(err)
	}
	l.Logger.Debug("one")
	l.Level.Set(slog.LevelDebug)
	l.Logger.Debug("two")
	moved := path + ".1"
	if err := os.Rename(path, moved); err != nil {
		t.Skipf("an open file cannot be moved: %v", err)
	}
	l.Reopen()
	l.Logger.Info("three")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for name, got := range map[string]string{"stderr": stderr.String(), "files": readFile(t, moved) + readFile(t, path)} {
		if strings.Contains(got, `"one"`) || !strings.Contains(got, `"msg":"two"`) || !strings.Contains(got, `"msg":"three"`) {
			t.Errorf("%s: got %s, want two and three", name, got)
		}
	}
	if text := readFile(t, path); !strings.Contains(text, `"three"`) {
		t.Errorf("the new file has %q", text)
	}
}

// TestReopenKeepsTheOldFile reopens a file whose directory is gone.
func TestReopenKeepsTheOldFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := Open(Options{Output: &bytes.Buffer{}, File: filepath.Join(dir, "log")})
	if err != nil {
		t.Fatal(err)
	}
	moved := dir + ".1"
	if err := os.Rename(dir, moved); err != nil {
		t.Skipf("a directory with an open file cannot be moved: %v", err)
	}
	l.Reopen()
	l.Close()
	if text := readFile(t, filepath.Join(moved, "log")); !strings.Contains(text, "cannot reopen the log file") {
		t.Errorf("the old file has %q, want the error", text)
	}
}

// TestLogWithoutOutputKnowsItsLevel checks that lines below the level are not made.
func TestLogWithoutOutputKnowsItsLevel(t *testing.T) {
	l, err := Open(Options{Level: slog.LevelWarn, Output: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Logger.Enabled(t.Context(), slog.LevelInfo) || !l.Logger.Enabled(t.Context(), slog.LevelWarn) {
		t.Error("the level is not that of Options")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
