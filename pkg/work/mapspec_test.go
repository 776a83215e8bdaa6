package work

import (
	"reflect"
	"testing"
)

func TestMapSpec(t *testing.T) {
	usual := NewMapSpec("add")
	with := func(change func(*MapSpec)) MapSpec {
		m := usual
		change(&m)
		return m
	}
	tests := []struct {
		text  string
		want  MapSpec
		again string // from String
	}{
		{"add", usual, "add block=1MiB"},
		{"add ", usual, "add block=1MiB"},
		{"add  block=1M", usual, "add block=1MiB"},
		{" block=1M", with(func(m *MapSpec) { m.Reducer = "" }), " block=1MiB"},
		{"add block=64K arity=8", with(func(m *MapSpec) { m.Blocks, m.Arity = []int{64 << 10}, 8 }), "add block=64KiB arity=8"},
		{"add block=1G,1M,1000", with(func(m *MapSpec) { m.Blocks = []int{1 << 30, 1 << 20, 1000} }), "add block=1GiB,1MiB,1000"},
		{`add split=\x20\n\t\\\0;`, with(func(m *MapSpec) { m.Delim = []byte(" \n\t\\\x00;") }), `add block=1MiB split=\x20\n\t\\\x00;`},
		{`add comma=, header=1`, with(func(m *MapSpec) { m.Comma, m.Header = ',', 1 }), "add block=1MiB comma=, header=1"},
		{`add comma=\t`, with(func(m *MapSpec) { m.Comma = '\t' }), `add block=1MiB comma=\t`},
		{"add jobs=1 retries=2", with(func(m *MapSpec) { m.Jobs, m.Retries = 1, 2 }), "add block=1MiB jobs=1 retries=2"},
	}
	for _, tt := range tests {
		got, err := ParseMapSpec(tt.text)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: got %+v, %v, want %+v", tt.text, got, err, tt.want)
			continue
		}
		if s := got.String(); s != tt.again {
			t.Errorf("%q: got %q again, want %q", tt.text, s, tt.again)
		}
		if again, err := ParseMapSpec(tt.again); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q: got %+v, %v the second time", tt.text, again, err)
		}
	}
}

func TestMapSpecIsWrong(t *testing.T) {
	tests := []struct{ text, want string }{
		{"add what=1", `reducer "add what=1": what: no such option`},
		{"add arity=1", `reducer "add arity=1": arity: "1" is not from 2 to 65536`},
		{"add block=0", `reducer "add block=0": block: not from 1 to 2G`},
		{"add block=", `reducer "add block=": block: size "": not like 4096, 64K or 1GiB`},
		{"add split=", `reducer "add split=": split: it is empty`},
		{`add split=\q`, `reducer "add split=\\q": split: unknown escape \q`},
		{`add comma=;;`, `reducer "add comma=;;": comma: ";;" is not one byte`},
		{`add header`, `reducer "add header": header: "" is not from 0 to 2147483647`},
	}
	for _, tt := range tests {
		if _, err := ParseMapSpec(tt.text); err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestMapSpecOfParts(t *testing.T) {
	m, err := ParseMapSpec("add block=64M,1M,8K arity=3")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.reducerOfParts(), "add block=1MiB,8KiB arity=3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := NewMapSpec("add").reducerOfParts(); got != "" {
		t.Errorf("got reducer %q of parts without a second block size", got)
	}
}
