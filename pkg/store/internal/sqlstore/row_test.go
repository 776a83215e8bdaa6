package sqlstore

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"gm/pkg/store"
)

func text(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func TestRowNames(t *testing.T) {
	long := strings.Repeat("u", 64)
	for _, tc := range []struct {
		function, unique string
		name, key        string
	}{
		{"f", "u", "f", "u"},
		{"f", "", "f", "gm-77"},
		{"f", "-", "f", "gm-77"},
		{"f", strings.Repeat("u", 63), "f", strings.Repeat("u", 63)},
		{"f", long, "f", "gm:"},
		{"f", "gm-1", "f", "gm:"},
		{"f", "gm:1", "f", "gm:"},
		{"f", "a\x00b", "f", "gm:"},
		{"gm-1", "u", "gm:", "u"},
		{"f\xff", "u", "gm:", "u"},
		{strings.Repeat("f", 256), "u", "gm:", "u"},
	} {
		r := &store.Record{Seq: 77, Function: tc.function, Unique: tc.unique, Priority: 1}
		row := NewRow(r, text)
		if !same(row.Name, tc.name) || !same(row.Key, tc.key) {
			t.Errorf("%q %q: got %q %q, want %q %q", tc.function, tc.unique, row.Name, row.Key, tc.name, tc.key)
		}
		if got, err := row.Record(); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%q %q: comes back as %+v, %v", tc.function, tc.unique, got, err)
		}
	}
}

// same reports whether got equals want, or is any hash if want has one.
func same(got, want string) bool {
	if strings.HasPrefix(want, hashPrefix) {
		return strings.HasPrefix(got, hashPrefix) && len(got) == len(hashPrefix)+48
	}
	return got == want
}

func TestRowTime(t *testing.T) {
	for _, tc := range []struct {
		runAt int64
		when  int32
	}{
		{0, 0}, {1, 1}, {999, 1}, {1000, 1}, {1001, 2}, {1_795_000_000_001, 1_795_000_001}, {4_102_444_800_000, math.MaxInt32}, {math.MaxInt64, math.MaxInt32},
	} {
		row := NewRow(&store.Record{Function: "f", RunAt: tc.runAt}, text)
		if row.When != tc.when {
			t.Errorf("run at %d: got %d s, want %d", tc.runAt, row.When, tc.when)
		}
		if r, err := row.Record(); err != nil || r.RunAt != tc.runAt {
			t.Errorf("run at %d: comes back as %+v, %v", tc.runAt, r, err)
		}
	}
	// Someone has changed gearmand's column.
	row := NewRow(&store.Record{Function: "f", RunAt: 5500}, text)
	row.When = 100
	if r, err := row.Record(); err != nil || r.RunAt != 100_000 {
		t.Errorf("when_to_run changed: got %+v, %v, want 100000", r, err)
	}
}

func TestRowBroken(t *testing.T) {
	for name, row := range map[string]Row{
		"no function":         {Key: "u", Priority: 1},
		"negative priority":   {Key: "u", Name: "f", Priority: -1},
		"priority too high":   {Key: "u", Name: "f", Priority: 3},
		"negative run time":   {Key: "u", Name: "f", RunAt: -1},
		"attempts below zero": {Key: "u", Name: "f", Attempts: -1},
	} {
		if r, err := row.Record(); err == nil {
			t.Errorf("%s: got %+v, want an error", name, r)
		}
	}
}
