package exitline

import "testing"

func TestParse(t *testing.T) {
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
		got := Parse([]byte(tt.in))
		if string(got.Body) != tt.text || got.Code != tt.code || got.Reason != tt.reason {
			t.Errorf("Parse(%q): got %q, %d, %q, want %q, %d, %q",
				tt.in, got.Body, got.Code, got.Reason, tt.text, tt.code, tt.reason)
		}
	}
}

// FuzzAppend parses appended exit lines.
func FuzzAppend(f *testing.F) {
	f.Add("words\n", 3, "exit status 3")
	f.Add("words", 255, "a (b)\nc")
	f.Fuzz(func(t *testing.T, text string, code int, reason string) {
		if code < 1 || code > 255 {
			code = 1
		}
		got := Parse(Append([]byte(text), code, reason))
		if want := text; string(got.Body) != want && string(got.Body) != want+"\n" {
			t.Errorf("got text %q, want %q", got.Body, want)
		}
		if got.Code != code {
			t.Errorf("got code %d, want %d", got.Code, code)
		}
	})
}
