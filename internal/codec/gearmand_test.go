package codec

import (
	"math"
	"strings"
	"testing"

	"gm/pkg/store"
)

func TestFitsGearmand(t *testing.T) {
	for unique, want := range map[string]bool{
		"u": true, "a-b": true, "gm": true, "x-gm-1": true, strings.Repeat("u", store.MaxGearmandUnique): true,
		"": false, "-": false, "gm-": false, "gm-7": false, "a\x00b": false, strings.Repeat("u", store.MaxGearmandUnique+1): false,
	} {
		if got := FitsGearmand(unique); got != want {
			t.Errorf("%q: got %t, want %t", unique, got, want)
		}
	}
	if got := string(AppendUnique([]byte("f-"), 77)); got != "f-gm-77" || FitsGearmand(got[2:]) {
		t.Errorf("generated: got %q, want f-gm-77, whose unique is generated", got)
	}
}

func TestSeconds(t *testing.T) {
	for milliseconds, want := range map[int64]int64{
		math.MinInt64: 0, -1: 0, 0: 0, 1: 1, 999: 1, 1000: 1, 1001: 2, 1_795_000_000_999: 1_795_000_001, math.MaxInt64: math.MaxInt64/1000 + 1,
	} {
		if got := Seconds(milliseconds); got != want {
			t.Errorf("%d ms: got %d, want %d", milliseconds, got, want)
		}
	}
}
