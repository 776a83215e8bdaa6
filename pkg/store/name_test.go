package store

import "testing"

func TestSplitName(t *testing.T) {
	const id = "5567cb7e-e737-11f1-b42d-02fc00000001"
	for _, tc := range []struct{ name, function, unique string }{
		{"f-u", "f", "u"},
		{"f-", "f", ""},
		{"f--", "f", "-"},
		{"f-u-v", "f", "u-v"},
		{"f-" + id, "f", id},
		{"send-email-" + id, "send-email", id},
		{"send-email-" + id + "0", "send", "email-" + id + "0"},
		{"send-email-g" + id[1:], "send", "email-g" + id[1:]},
		{"send-email" + id, "send", "email" + id},
		{"-" + id, "", ""},
		{"-u", "", ""},
		{"f", "", ""},
		{"", "", ""},
	} {
		function, unique, ok := SplitName(tc.name)
		if !ok {
			function, unique = "", ""
		}
		if function != tc.function || unique != tc.unique {
			t.Errorf("%q: got %q and %q, want %q and %q", tc.name, function, unique, tc.function, tc.unique)
		}
	}
}
