// Package duration parses durations that may contain days.
package duration

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Parse parses a duration as [time.ParseDuration] does, and days before
// everything else: 2d, 1.5d, 1d12h. A day has 24 hours.
func Parse(s string) (time.Duration, error) {
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || math.IsNaN(n) || math.Abs(n)*float64(day) >= math.MaxInt64 {
		return 0, fmt.Errorf("parse duration %q: %q is not a number of days", s, days)
	}
	d := time.Duration(n * float64(day))
	if rest == "" {
		return d, nil
	}
	if strings.ContainsAny(rest, "+-") {
		return 0, fmt.Errorf("parse duration %q: a sign after the days", s)
	}
	more, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("parse duration %q: %w", s, err)
	}
	if strings.HasPrefix(s, "-") {
		more = -more
	}
	if sum := d + more; (sum < d) == (more < 0) || more == 0 {
		return sum, nil
	}
	return 0, fmt.Errorf("parse duration %q: out of range", s)
}
