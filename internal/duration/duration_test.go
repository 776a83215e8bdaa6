package duration

import (
	"testing"
	"time"
)

func TestParseDurationKnowsDays(t *testing.T) {
	const bad = -1 << 63
	for _, test := range []struct {
		text string
		want time.Duration
	}{
		{"10s", 10 * time.Second},
		{"2d", 48 * time.Hour},
		{"0d", 0},
		{"1.5d", 36 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"1d0s", 24 * time.Hour},
		{"1d1h1m1s1ms", 25*time.Hour + time.Minute + time.Second + time.Millisecond},
		{"-1d", -24 * time.Hour},
		{"-1d12h", -36 * time.Hour},
		{"106751d", 106751 * 24 * time.Hour},
		{"106752d", bad},
		{"106751d24h", bad},
		{"-106751d24h", bad},
		{"d", bad},
		{"1d-1h", bad},
		{"1dd", bad},
		{"1h1d", bad},
		{"1d 1h", bad},
		{"NaNd", bad},
		{"Infd", bad},
		{"1d1", bad},
		{"day", bad},
		{"", bad},
	} {
		got, err := Parse(test.text)
		if err != nil {
			got = bad
		}
		if got != test.want {
			t.Errorf("Parse(%q) = %v, %v, want %v", test.text, got, err, test.want)
		}
	}
}
