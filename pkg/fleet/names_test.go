package fleet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
)

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

func TestReadHandles(t *testing.T) {
	for text, want := range map[string]string{
		"H:a:1": "[H:a:1]", " H:a:1\r\n\nH:a:3\n": "[H:a:1 H:a:3]",
		"a:4730\tH:a:2\tresize\twaiting\n": "[H:a:2]", "": "[]", "\n\n": "[]",
	} {
		got, err := ReadHandles(strings.NewReader(text))
		if fmt.Sprint(got) != want || err != nil {
			t.Errorf("%q: got %v, %v, want %s", text, got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := ReadHandles(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
