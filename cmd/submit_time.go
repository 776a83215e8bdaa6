package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/server"
)

// submitTime returns when the job is to run; zero: now.
func submitTime(c *cli.Context) (time.Time, error) {
	in, at := c.String("in"), c.String("at")
	switch {
	case in != "" && at != "":
		return time.Time{}, usageErrorf("--in and --at: one of them")
	case in != "":
		d, err := server.ParseDuration(in)
		if err != nil || d < 0 {
			return time.Time{}, usageErrorf("--in %q: not like 90s, 10m or 2d", in)
		}
		return time.Now().Add(d), nil
	case at != "":
		t, err := parseTime(at, time.Now())
		if err != nil {
			return time.Time{}, usageErrorf("--at: %w", err)
		}
		return t, nil
	}
	return time.Time{}, nil
}

// parseTime reads a point in time. One of the clock alone is the next such
// after now. One without a zone is local.
func parseTime(s string, now time.Time) (time.Time, error) {
	if secs, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(secs, 10, 64)
		if err != nil || n < 0 {
			return time.Time{}, fmt.Errorf("time %q: not @ and Unix seconds", s)
		}
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if !t.After(now) {
				t = t.AddDate(0, 0, 1)
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: not like 15:04, 2006-01-02 15:04, 2006-01-02T15:04:05Z or @1136214245", s)
}
