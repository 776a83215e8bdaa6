package runner

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A guard is a second process of the same program that outlives this one for a moment.
// It reads a pipe whose other end this process has, so that every end of this process
// wakes it. Then it kills the process groups of a table in shared memory, and all
// processes whose GM_JOB begins with the prefix of this process. A job costs two stores
// into the table and no system call.

// maxGroups is the number of process groups in the table. The guard finds the processes
// of further groups by their GM_JOB.
const maxGroups = 16 << 10

// guard is the state of this process's guard.
var guard struct {
	mu     sync.Mutex
	pipe   int                               // our end of the pipe; 0 before Guard
	groups atomic.Pointer[[maxGroups]uint32] // shared with the guard; nil before Guard
	next   atomic.Uint32                     // index at which the search for a free entry begins
}

// Guard starts a process that kills the processes of all jobs, including
// grandchildren, if this process ends before it has done so, for example by SIGKILL. The
// process is this program with the arguments args, of which the first is the program's
// name. Guard appends one argument, and the program must then call [RunGuard] with it.
// A program calls Guard once, after [Subreap], without which the guard does not find
// processes that have left the group of their job.
//
// Guard needs Linux; elsewhere it returns errors.ErrUnsupported, and the end of this
// process only closes the pipes of children.
func Guard(args ...string) error {
	guard.mu.Lock()
	defer guard.mu.Unlock()
	if guard.pipe != 0 {
		return nil
	}
	table, err := unix.MemfdCreate("groups", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("start guard: %w", os.NewSyscallError("memfd_create", err))
	}
	defer unix.Close(table)
	const size = maxGroups * 4
	if err := unix.Ftruncate(table, size); err != nil {
		return fmt.Errorf("start guard: %w", os.NewSyscallError("ftruncate", err))
	}
	shared, err := unix.Mmap(table, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("start guard: %w", os.NewSyscallError("mmap", err))
	}
	null, err := devNull()
	if err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	var ends [2]int
	if err := pipe(&ends); err != nil {
		return fmt.Errorf("start guard: %w", os.NewSyscallError("pipe", err))
	}
	defer syscall.Close(ends[0])
	ch := &child{pidfd: -1}
	err = ch.fork("/proc/self/exe", append(args[:len(args):len(args)], orphanage.prefix), &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Files: []uintptr{uintptr(ends[0]), null, null, uintptr(table)},
		Sys:   &syscall.SysProcAttr{Setsid: true}, // no signal of a terminal or a group reaches it
	})
	if err != nil {
		syscall.Close(ends[1])
		return fmt.Errorf("start guard: %w", err)
	}
	guard.pipe = ends[1]
	guard.groups.Store((*[maxGroups]uint32)(unsafe.Pointer(&shared[0])))
	return nil
}

// RunGuard is the main function of the guard. prefix is the argument that [Guard] has
// appended. RunGuard returns after the end of the guarded process, when no processes of
// its jobs are left.
func RunGuard(prefix string) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	var b [1]byte
	for {
		_, err := syscall.Read(0, b[:])
		if err != syscall.EINTR {
			break
		}
	}
	killGroups(3)
	if prefix != "" {
		killMarked(prefix)
	}
}

// killGroups kills the process groups of the table in a file.
func killGroups(fd int) {
	table := make([]byte, maxGroups*4)
	n, _ := unix.Pread(fd, table, 0)
	for i := 0; i+4 <= n; i += 4 {
		if pid := binary.NativeEndian.Uint32(table[i:]); pid > 1 {
			_ = syscall.Kill(-int(pid), syscall.SIGKILL)
		}
	}
}

// killMarked kills all processes whose GM_JOB begins with prefix, until it finds none. It
// repeats because a listing lacks processes that are just being forked.
func killMarked(prefix string) {
	const (
		most  = 100
		pause = 5 * time.Millisecond
	)
	for range most {
		if !killMarkedOnce(prefix) {
			return
		}
		time.Sleep(pause)
	}
}

// killMarkedOnce reads /proc once and reports whether it has found such processes.
func killMarkedOnce(prefix string) (found bool) {
	proc, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	self := os.Getpid()
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == self {
			continue
		}
		environ, err := readEnviron(pid)
		if err == nil && hasVarPrefix(environ, markerVar+"="+prefix) {
			found = syscall.Kill(pid, syscall.SIGKILL) == nil || found
		}
	}
	return found
}

// hasVarPrefix reports whether an environment from /proc has an entry that begins with
// prefix.
func hasVarPrefix(environ []byte, prefix string) bool {
	return bytes.HasPrefix(environ, []byte(prefix)) || bytes.Contains(environ, []byte("\x00"+prefix))
}

// enterGroup puts the child's group into the guard's table, if there is one.
func (ch *child) enterGroup() {
	groups := guard.groups.Load()
	if groups == nil {
		return
	}
	for range maxGroups {
		place := guard.next.Add(1) % maxGroups
		if atomic.CompareAndSwapUint32(&groups[place], 0, uint32(ch.pid)) {
			ch.place = &groups[place]
			return
		}
	}
}

// leaveGroup removes the child's group from the table after its end.
func (ch *child) leaveGroup() {
	if ch.place != nil {
		atomic.StoreUint32(ch.place, 0)
		ch.place = nil
	}
}
