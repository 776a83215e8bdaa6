// Package walltime parses points in time as people write them, such as 15:04 and
// "2006-01-02 15:04". The result is never before the time that was asked for, also when
// clocks change.
package walltime

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CheckZone returns an error for a value of TZ that Go does not know. Go would use UTC
// instead.
func CheckZone(tz string) error {
	tz = strings.TrimPrefix(tz, ":")
	var err error
	if strings.HasPrefix(tz, "/") {
		_, err = os.Stat(tz)
	} else {
		_, err = time.LoadLocation(tz)
	}
	if err != nil {
		return fmt.Errorf("time zone of TZ: %w", err)
	}
	return nil
}

// Layouts of times; the fraction of a second may follow each.
var (
	zonedLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04Z07:00"}
	dateLayouts  = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, "2006-01-02 15:04", time.DateOnly}
	clockLayouts = []string{"15:04", time.TimeOnly}
)

// Parse parses a point in time: RFC 3339, a date and a time of day with or without the
// offset of its zone, a date, a time of day, or @ and Unix seconds. A time of day without
// a date is the next one after now. local reports that the text has no zone; it is in
// the zone of now.
func Parse(s string, now time.Time) (t time.Time, local bool, err error) {
	if secs, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(secs, 10, 64)
		if err != nil || n < 0 {
			return time.Time{}, false, fmt.Errorf("time %q: want @ and Unix seconds", s)
		}
		return time.Unix(n, 0), false, nil
	}
	for _, layout := range zonedLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, false, nil
		}
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return lastOfClock(t, now.Location()), true, nil
		}
	}
	for _, layout := range clockLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return nextOfClock(t, now), true, nil
		}
	}
	return time.Time{}, false, fmt.Errorf("time %q: want a time such as 15:04, 2006-01-02 15:04, 2006-01-02T15:04:05Z or @1136214245", s)
}

// nextOfClock returns the next time after now at which a clock shows the time of t.
func nextOfClock(t, now time.Time) time.Time {
	for day := 0; ; day++ {
		date := time.Date(now.Year(), now.Month(), now.Day()+day, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
		if next := lastOfClock(date, now.Location()); next.After(now) {
			return next
		}
	}
}

// lastOfClock returns the moment at which a clock of the zone shows the date and time
// of utc. A clock that is set back shows them twice; then the second moment counts. A
// clock that is set forward may never show them; then the moment counts at which it
// would have shown them without the change. So the result is never too early.
func lastOfClock(utc time.Time, zone *time.Location) time.Time {
	const around = 26 * time.Hour // no offset from UTC and no change of clocks is larger
	var shown, skipped time.Time
	for _, near := range []time.Time{utc.Add(-around), utc.Add(around)} {
		_, offset := near.In(zone).Zone()
		t := utc.Add(-time.Duration(offset) * time.Second).In(zone)
		if _, is := t.Zone(); is == offset && t.After(shown) {
			shown = t
		}
		if t.After(skipped) {
			skipped = t
		}
	}
	if !shown.IsZero() {
		return shown
	}
	return skipped
}
