package runner

import "bytes"

// A cutter processes bytes from the front of b and returns their number. The next call
// gets the remaining bytes again, followed by more. If full is true, there is no room
// for more or the pipe has ended, and the cutter must process all.
type cutter interface {
	cut(b []byte, full bool) (int, error)
}

// chunks passes on all bytes.
type chunks func([]byte) error

func (emit chunks) cut(b []byte, _ bool) (int, error) { return len(b), emit(b) }

// batches passes on all whole lines together.
type batches func([]byte) error

func (emit batches) cut(b []byte, full bool) (int, error) {
	n := len(b)
	if !full {
		n = bytes.LastIndexByte(b, '\n') + 1
	}
	if n == 0 {
		return 0, nil
	}
	return n, emit(b[:n])
}

// lines passes on one line at a time, including its newline.
type lines struct {
	emit func([]byte) error
	seen int // number of bytes at the front without a newline
}

func (l *lines) cut(b []byte, full bool) (int, error) {
	taken := 0
	for {
		i := bytes.IndexByte(b[taken+l.seen:], '\n')
		if i < 0 {
			break
		}
		end := taken + l.seen + i + 1
		l.seen = 0
		if err := l.emit(b[taken:end]); err != nil {
			return end, err
		}
		taken = end
	}
	l.seen = len(b) - taken
	if !full || l.seen == 0 {
		return taken, nil
	}
	l.seen = 0
	return len(b), l.emit(b[taken:])
}
