package runner

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gm/internal/tune"
)

const (
	// quickLimit is the maximum duration of a child that needs no goroutines.
	quickLimit = 50 * time.Millisecond
	// quickOutput is the remaining time after its first output, which a client may wait
	// for.
	quickOutput = time.Millisecond
	// quickRoom is the maximum number of bytes that are kept from a pipe meanwhile.
	quickRoom = 32 << 10
)

// quick waits for the end of a short child, on the caller's goroutine and in one system
// call, because starting pumps takes longer than such a child. It reports whether the
// child and its pipes have ended. If not, pumps continue after the bytes that were
// read.
func (r *run) quick() bool {
	if r.child.pidfd < 0 {
		return false
	}
	defer syscall.Close(r.child.pidfd)
	if r.pipes.stdin != nil || !tune.PollTrick.On() {
		return false
	}
	outs := r.pipes.outs()
	var all [4]unix.PollFd
	fds := all[:1+len(outs)]
	fds[0] = unix.PollFd{Fd: int32(r.child.pidfd), Events: unix.POLLIN}
	for i, p := range outs {
		fds[1+i] = unix.PollFd{Fd: int32(p.fd), Events: unix.POLLIN}
	}
	limit := quickLimit
	if r.timeout > 0 {
		limit = min(limit, r.timeout)
	}
	for until := time.Now().Add(limit); ; {
		wait := unix.NsecToTimespec(max(0, time.Until(until).Nanoseconds()))
		n, err := unix.Ppoll(fds, &wait, nil)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return false
		}
		open := 0
		for i := range fds {
			if fds[i].Revents != 0 && i == 0 {
				fds[i].Fd = -1
			} else if fds[i].Revents != 0 {
				p := outs[i-1]
				if p.readEarly(); p.eof {
					fds[i].Fd = -1
				} else if until = sooner(until, quickOutput); len(p.early) >= quickRoom {
					return false
				}
			}
			if fds[i].Fd >= 0 {
				open++
			}
		}
		if open == 0 {
			close(r.exited)
			return true
		}
	}
}

// sooner returns the earlier one of t and the time d from now.
func sooner(t time.Time, d time.Duration) time.Time {
	if u := time.Now().Add(d); u.Before(t) {
		return u
	}
	return t
}

// readEarly reads the available bytes or the end.
func (p *outPipe) readEarly() {
	b := chunkPool.Get().(*[chunkSize]byte)
	defer chunkPool.Put(b)
	n, err := syscall.Read(p.fd, b[:])
	switch {
	case n > 0:
		p.early = append(p.early, b[:n]...)
	case err != syscall.EAGAIN && err != syscall.EINTR:
		p.eof = true
	}
}
