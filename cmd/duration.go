package cmd

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
)

// durationValue is the value of a flag that takes a duration: 500ms, 10s, 1m,
// or a bare number of milliseconds, as with the C tool's -t.
type durationValue struct{ d time.Duration }

// Set parses s.
func (v *durationValue) Set(s string) error {
	d, err := parseDuration(s)
	if err == nil {
		v.d = d
	}
	return err
}

// String returns the duration for help texts; nothing for 0.
func (v *durationValue) String() string {
	if v.d == 0 {
		return ""
	}
	return v.d.String()
}

// durationFlag returns a flag whose value durationOf reads.
func durationFlag(def time.Duration, f cli.GenericFlag) *cli.GenericFlag {
	f.Value = &durationValue{def}
	return &f
}

// durationOf returns the value of a flag made by durationFlag.
func durationOf(c *cli.Context, name string) time.Duration {
	return c.Generic(name).(*durationValue).d
}

// parseDuration parses a duration that is not negative. A bare number is in
// milliseconds.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if ms, numErr := strconv.ParseFloat(s, 64); numErr == nil {
		d, err = time.Duration(ms*float64(time.Millisecond)), nil
		if !(ms >= 0 && ms < math.MaxInt64/1e6) {
			d = -1
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q: not like 500ms, 10s or 1m", s)
	}
	return d, nil
}
