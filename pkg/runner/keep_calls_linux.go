package runner

import (
	"bytes"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// callNumbers are the numbers that an architecture gives to the system calls in
// which a command waits for a known thing.
type callNumbers struct {
	read, write int
	sleep, wait [3]int // the calls of each kind; the last one may come several times
	start       [4]int // calls that start a process or a program
}

// callClone3 is the number of clone3 on all architectures except MIPS and Alpha.
const callClone3 = 435

// A command can be made for another architecture than gm: a 64-bit kernel runs
// 32-bit programs too, and /proc/PID/syscall has the numbers of the program.
var (
	callsOf386   = callNumbers{read: 3, write: 4, sleep: [3]int{162, 267, 407}, wait: [3]int{7, 114, 284}, start: [4]int{2, 120, 190, 11}}
	callsOfAMD64 = callNumbers{read: 0, write: 1, sleep: [3]int{35, 230, 230}, wait: [3]int{61, 247, 247}, start: [4]int{56, 57, 58, 59}}
	callsOfARM   = callNumbers{read: 3, write: 4, sleep: [3]int{162, 265, 407}, wait: [3]int{114, 280, 280}, start: [4]int{2, 120, 190, 11}}
	callsOfARM64 = callNumbers{read: 63, write: 64, sleep: [3]int{101, 115, 115}, wait: [3]int{260, 95, 95}, start: [4]int{220, 221, 221, 221}}
	ownCalls     = callNumbers{
		read: unix.SYS_READ, write: unix.SYS_WRITE,
		sleep: [3]int{unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP},
		wait:  [3]int{unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_WAITID},
		start: [4]int{unix.SYS_CLONE, unix.SYS_EXECVE, unix.SYS_EXECVE, unix.SYS_EXECVE},
	}
)

// callsFor returns the numbers of programs of 64 or 32 bits, on a system for which
// gm was built as goarch.
func callsFor(goarch string, wide bool) *callNumbers {
	switch goarch {
	case "386", "amd64":
		if wide {
			return &callsOfAMD64
		}
		return &callsOf386
	case "arm", "arm64":
		if wide {
			return &callsOfARM64
		}
		return &callsOfARM
	}
	return &ownCalls
}

// callOf parses the text of /proc/PID/syscall: the number of the call, its six
// arguments, the stack pointer and the program counter. It returns the numbers of
// the program's architecture, the number of its call, and the text behind it; ok is
// false if the process is in no system call.
func callOf(state []byte) (calls *callNumbers, number int, args []byte, ok bool) {
	text, args, _ := bytes.Cut(bytes.TrimSpace(state), []byte(" "))
	number, err := strconv.Atoi(string(text))
	return callsFor(runtime.GOARCH, isWide(state)), number, args, err == nil && number >= 0
}

// isWide reports whether a state is that of a program of 64 bits, whose stack
// pointer does not fit in 32 bits.
func isWide(state []byte) bool {
	state = bytes.TrimRight(state, "\n")
	pc := bytes.LastIndexByte(state, ' ')
	if pc < 0 {
		return false
	}
	sp := bytes.LastIndexByte(state[:pc], ' ')
	return pc-sp-1 > len("0xffffffff")
}

// readsStdin reports whether a state is that of a process that waits in
// read(0, ...).
func readsStdin(state []byte) bool {
	calls, number, args, ok := callOf(state)
	return ok && number == calls.read && bytes.HasPrefix(args, []byte("0x0 "))
}

// waitsForChild reports whether a state is that of a process that waits for a
// child to end.
func waitsForChild(state []byte) bool {
	calls, number, _, ok := callOf(state)
	return ok && slices.Contains(calls.wait[:], number)
}

// callPosture returns the posture of a process by its state. A process that waits
// for many things at once is unclear.
func callPosture(state []byte) posture {
	calls, number, _, ok := callOf(state)
	switch {
	case len(state) == 0:
		return unclear
	case !ok:
		return busy // it runs, or waits for memory
	}
	switch {
	case number == calls.read, number == calls.write, slices.Contains(calls.sleep[:], number):
		return busy
	case number == callClone3, slices.Contains(calls.start[:], number):
		return busy // vfork waits until the child has begun its program
	case slices.Contains(calls.wait[:], number):
		return atRest
	}
	return unclear
}
