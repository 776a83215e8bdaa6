package store

import (
	"math"
	"testing"
	"time"
)

// TestAdoptFrom checks that jobs of another server get numbers which the server
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

func TestTriedKeepsBothCounts(t *testing.T) {
	for _, c := range []struct{ failures, losses, wantFailures, wantLosses int }{
		{0, 0, 0, 0},
		{3, 0, 3, 0},
		{0, 3, 0, 3},
		{11, 1, 11, 1},
		{32_767, 65_535, 32_767, 65_535},
		{1 << 30, 1 << 30, 32_767, 65_535},
	} {
		var r Record
		r.SetTried(c.failures, c.losses)
		failures, losses := r.Tried()
		if failures != c.wantFailures || losses != c.wantLosses || r.Attempts > math.MaxInt32 {
			t.Errorf("%d failures and %d losses are kept as %d, %d and %d", c.failures, c.losses, r.Attempts, failures, losses)
		}
	}
	for _, kept := range []int{7, -1} { // by a server that had one count, and a broken one
		r := Record{Attempts: kept}
		if failures, losses := r.Tried(); failures != 0 || losses != max(kept, 0) {
			t.Errorf("%d attempts are %d failures and %d losses", kept, failures, losses)
		}
	}
}
