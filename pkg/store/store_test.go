package store

import (
	"testing"
	"time"
)

// TestAdoptFrom sees that jobs of another server get numbers which the server
// that reads them does not give out meanwhile.
func TestAdoptFrom(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_123)
	for _, tc := range []struct {
		name string
		last uint64
	}{
		{"empty", 0},
		{"used before", FirstSeq(now.Add(-time.Hour))},
		{"used just now", FirstSeq(now) + 4095},
		{"used in the time to come", FirstSeq(now.Add(time.Hour))},
	} {
		got := AdoptFrom(now, tc.last)
		if got <= tc.last {
			t.Errorf("%s: got %d, which is not above %d", tc.name, got, tc.last)
		}
		// The server has begun in this millisecond, and takes four a microsecond.
		if given := max(tc.last, FirstSeq(now)) + 4095; got < given {
			t.Errorf("%s: got %d, and the server has given out %d", tc.name, got, given)
		}
	}
}
