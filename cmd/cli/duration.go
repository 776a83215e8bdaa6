package cli

import (
	"fmt"
	"math"
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v2"

	"gm/internal/duration"
)

// durationValue is the value of a flag that takes a duration: 500ms, 10s, 1m,
// 2d, or a bare number of milliseconds, as with the C tool's -t.
type durationValue struct {
	d    time.Duration
	bare string // the value as it was given, if it was a bare number
}

// Set parses s.
func (v *durationValue) Set(s string) error {
	d, err := ParseDuration(s)
	if err != nil {
		return err
	}
	v.d, v.bare = d, ""
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		v.bare = s
	}
	return nil
}

// String returns the duration for help texts, empty for 0.
func (v *durationValue) String() string {
	if v.d == 0 {
		return ""
	}
	return v.d.String()
}

// DurationFlag returns a flag whose value DurationOf reads.
func DurationFlag(def time.Duration, f urfave.GenericFlag) *urfave.GenericFlag {
	f.Value = &durationValue{d: def}
	return &f
}

// optionalDuration is the value of a flag with a duration that can be omitted.
type optionalDuration struct {
	durationValue
	alone time.Duration // the value if the duration is omitted
}

// Set parses s, which is "true" if the duration is omitted.
func (v *optionalDuration) Set(s string) error {
	switch s {
	case "true":
		v.durationValue = durationValue{d: v.alone}
		return nil
	case "false":
		v.durationValue = durationValue{}
		return nil
	}
	return v.durationValue.Set(s)
}

// AcceptsWord reports whether the word after the flag is its value.
func (v *optionalDuration) AcceptsWord(word string) bool {
	_, err := ParseDuration(word)
	return err == nil
}

// OptionalDurationFlag returns a flag whose value DurationOf reads. The value is def
// without the flag, and if the duration is omitted.
func OptionalDurationFlag(def time.Duration, f urfave.GenericFlag) *urfave.GenericFlag {
	return OptionalFlag(&optionalDuration{durationValue{d: def}, def}, f)
}

// DurationOf returns the value of a flag made by DurationFlag or OptionalDurationFlag.
func DurationOf(c *urfave.Context, name string) time.Duration {
	return c.Generic(name).(interface{ duration() time.Duration }).duration()
}

func (v *durationValue) duration() time.Duration { return v.d }

// RefuseBareSeconds returns a usage error for a flag whose value is a bare number from 1
// to 999, which the user probably meant as seconds and not as milliseconds.
func RefuseBareSeconds(c *urfave.Context, names ...string) error {
	for _, name := range names {
		v := c.Generic(name).(*durationValue)
		if v.bare != "" && v.d > 0 && v.d < time.Second {
			return WithHint(UsageErrorf("--%s %s: a number without a unit is in milliseconds", name, v.bare),
				fmt.Sprintf("write %ss for seconds, or %sms", v.bare, v.bare))
		}
	}
	return nil
}

// ParseDuration parses a duration that is not negative. A bare number is in
// milliseconds.
func ParseDuration(s string) (time.Duration, error) {
	d, err := duration.Parse(s)
	if ms, numErr := strconv.ParseFloat(s, 64); numErr == nil {
		d, err = time.Duration(ms*float64(time.Millisecond)), nil
		if !(ms >= 0 && ms < math.MaxInt64/1e6) {
			d = -1
		}
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %q: want a time such as 500ms, 10s, 1m or 2d", s)
	}
	return d, nil
}
