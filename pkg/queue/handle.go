package queue

import "strconv"

// lastRange is the number of job numbers that share all digits except the last four.
const lastRange = 10_000

// handles formats handles. Consecutive numbers share all digits except the
// last, so it keeps the start of the handle that it formatted last: formatting
// all 19 digits takes as long as entering the job into its list.
type handles struct {
	prefix string // the start of every handle: "H:<host>:"
	start  []byte // prefix and the digits of high
	high   uint64 // a number divided by lastRange, 0 if start is not set
}

// append appends the handle of a number.
func (h *handles) append(dst []byte, seq uint64) []byte {
	high := seq / lastRange
	if high == 0 {
		return strconv.AppendUint(append(dst, h.prefix...), seq, 10)
	}
	if high != h.high {
		h.high, h.start = high, strconv.AppendUint(append(h.start[:0], h.prefix...), high, 10)
	}
	low := uint32(seq - high*lastRange)
	return append(append(dst, h.start...),
		byte('0'+low/1000), byte('0'+low/100%10), byte('0'+low/10%10), byte('0'+low%10))
}
