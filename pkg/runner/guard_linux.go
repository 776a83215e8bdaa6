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

// A guard is a second process of the same program that outlives this one, if only
// for a moment. It waits in a read of a pipe whose other end this process holds, so
// that the kernel wakes it however this process ends. Then it kills what is left:
// the process groups that are in a table in shared memory, and all processes
// whose GM_JOB begins with the prefix of this process. A job costs two stores into
// the table and no system call.

// maxGroups is how many process groups the table holds. Those that find no place
// have their GM_JOB.
const maxGroups = 16 << 10

// guard is what this process has of its guard.
var guard struct {
	mu     sync.Mutex
	pipe   int                               // the end that is held; 0 before Guard
	groups atomic.Pointer[[maxGroups]uint32] // shared with the guard; nil before Guard
	next   atomic.Uint32                     // where to look for a free place
}

// Guard starts a process that kills the processes of all jobs, grandchildren
// included, should this process end without having done so itself, as by SIGKILL.
// It runs this program again with the arguments, the program's name first, and the
// program must call [RunGuard] then, with the last argument, which Guard appends.
// It is for the program to call, once, after [Subreap], without which a process that
// left its job's group is not found.
//
// It needs Linux; elsewhere it returns errors.ErrUnsupported, and a child sees its
// pipes closed and no more.
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

// RunGuard is the guard's main function. prefix is the argument that [Guard] has
// appended. It returns when nothing is left to be guarded.
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

// killMarked kills all processes whose GM_JOB begins with prefix, until none is
// found: one that is being forked is in no listing yet.
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

// killMarkedOnce looks through /proc once and reports whether it found any.
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

// hasVarPrefix reports whether an environment as /proc shows it has an entry that
// begins so.
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

// leaveGroup takes the child's group off the table once it is gone.
func (ch *child) leaveGroup() {
	if ch.place != nil {
		atomic.StoreUint32(ch.place, 0)
		ch.place = nil
	}
}
