package work

import (
	"regexp"
	"testing"
)

func TestChainUnique(t *testing.T) {
	seen := map[string]string{}
	for _, tt := range []struct{ handle, unique, payload, root string }{
		{"H:a:1", "", "p", ""},
		{"H:a:2", "", "p", ""},
		{"H:a:1", "", "q", ""},
		{"H:a:1", "key", "p", "key"},
		{"H:a:", "1key", "p", "1key"},
		{"H:a:1", "keyp", "", "keyp"},
		{"H:a:1", "key~0123456789abcdef01234567", "p", "key"},
		{"H:a:1", "key~fedcba9876543210fedcba98", "p", "key"},
		{"H:a:1", "~0123456789abcdef01234567", "p", ""},
		{"H:a:1", "key~0123456789abcdef0123456", "p", "key~0123456789abcdef0123456"},
		{"H:a:1", "key~0123456789abcdef0123456x", "p", "key~0123456789abcdef0123456x"},
		{"H:a:1", "0123456789abcdef01234567", "p", "0123456789abcdef01234567"},
	} {
		name := tt.handle + "," + tt.unique + "," + tt.payload
		got := chainUnique(tt.handle, tt.unique, []byte(tt.payload))
		if want := regexp.MustCompile("^" + tt.root + "~[0-9a-f]{24}$"); !want.MatchString(got) {
			t.Errorf("%s: got %s, want %v", name, got, want)
		}
		if again := chainUnique(tt.handle, tt.unique, []byte(tt.payload)); again != got {
			t.Errorf("%s: got %s, then %s", name, got, again)
		}
		if other := seen[got]; other != "" {
			t.Errorf("%s: got %s, as for %s", name, got, other)
		}
		seen[got] = name
	}
}
