package fleet

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
		if got := MatchesName(test.pattern, test.function); got != test.want {
			t.Errorf("MatchesName(%q, %q) = %t, want %t", test.pattern, test.function, got, test.want)
		}
	}
	for name, want := range map[string]bool{"a": false, "a*": true, "a[": false, "[a]": true, `a\`: false, `a\*`: true, "?": true} {
		if got := IsPattern(name); got != want {
			t.Errorf("IsPattern(%q) = %t, want %t", name, got, want)
		}
	}
}
