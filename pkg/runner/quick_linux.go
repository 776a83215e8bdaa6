package runner

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// quickLimit is how long a child is given to be over in no time.
	quickLimit = 50 * time.Millisecond
	// quickOutput is what is left of that once it has written something, as that may
	// be waited for.
	quickOutput = time.Millisecond
	// quickRoom is how much output of a pipe may be kept meanwhile.
	quickRoom = 32 << 10
)

// quick waits, on the caller's goroutine and in one system call, for the end of a
// child that is over in no time. To start pumps costs more than such a child is
// left to do. It reports whether the child and its pipes have come to their ends;
// if not, all goes on with pumps, which begin with what was read.
func (r *run) quick() bool {
	if r.child.pidfd < 0 {
		return false
	}
	defer syscall.Close(r.child.pidfd)
	if r.pipes.stdin != nil {
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

// sooner returns the earlier of a time and one that is so long from now.
func sooner(t time.Time, d time.Duration) time.Time {
	if u := time.Now().Add(d); u.Before(t) {
		return u
	}
	return t
}

// readEarly reads what there is, or the end.
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
