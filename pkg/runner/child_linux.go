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

// widePipe is how many bytes a widened pipe holds: more are no faster, and all
// those of a user may hold 64 MiB by default.
const widePipe = 256 << 10

// widen has a pipe hold n bytes, up to widePipe: it then takes fewer turns of
// the two at its ends to pass them on.
func widen(fd, n int) {
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, min(n, widePipe)) // else it stays as it is
}

// askPidFD has fork set fd.
func askPidFD(sys *syscall.SysProcAttr, fd *int) { sys.PidFD = fd }

// await returns when the child has ended. It stays a zombie until reap, and so
// keeps its number: signals sent meanwhile cannot reach a stranger.
func (ch *child) await() {
	for {
		err := unix.Waitid(unix.P_PID, ch.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// groupLives reports whether the group has members other than zombies, for those
// can stay for good where process 1 does not reap, as in many a container. It
// looks through /proc once, and then at the member that it found.
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
	return len(names) == 0 // as good as no /proc
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

// statLives reports whether a process lives, by its /proc/PID/stat. A process whose
// main thread has ended counts as alive until its other threads have ended too,
// though its state is that of a zombie.
func statLives(stat []byte) bool {
	// "PID (NAME) STATE ...", of which the name may hold anything, and the number of
	// threads is the 20th field.
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
