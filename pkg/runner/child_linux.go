package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func sysProcAttr(pdeathsig syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: pdeathsig}
}

// widePipe is the size of a widened pipe in bytes. A larger one is not faster, and by
// default all pipes of a user may hold 64 MiB.
const widePipe = 256 << 10

// widen gives a pipe room for n bytes, up to widePipe, so that its two ends exchange
// them in fewer steps.
func widen(fd, n int) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, min(n, widePipe)) // after an error it keeps its size
}

// askPidFD makes fork set fd.
func askPidFD(sys *syscall.SysProcAttr, fd *int) { sys.PidFD = fd }

// await returns when the child has ended. Until reap the child is a zombie and keeps
// its number, so that signals cannot reach another process.
func (ch *child) await() {
	for {
		err := unix.Waitid(unix.P_PID, ch.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// groupLives reports whether the group has members that are not zombies. Zombies can
// stay for good where process 1 does not reap, as in many containers. It reads /proc
// once, and later checks only the member that it found.
func (ch *child) groupLives() bool {
	if !ch.signal(0) {
		return false
	}
	if ch.member != 0 && ch.isLiveMember(ch.member) {
		return true
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return true
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err == nil && ch.isLiveMember(pid) {
			ch.member = pid
			return true
		}
	}
	return len(names) == 0 // /proc is not mounted
}

func (ch *child) isLiveMember(pid int) bool {
	if pgid, err := syscall.Getpgid(pid); err != nil || pgid != ch.pid {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH)
	}
	return statLives(stat)
}

// statLives reports whether the process of a /proc/PID/stat is alive. A process with
// the state of a zombie is alive until all of its threads have ended.
func statLives(stat []byte) bool {
	// "PID (NAME) STATE ...", where the name may have any bytes, and the 20th field
	// is the number of threads.
	const state, threads = 1, 18
	fields := bytes.Fields(stat[max(bytes.LastIndexByte(stat, ')'), 0):])
	if len(fields) <= threads {
		return false
	}
	switch fields[state][0] {
	case 'X':
		return false
	case 'Z':
		n, _ := strconv.Atoi(string(fields[threads]))
		return n > 1
	}
	return true
}

// maxRSS returns the peak resident memory in bytes.
func (ch *child) maxRSS() int64 { return int64(ch.usage.Maxrss) << 10 }
