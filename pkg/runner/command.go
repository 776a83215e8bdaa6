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

// Variables that the runner itself sets in a child's environment. What the base
// environment says of them never reaches a child: it speaks of the parent's job.
const (
	controlVar = "GM_CONTROL_FD" // the number of the control pipe, set with Job.Control
	markerVar  = "GM_JOB"        // tells the processes of one job, set after Subreap
)

var (
	// ErrNotFound says that there is no file to execute. A shell's code for it is 127.
	ErrNotFound = errors.New("executable file not found in $PATH")
	// ErrNotExecutable says that the file is there but cannot be executed. A shell's code for it is 126.
	ErrNotExecutable = errors.New("file is not executable")
	// ErrLineTooLong is a Result's StdoutErr when a line outgrew Command.MaxLine.
	ErrLineTooLong = errors.New("line too long")
)

// Command is what is the same for every job. It may serve any number of Runs at
// once; its fields are not to be changed after the first, nor is it to be copied.
type Command struct {
	// Args is the program and its arguments. A program without a slash is looked
	// for in this process's $PATH, once; with one, it is relative to Dir.
	Args []string
	// Shell has `/bin/sh -c` run the Args, joined by blanks, as a script.
	Shell bool
	// Dir is the child's working directory; empty means this process's own.
	Dir string
	// Env is the environment, KEY=value each, the last of a key counting; nil
	// means this process's own, as it is at the first Run.
	Env []string

	// Timeout is how long a child may run before it is stopped; 0 means for ever.
	Timeout time.Duration
	// KillAfter is the time between SIGTERM and SIGKILL; 0 means 5 s.
	KillAfter time.Duration
	// Pdeathsig is the signal that a child gets should this process die, even by
	// SIGKILL; 0 means none. Linux only, ignored elsewhere. The kernel watches the
	// thread that started the child, not the process, so it is not for a program
	// in which a goroutine returns while locked to its thread: that ends the
	// thread. It reaches the child alone, not what the child has started: see Guard.
	Pdeathsig syscall.Signal

	// Lines hands stdout on one line at a time, whatever its length up to MaxLine,
	// the newline included; only the last may lack it.
	Lines bool
	// MaxLine bounds, in bytes, the memory that Lines may take; 0 means 64 MiB. A
	// longer line stops the child with ErrLineTooLong.
	MaxLine int

	// Stderr gets a copy of what children write to stderr, in whole lines unless
	// one is longer than 32 KiB. Writes are made one at a time, also by Runs in
	// parallel; one that blocks holds up its job; its errors are ignored.
	Stderr io.Writer
	// StderrTail is how many of stderr's last bytes a Result keeps; 0 means 4 KiB,
	// less than 0 none.
	StderrTail int

	stderrMu sync.Mutex // held while writing to Stderr

	mu      sync.Mutex
	path    string   // where Args[0] was found
	baseEnv []string // Env without repeated and runner's own keys; never nil once made
}

// Job is what differs from one Run to the next.
type Job struct {
	// Env is added to the command's environment and wins over it.
	Env []string
	// Stdin is the payload. It is not copied, nor kept after Run has returned.
	Stdin []byte
	// Stdout is given what the child writes, in chunks of at most 64 KiB unless
	// Command.Lines says otherwise, by one goroutine; nil discards it. A chunk is
	// valid during the call only. While it blocks the child is not read, but still
	// stopped when its time is up. An error ends the pipe and stops the child.
	Stdout func(chunk []byte) error
	// Control, if not nil, is given each line, without its newline, that a process
	// of the job writes to file descriptor GM_CONTROL_FD. Lines come one at a time,
	// but beside Stdout's calls. One of over 64 KiB comes in pieces of 64 KiB.
	Control func(line string)
	// Kill, once closed, is answered by SIGKILL to the job without further delay.
	Kill <-chan struct{}
}

// Check reports whether the program is there to be executed: nil, or the error
// that every Run would have as its StartErr.
func (c *Command) Check() error {
	_, err := c.lookPath()
	return err
}

// killAfter is KillAfter with its default.
func (c *Command) killAfter() time.Duration {
	if c.KillAfter == 0 {
		return defaultKillAfter
	}
	return c.KillAfter
}

// stderrTail is StderrTail with its default, 0 for none.
func (c *Command) stderrTail() int {
	if c.StderrTail == 0 {
		return defaultStderrTail
	}
	return max(c.StderrTail, 0)
}

// argv returns the path to execute and the arguments to give to it.
func (c *Command) argv() (string, []string, error) {
	if c.Shell {
		return "/bin/sh", []string{"sh", "-c", strings.Join(c.Args, " ")}, nil
	}
	path, err := c.lookPath()
	return path, c.Args, err
}

// lookPath finds Args[0]. Success is remembered; a failure is not, for the
// program may yet be installed.
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

// forgetPath makes the next Run look for the program again.
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

// startError is why a child could not be started.
type startError struct {
	name string
	kind error // ErrNotFound, ErrNotExecutable or nil
	err  error
}

// newStartError tells the kinds of failure apart as shells do.
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
