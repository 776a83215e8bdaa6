package runner

import "bytes"

// A cutter takes what it can from the front of b, the bytes read and not yet
// taken, and returns how many those were. The rest is shown to it again with
// more behind it; if full is true there is no room for more, or the pipe has
// ended, and it takes all.
type cutter interface {
	cut(b []byte, full bool) (int, error)
}

// chunks takes all there is.
type chunks func([]byte) error

func (emit chunks) cut(b []byte, _ bool) (int, error) { return len(b), emit(b) }

// batches takes as many whole lines at a time as there are.
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

// lines takes one line at a time, its newline included.
type lines struct {
	emit func([]byte) error
	seen int // bytes at the front known to hold no newline
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
