package walltime

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("zone", 2*3600)
	now := time.Date(2026, 3, 14, 15, 9, 26, 0, zone)
	tests := []struct {
		in   string
		want time.Time // zero: an error
	}{
		{"@1136214245", time.Unix(1136214245, 0)},
		{"16:00", time.Date(2026, 3, 14, 16, 0, 0, 0, zone)},
		{"15:09:27", time.Date(2026, 3, 14, 15, 9, 27, 0, zone)},
		{"15:09", time.Date(2026, 3, 15, 15, 9, 0, 0, zone)},
		{"2026-12-24", time.Date(2026, 12, 24, 0, 0, 0, 0, zone)},
		{"2026-12-24 18:30", time.Date(2026, 12, 24, 18, 30, 0, 0, zone)},
		{"2026-12-24 18:30:15", time.Date(2026, 12, 24, 18, 30, 15, 0, zone)},
		{"2026-12-24T18:30", time.Date(2026, 12, 24, 18, 30, 0, 0, zone)},
		{"2026-12-24T18:30:15Z", time.Date(2026, 12, 24, 18, 30, 15, 0, time.UTC)},
		{"2026-12-24T18:30+05:30", time.Date(2026, 12, 24, 13, 0, 0, 0, time.UTC)},
		{"2026-12-24 18:30:15-03:00", time.Date(2026, 12, 24, 21, 30, 15, 0, time.UTC)},
		{"2026-12-24 18:30:15.25", time.Date(2026, 12, 24, 18, 30, 15, 250e6, zone)},
		{"15:09:26.000001", time.Date(2026, 3, 14, 15, 9, 26, 1000, zone)},
		{"15:09:26", time.Date(2026, 3, 15, 15, 9, 26, 0, zone)},
		{"", time.Time{}},
		{"@", time.Time{}},
		{"@-1", time.Time{}},
		{"tomorrow", time.Time{}},
		{"25:00", time.Time{}},
		{"10m", time.Time{}},
	}
	for _, tt := range tests {
		got, _, err := Parse(tt.in, now)
		if (err != nil) != tt.want.IsZero() || !got.Equal(tt.want) {
			t.Errorf("Parse(%q): got %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

// Changes of clocks, and the moment at which a clock shows the given time, or would have.
func TestTimeAtAChangeOfClocks(t *testing.T) {
	tests := []struct{ zone, at, want string }{
		{"Europe/Berlin", "2027-03-28 01:59", "2027-03-28T00:59:00Z"},
		{"Europe/Berlin", "2027-03-28 02:00", "2027-03-28T01:00:00Z"},
		{"Europe/Berlin", "2027-03-28 02:30", "2027-03-28T01:30:00Z"}, // is 03:30
		{"Europe/Berlin", "2027-03-28 03:00", "2027-03-28T01:00:00Z"},
		{"Europe/Berlin", "2026-10-25 01:59", "2026-10-24T23:59:00Z"},
		{"Europe/Berlin", "2026-10-25 02:30", "2026-10-25T01:30:00Z"}, // the second one
		{"Europe/Berlin", "2026-10-25 03:00", "2026-10-25T02:00:00Z"},
		{"America/New_York", "2027-03-14 02:30", "2027-03-14T07:30:00Z"},
		{"America/New_York", "2026-11-01 01:30", "2026-11-01T06:30:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"}, // no midnight
		{"Australia/Lord_Howe", "2027-04-04 01:45", "2027-04-03T15:15:00Z"},
		{"Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03T15:45:00Z"},
		{"Pacific/Apia", "2011-12-30 12:00", "2011-12-30T22:00:00Z"}, // no such day
		{"Asia/Kolkata", "2027-01-01 00:00:00.5", "2026-12-31T18:30:00.5Z"},
	}
	for _, tt := range tests {
		zone, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, local, err := Parse(tt.at, time.Unix(0, 0).In(zone))
		if got := got.UTC().Format(time.RFC3339Nano); err != nil || !local || got != tt.want {
			t.Errorf("%s in %s: got %s, %t, %v, want %s", tt.at, tt.zone, got, local, err, tt.want)
		}
	}
}

// In every zone, and at every minute around all changes of clocks of some years,
// a time is never before the one that is asked for, and it is after now.
func TestTimeIsNeverEarly(t *testing.T) {
	const clock = "2006-01-02 15:04"
	for _, name := range []string{
		"Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia",
		"Asia/Kathmandu", "Africa/Casablanca", "Antarctica/Troll", "America/St_Johns", "UTC",
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		_, before := time.Date(2010, 1, 1, 0, 0, 0, 0, zone).Zone()
		for hour := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC); hour.Year() < 2028; hour = hour.Add(time.Hour) {
			_, offset := hour.In(zone).Zone()
			if offset == before {
				continue
			}
			before = offset
			for m := -27 * 60; m < 27*60; m += 15 {
				wall := hour.Add(time.Duration(offset)*time.Second + time.Duration(m)*time.Minute)
				asked := wall.Format(clock)
				got := lastOfClock(wall, zone)
				if shown := got.Format(clock); shown < asked {
					t.Fatalf("%s in %s: got %v, which is before", asked, name, got)
				}
				for later := got.Add(15 * time.Minute); later.Before(got.Add(4 * time.Hour)); later = later.Add(15 * time.Minute) {
					if later.In(zone).Format(clock) == asked {
						t.Fatalf("%s in %s: got %v, but %v shows it again", asked, name, got, later)
					}
				}
				now := hour.Add(time.Duration(m) * time.Minute).In(zone)
				next := nextOfClock(wall, now)
				if !next.After(now) || next.Sub(now) > 50*time.Hour {
					t.Fatalf("%s in %s at %v: got %v", asked[11:], name, now, next)
				}
			}
		}
	}
}

func TestCheckZone(t *testing.T) {
	for tz, known := range map[string]bool{
		"": true, "UTC": true, "Europe/Berlin": true, ":Europe/Berlin": true,
		"Nowhere/Land": false, "<+03>-3": false, "CET-1CEST,M3.5.0,M10.5.0/3": false, "/no/such/file": false,
	} {
		if err := CheckZone(tz); (err == nil) != known {
			t.Errorf("TZ=%s: got %v, want known %t", tz, err, known)
		}
	}
}
