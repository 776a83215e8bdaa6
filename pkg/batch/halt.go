package batch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrHalted is what Run's error wraps, beside that of the record that decided,
// when Batch.Halt has ended it.
var ErrHalted = errors.New("halted")

// minPercentFails is how many records have to fail before Halt.Percent counts,
// so that an early failure does not weigh too much.
const minPercentFails = 3

// Halt says when records that fail end a batch. The zero value is never.
type Halt struct {
	// Now has Run return at once: what is in flight is left alone, and what has
	// ended behind an older record is not handed on. Else nothing that has not
	// begun is sent any more, and Run returns when all the rest has ended, with
	// its further stages and attempts.
	Now     bool
	Fails   int     // so many records; 0: no matter how many
	Percent float64 // of those that have ended so far, as soon as three have failed; 0: no matter how many
}

// ParseHalt reads what GNU parallel's --halt calls them: never, now,fail=N,
// soon,fail=N or either with N%. N is from 1; N% is over 0 and at most 100.
func ParseHalt(s string) (Halt, error) {
	if s == "never" {
		return Halt{}, nil
	}
	when, why, _ := strings.Cut(s, ",")
	number, found := strings.CutPrefix(why, "fail=")
	if !found || when != "now" && when != "soon" {
		return Halt{}, fmt.Errorf("halt %q: not never, now,fail=N, soon,fail=N or fail=N%%", s)
	}
	h := Halt{Now: when == "now"}
	if percent, is := strings.CutSuffix(number, "%"); is {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(p > 0 && p <= 100) {
			return Halt{}, fmt.Errorf("halt %q: %q is no percentage over 0 and up to 100", s, number)
		}
		h.Percent = p
		return h, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		return Halt{}, fmt.Errorf("halt %q: %q is no number from 1", s, number)
	}
	h.Fails = n
	return h, nil
}

// String returns what ParseHalt reads.
func (h Halt) String() string {
	when := "soon"
	if h.Now {
		when = "now"
	}
	switch {
	case h.Fails > 0:
		return fmt.Sprintf("%s,fail=%d", when, h.Fails)
	case h.Percent > 0:
		return fmt.Sprintf("%s,fail=%g%%", when, h.Percent)
	}
	return "never"
}

// reached reports whether failed of ended records are enough.
func (h Halt) reached(failed, ended int64) bool {
	switch {
	case h.Fails > 0 && failed >= int64(h.Fails):
		return true
	case h.Percent > 0 && failed >= minPercentFails:
		return 100*float64(failed) >= h.Percent*float64(ended)
	}
	return false
}
