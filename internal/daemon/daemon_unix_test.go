//go:build unix

package daemon

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// childVariable names the task of a process that Start has started in a test, and
// fileVariable the file that it writes.
const (
	childVariable = "GM_TEST_DAEMON"
	fileVariable  = "GM_TEST_DAEMON_FILE"
)

// testPatience is the time after which a test fails that waits.
const testPatience = 30 * time.Second

// TestMain is the main function of the processes that Start starts, too: they have the
// arguments of the test.
func TestMain(m *testing.M) {
	if os.Getenv(readyVariable) == "" {
		os.Exit(m.Run())
	}
	switch os.Getenv(childVariable) {
	case "ready":
		os.Exit(reportReady())
	case "fail":
		os.Exit(7)
	case "signal":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		os.WriteFile(os.Getenv(fileVariable), nil, 0o600) //nolint:errcheck // the test notices it
		select {
		case <-signals:
			os.Exit(9)
		case <-time.After(testPatience):
		}
	}
	os.Exit(1)
}

// reportReady reports twice that this process is ready. Then it writes its state into a
// file: whether the variable is there, and the first error.
func reportReady() int {
	report := ReadyReporter()
	state := "detached"
	if _, there := os.LookupEnv(readyVariable); there {
		state = readyVariable + " is set"
	}
	if err := errors.Join(report(), report()); err != nil {
		state = err.Error()
	}
	if _, err := os.Stdout.Stat(); err != nil {
		state = err.Error()
	}
	file := os.Getenv(fileVariable)
	if os.WriteFile(file+".new", []byte(state), 0o600) != nil || os.Rename(file+".new", file) != nil {
		return 1
	}
	return 0
}

// startChild calls Start for a process with a task. It returns the path of its file, and
// the channel of Start's error.
func startChild(t *testing.T, task string, signals <-chan os.Signal) (file string, done <-chan error) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "state")
	t.Setenv(childVariable, task)
	t.Setenv(fileVariable, file)
	started := make(chan error, 1)
	go func() { started <- Start(signals) }()
	return file, started
}

// waitForFile returns the text of a file when it exists.
func waitForFile(t *testing.T, file string) string {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(testPatience); ; {
		if text, err := os.ReadFile(file); err == nil {
			return string(text)
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("no file %s within %v", file, testPatience)
		}
	}
}

func waitForStart(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(testPatience):
		t.Fatalf("Start does not return within %v", testPatience)
		return nil
	}
}

func TestStartReturnsWhenTheProcessIsReady(t *testing.T) {
	file, done := startChild(t, "ready", nil)
	if err := waitForStart(t, done); err != nil {
		t.Fatal(err)
	}
	if state := waitForFile(t, file); state != "detached" {
		t.Errorf("the process is %q, want detached", state)
	}
}

func TestStartReturnsTheExitCode(t *testing.T) {
	_, done := startChild(t, "fail", nil)
	var exit *exec.ExitError
	if err := waitForStart(t, done); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("got %v, want exit code 7", err)
	}
}

func TestStartPassesSignalsOn(t *testing.T) {
	signals := make(chan os.Signal, 1)
	file, done := startChild(t, "signal", signals)
	waitForFile(t, file)
	signals <- syscall.SIGTERM
	var exit *exec.ExitError
	if err := waitForStart(t, done); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("got %v, want exit code 9", err)
	}
}

func TestReadyReporterWithoutStart(t *testing.T) {
	if ReadyReporter() != nil {
		t.Error("got a function, want nil")
	}
}

func TestSwitchUser(t *testing.T) {
	if err := SwitchUser("no-such-user"); !errors.As(err, new(*LookupError)) {
		t.Errorf("an unknown user: got %v, want a LookupError", err)
	}
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if err := SwitchUser(u.Username); err != nil {
		t.Errorf("the user of the process: %v", err)
	}
	if os.Geteuid() != 0 {
		if err := SwitchUser("root"); !errors.Is(err, ErrNotRoot) {
			t.Errorf("another user: got %v, want %v", err, ErrNotRoot)
		}
	}
}

// TestLimitFiles sets the soft limit, and back.
func TestLimitFiles(t *testing.T) {
	var before, after syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) //nolint:errcheck // only this process has the other limit
	if err := LimitFiles(200); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &after); err != nil || after.Cur != 200 || after.Max < 200 {
		t.Errorf("got %+v, %v, want 200 and %d", after, err, before.Max)
	}
}
