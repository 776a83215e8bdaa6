package runner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	defaultKillAfter  = 5 * time.Second
	defaultStderrTail = 4 << 10
	defaultMaxLine    = 64 << 20
)

// Variables that the runner sets in the environment of a child. A child never gets
// their values from the base environment, which are those of a parent job.
const (
	controlVar = "GM_CONTROL_FD" // the number of the control pipe, set with Job.Control
	markerVar  = "GM_JOB"        // identifies the processes of one job, set after Subreap
)

var (
	// ErrNotFound is returned when there is no file to execute. Shells exit with 127.
	ErrNotFound = errors.New("executable file not found in $PATH")
	// ErrNotExecutable is returned when the file cannot be executed. Shells exit with
	// 126.
	ErrNotExecutable = errors.New("file is not executable")
	// ErrLineTooLong is Result.StdoutErr when a line was longer than Command.MaxLine.
	ErrLineTooLong = errors.New("line too long")
)

// Command has the settings that all jobs share. Any number of Runs may use it at the
// same time. It must not be copied, and its fields must not change after the first
// Run.
type Command struct {
	// Args is the program and its arguments. A program without a slash is searched
	// for once in this process's $PATH. A path with a slash is relative to Dir.
	Args []string
	// Shell runs Args, joined by blanks, as a script of /bin/sh -c.
	Shell bool
	// Dir is the working directory of the child; empty means that of this process.
	Dir string
	// Env is the environment, with elements of the form KEY=value; the last one of a
	// key is used. nil means the environment of this process at the first Run.
	Env []string

	// Timeout is the time after which a child is stopped; 0 means no limit.
	Timeout time.Duration
	// KillAfter is the time between SIGTERM and SIGKILL; 0 means 5 s.
	KillAfter time.Duration
	// Pdeathsig is the signal that a child gets if this process ends, even by
	// SIGKILL; 0 means none. Only Linux has it; other systems ignore it. The kernel
	// watches the thread that started the child and not the process. So a program must
	// not use it if one of its goroutines returns while it is locked to its thread,
	// because that ends the thread. Only the child gets the signal, and not its
	// descendants; see Guard.
	Pdeathsig syscall.Signal

	// Lines passes on stdout one line at a time, including the newline, which only
	// the last line may lack.
	Lines bool
	// MaxLine is the maximum length of a line in bytes; 0 means 64 MiB. A longer line
	// stops the child with ErrLineTooLong.
	MaxLine int

	// Stderr gets a copy of the stderr of all children, in whole lines up to 32 KiB.
	// It gets one write at a time, even from parallel Runs. A write that blocks delays
	// its job. Errors are ignored.
	Stderr io.Writer
	// StderrTail is the number of bytes that a Result keeps from the end of stderr. 0
	// means 4 KiB, a negative number keeps none.
	StderrTail int

	stderrMu sync.Mutex // held while writing to Stderr

	mu      sync.Mutex
	path    string   // the path of Args[0]
	baseEnv []string // Env without repeated keys and the runner's own; nil before the first use
}

// Job has the settings of one Run.
type Job struct {
	// Env is added to the environment of the command, and replaces equal keys.
	Env []string
	// Stdin is the payload. It is not copied, and not used after the return of Run.
	Stdin []byte
	// Stdout is called by one goroutine with the output of the child, in chunks of at
	// most 64 KiB, or with Command.Lines one line at a time. nil discards the output. A
	// chunk is valid only during the call. While Stdout blocks, the child's output is
	// not read, but timeouts still stop the child. An error closes the pipe and stops
	// the child.
	Stdout func(chunk []byte) error
	// Control, if not nil, is called with each line, without its newline, that a
	// process of the job writes to the file descriptor GM_CONTROL_FD. It gets one line
	// at a time, possibly at the same time as a call of Stdout. A line over 64 KiB is
	// split into pieces of 64 KiB.
	Control func(line string)
	// Kill, when it is closed, sends SIGKILL to the job immediately.
	Kill <-chan struct{}
}

// Check returns nil if the program can be executed, or the error that every Run
// would return as Result.StartErr.
func (c *Command) Check() error {
	_, err := c.lookPath()
	return err
}

// killAfter returns KillAfter or its default.
func (c *Command) killAfter() time.Duration {
	if c.KillAfter == 0 {
		return defaultKillAfter
	}
	return c.KillAfter
}

// stderrTail returns StderrTail or its default, 0 for none.
func (c *Command) stderrTail() int {
	if c.StderrTail == 0 {
		return defaultStderrTail
	}
	return max(c.StderrTail, 0)
}

// argv returns the path to execute and its arguments.
func (c *Command) argv() (string, []string, error) {
	if c.Shell {
		return "/bin/sh", []string{"sh", "-c", strings.Join(c.Args, " ")}, nil
	}
	path, err := c.lookPath()
	return path, c.Args, err
}

// lookPath finds Args[0]. It remembers a success, but not a failure, because the
// program may be installed later.
func (c *Command) lookPath() (string, error) {
	if c.Shell {
		return "/bin/sh", nil
	}
	if len(c.Args) == 0 || c.Args[0] == "" {
		return "", &startError{kind: ErrNotFound, err: errors.New("empty command")}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.path != "" {
		return c.path, nil
	}
	name := c.Args[0]
	if strings.ContainsRune(name, filepath.Separator) {
		at := name
		if c.Dir != "" && !filepath.IsAbs(at) {
			at = filepath.Join(c.Dir, name)
			if !strings.ContainsRune(at, filepath.Separator) {
				at = "." + string(filepath.Separator) + at
			}
		}
		if _, err := exec.LookPath(at); err != nil {
			return "", newStartError(name, err)
		}
		c.path = name
		return name, nil
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) && inPath(name) {
		err = fs.ErrPermission
	}
	if err != nil {
		return "", newStartError(name, err)
	}
	c.path = path
	return path, nil
}

// inPath reports whether any file of that name, executable or not, is in $PATH.
func inPath(name string) bool {
	return slices.ContainsFunc(filepath.SplitList(os.Getenv("PATH")), func(dir string) bool {
		if !filepath.IsAbs(dir) {
			return false
		}
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && !info.IsDir()
	})
}

// forgetPath makes the next Run search for the program again.
func (c *Command) forgetPath() {
	c.mu.Lock()
	c.path = ""
	c.mu.Unlock()
}

// environ returns the environment of one job: the runner's own variables over
// the job's over the command's.
func (c *Command) environ(job, own []string) []string {
	c.mu.Lock()
	if c.baseEnv == nil {
		c.baseEnv = baseEnv(c.Env)
	}
	base := c.baseEnv
	c.mu.Unlock()

	env := make([]string, 0, len(own)+len(job)+len(base))
	env = append(env, own...)
	for i := len(job) - 1; i >= 0; i-- {
		if !hasKey(env, job[i]) {
			env = append(env, job[i])
		}
	}
	over := env
	for _, e := range base {
		if !hasKey(over, e) {
			env = append(env, e)
		}
	}
	return env
}

func baseEnv(env []string) []string {
	if env == nil {
		env = os.Environ()
	}
	base := make([]string, 0, len(env))
	seen := map[string]bool{controlVar: true, markerVar: true}
	for _, e := range slices.Backward(env) {
		key, _, _ := strings.Cut(e, "=")
		if !seen[key] {
			seen[key] = true
			base = append(base, e)
		}
	}
	slices.Reverse(base)
	return base
}

// hasKey reports whether env holds an entry with the key of e.
func hasKey(env []string, e string) bool {
	end := strings.IndexByte(e, '=') + 1
	if end == 0 {
		return slices.Contains(env, e)
	}
	for _, have := range env {
		if strings.HasPrefix(have, e[:end]) {
			return true
		}
	}
	return false
}

// startError is the reason why a child could not be started.
type startError struct {
	name string
	kind error // ErrNotFound, ErrNotExecutable or nil
	err  error
}

// newStartError classifies a failure as shells do.
func newStartError(name string, err error) error {
	var inner *exec.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	e := &startError{name: name, err: err}
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, ErrNotFound):
		e.kind, e.err = ErrNotFound, ErrNotFound
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		e.kind = ErrNotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOEXEC):
		e.kind = ErrNotExecutable
	}
	return e
}

func (e *startError) Error() string {
	if e.name == "" {
		return fmt.Sprintf("start command: %v", e.err)
	}
	return fmt.Sprintf("start %s: %v", e.name, e.err)
}

func (e *startError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.kind, e.err}
}
