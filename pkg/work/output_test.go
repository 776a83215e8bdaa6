package work

import "testing"

func TestParseProgress(t *testing.T) {
	if num, den, err := ParseProgress([]string{"3", "10"}); num != 3 || den != 10 || err != nil {
		t.Errorf("got %d, %d, %v, want 3, 10", num, den, err)
	}
	for _, words := range [][]string{nil, {"3"}, {"3", "x"}, {"-3", "10"}, {"3", "10", "x"}} {
		if _, _, err := ParseProgress(words); err == nil {
			t.Errorf("ParseProgress(%q): got no error", words)
		}
	}
}
