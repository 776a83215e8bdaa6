package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gm/pkg/wire"
)

const (
	payloadSize = 100
	uniqueSize  = 16 // hexadecimal digits
)

// uniques numbers all submissions of this process.
var uniques atomic.Uint64

// submission is the packet of a background job, but for its unique.
type submission struct {
	packet []byte
	at     int // where the unique stands
}

func newSubmission() submission {
	const function = "bench"
	unique, payload := make([]byte, uniqueSize), make([]byte, payloadSize)
	for i := range unique {
		unique[i] = '0'
	}
	packet := wire.Append(nil, wire.Request, wire.SubmitJobBG, []byte(function), unique, payload)
	return submission{packet, wire.HeaderSize + len(function) + 1}
}

// append appends the packet with a unique of its own.
func (s *submission) append(dst []byte) []byte {
	const digits = "0123456789abcdef"
	at := len(dst) + s.at + uniqueSize
	dst = append(dst, s.packet...)
	for n := uniques.Add(1); n > 0; n >>= 4 {
		at--
		dst[at] = digits[n&15]
	}
	return dst
}

// submitLoad submits background jobs by conns connections, on each of which
// window are under way at any time, for d. It returns how many were
// acknowledged in that time.
func submitLoad(addr string, conns, window int, d time.Duration) (int, error) {
	var acked atomic.Int64
	errs := make([]error, conns)
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i := range conns {
		wg.Go(func() { errs[i] = submitOn(addr, window, end, &acked) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return int(acked.Load()), nil
}

// submitOn is submitLoad's share of one connection: it sends as many as it has
// just been told of.
func submitOn(addr string, window int, end time.Time, acked *atomic.Int64) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	job := newSubmission()
	var out []byte
	in, have := make([]byte, 64<<10), 0
	room := window
	for {
		out = out[:0]
		for range room {
			out = job.append(out)
		}
		if _, err := c.Write(out); err != nil {
			return err
		}
		n, err := c.Read(in[have:])
		if err != nil {
			return err
		}
		have += n
		replies, used, err := countCreated(in[:have])
		if err != nil {
			return err
		}
		have = copy(in, in[used:have])
		room = replies
		if time.Now().After(end) {
			return nil
		}
		acked.Add(int64(replies))
	}
}

// countCreated returns how many whole JOB_CREATED stand in b, and their bytes.
func countCreated(b []byte) (n, used int, err error) {
	for len(b)-used >= wire.HeaderSize {
		head := b[used:]
		if t := wire.Type(binary.BigEndian.Uint32(head[4:])); t != wire.JobCreated {
			return n, used, fmt.Errorf("the server answers %v: %q", t, head[wire.HeaderSize:])
		}
		size := wire.HeaderSize + int(binary.BigEndian.Uint32(head[8:]))
		if len(head) < size {
			break
		}
		used += size
		n++
	}
	return n, used, nil
}

// quantile returns the q-quantile of all, 0 of nothing.
func quantile[T float64 | time.Duration](all []T, q float64) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(all)-1, int(q*float64(len(all))))]
}
