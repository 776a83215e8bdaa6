package cmd

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
		{"", time.Time{}},
		{"@", time.Time{}},
		{"@-1", time.Time{}},
		{"tomorrow", time.Time{}},
		{"25:00", time.Time{}},
		{"10m", time.Time{}},
	}
	for _, tt := range tests {
		got, err := parseTime(tt.in, now)
		if (err != nil) != tt.want.IsZero() || !got.Equal(tt.want) {
			t.Errorf("parseTime(%q): got %v, %v, want %v", tt.in, got, err, tt.want)
		}
	}
}

func TestUnescape(t *testing.T) {
	tests := []struct {
		in, want string
		bad      bool
	}{
		{in: "", want: ""},
		{in: ",", want: ","},
		{in: `\n\t\r\0\\`, want: "\n\t\r\x00\\"},
		{in: `a\x2Cb\xff`, want: "a,b\xff"},
		{in: `\`, bad: true},
		{in: `\q`, bad: true},
		{in: `\x4`, bad: true},
		{in: `\xg0`, bad: true},
	}
	for _, tt := range tests {
		got, err := unescape(tt.in)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("unescape(%q): got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestWorkerText(t *testing.T) {
	tests := []struct {
		in, text string
		code     int
		reason   string
	}{
		{"", "", 0, ""},
		{"words\n", "words\n", 0, ""},
		{"gm-exit: 3 (exit status 3)\n", "", 3, "exit status 3"},
		{"words\ngm-exit: 137 (killed by signal 9 (killed))\n", "words\n", 137, "killed by signal 9 (killed)"},
		{"gm-exit: 1 (forged)\ngm-exit: 2 (true)\n", "gm-exit: 1 (forged)\n", 2, "true"},
		{"gm-exit: 1 (not last)\nwords\n", "gm-exit: 1 (not last)\nwords\n", 0, ""},
		{"words gm-exit: 1 (no line)\n", "words gm-exit: 1 (no line)\n", 0, ""},
		{"gm-exit: 256 (no code)\n", "gm-exit: 256 (no code)\n", 0, ""},
		{"gm-exit: 0 (no failure)\n", "gm-exit: 0 (no failure)\n", 0, ""},
	}
	for _, tt := range tests {
		got := parseWorkerText([]byte(tt.in))
		if string(got.text) != tt.text || got.code != tt.code || got.reason != tt.reason {
			t.Errorf("parseWorkerText(%q): got %q, %d, %q, want %q, %d, %q",
				tt.in, got.text, got.code, got.reason, tt.text, tt.code, tt.reason)
		}
	}
}

// What a worker appends, a client takes off again.
func FuzzWorkerText(f *testing.F) {
	f.Add("words\n", 3, "exit status 3")
	f.Add("words", 255, "a (b)\nc")
	f.Fuzz(func(t *testing.T, text string, code int, reason string) {
		if code < 1 || code > 255 {
			code = 1
		}
		got := parseWorkerText(appendExitLine([]byte(text), code, reason))
		if want := text; string(got.text) != want && string(got.text) != want+"\n" {
			t.Errorf("got text %q, want %q", got.text, want)
		}
		if got.code != code {
			t.Errorf("got code %d, want %d", got.code, code)
		}
	})
}

func TestParseProgress(t *testing.T) {
	if num, den, err := parseProgress([]string{"3", "10"}); num != 3 || den != 10 || err != nil {
		t.Errorf("got %d, %d, %v, want 3, 10", num, den, err)
	}
	for _, words := range [][]string{nil, {"3"}, {"3", "x"}, {"-3", "10"}, {"3", "10", "x"}} {
		if _, _, err := parseProgress(words); err == nil {
			t.Errorf("parseProgress(%q): got no error", words)
		}
	}
}
