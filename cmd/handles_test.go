package cmd

import "testing"

func TestMatchesName(t *testing.T) {
	for _, test := range []struct {
		pattern, function string
		want              bool
	}{
		{"img", "img", true},
		{"img", "imgs", false},
		{"img*", "img/small", true},
		{"img*", "img", true},
		{"*", `App\Jobs\Resize`, true},
		{`App\Jobs\*`, `App\Jobs\Resize`, true},
		{`App\Jobs\*`, `App\Other`, false},
		{"im?", "img", true},
		{"[ab]c", "bc", true},
		{"[*]", "*", true},
		{"a[", "a[", true},
		{"a[", "ab", false},
		{"*[", "x[", false},
		{"日*", "日本", true},
	} {
		if got := matchesName(test.pattern, test.function); got != test.want {
			t.Errorf("matchesName(%q, %q) = %t, want %t", test.pattern, test.function, got, test.want)
		}
	}
	for name, want := range map[string]bool{"a": false, "a*": true, "a[": false, "[a]": true, `a\`: false, `a\*`: true, "?": true} {
		if got := isPattern(name); got != want {
			t.Errorf("isPattern(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestHandleOfLine(t *testing.T) {
	for line, want := range map[string]string{
		"H:a:1": "H:a:1", " H:a:1\r": "H:a:1", "a:4730\tH:a:2\tresize\twaiting": "H:a:2", "": "",
	} {
		if got := handleOfLine(line); got != want {
			t.Errorf("handleOfLine(%q) = %q, want %q", line, got, want)
		}
	}
}
