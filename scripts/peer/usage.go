//go:build linux

package peer

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// cpuClock returns the clock of the processor time that all threads of a
// process have taken, also those that have ended (clock_getcpuclockid(3)).
func cpuClock(pid int) int32 {
	const sched = 2
	return ^int32(pid)<<3 | sched
}

// CPU returns the processor time that the server has taken until now, to the
// nanosecond.
func (s *Server) CPU() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(s.clock, &t); err != nil {
		return 0, fmt.Errorf("cpu time of %s: %w", s.cmd.Path, err)
	}
	return time.Duration(t.Nano()), nil
}

// RSS returns the bytes of memory that the server occupies.
func (s *Server) RSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	words := bytes.Fields(rest)
	if len(words) < 2 || string(words[1]) != "kB" {
		return 0, fmt.Errorf("no VmRSS of %s", s.cmd.Path)
	}
	n, err := strconv.ParseInt(string(words[0]), 10, 64)
	return n << 10, err
}
