package batch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrHalted is wrapped by Run's error when Batch.Halt has ended the batch. That
// error also wraps the error of the last record that failed.
var ErrHalted = errors.New("halted")

// minPercentFails is the number of failed records from which Halt.Percent
// counts, so that an early failure does not weigh too much.
const minPercentFails = 3

// Halt sets the number of failed records that ends a batch. The zero value
// never ends it.
type Halt struct {
	// Now makes Run return at once: it abandons the records in flight, and does
	// not pass on records that wait for an older one. Otherwise Run begins no
	// further records, and returns when those in flight have ended with all
	// their stages and attempts.
	Now     bool
	Fails   int     // number of failed records; 0: no limit
	Percent float64 // failed records in percent of those that have ended, from three failures on; 0: no limit
}

// ParseHalt parses the syntax of GNU parallel's --halt: never, now,fail=N,
// soon,fail=N, or either with N%. N is at least 1; N% is over 0 and at most
// 100.
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

// String returns the Halt in the syntax of ParseHalt.
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

// reached reports whether failed of ended records end the batch.
func (h Halt) reached(failed, ended int64) bool {
	switch {
	case h.Fails > 0 && failed >= int64(h.Fails):
		return true
	case h.Percent > 0 && failed >= minPercentFails:
		return 100*float64(failed) >= h.Percent*float64(ended)
	}
	return false
}
