package sqlstore

import "testing"

func TestFenceTake(t *testing.T) {
	const now = 1_000_000
	gone := func(where string) bool { return where == "gone" }
	for _, tc := range []struct {
		name  string
		value string
		again bool
		want  bool
	}{
		{"no fence", "", false, true},
		{"no fence any more", "", true, true},
		{"another's, fresh", "other.1 there 999995 7", false, false},
		{"another's, old", "other.1 there 999980 7", false, true},
		{"another's, freed", "other.1 there 0 7", false, true},
		{"another's, gone", "other.1 gone 999999 7", false, true},
		{"another's since ours, freed", "other.1 there 0 7", true, false},
		{"another's since ours, old", "other.1 there 999000 7", true, false},
		{"ours", "store.3 there 999999 7", true, true},
		{"ours, freed", "store.3 there 0 7", true, true},
		{"of a name that begins like ours", "store2.3 there 999999 7", true, false},
		{"no value of a fence", "x", false, true},
	} {
		f := NewFence("store")
		if got := f.Take(Claim{Value: tc.value, Now: now, Where: "here", Gone: gone, Again: tc.again}); got != tc.want || f.Held() != tc.want {
			t.Errorf("%s: got %t, held %t, want %t", tc.name, got, f.Held(), tc.want)
		}
	}
}

func TestFenceLast(t *testing.T) {
	f := NewFence("store")
	if !f.Take(Claim{Value: "other.1 there 0 700", Now: 5, Where: "here", Gone: func(string) bool { return false }}) {
		t.Fatal("not taken")
	}
	for _, seq := range []uint64{600, 900, 800} {
		f.NoteLast(seq)
	}
	if got, want := f.Value(), "store.1 here 5 900"; got != want {
		t.Errorf("value: got %q, want %q", got, want)
	}
	if got := FenceLast(f.FreeValue()); got != 900 {
		t.Errorf("last of %q: got %d, want 900", f.FreeValue(), got)
	}
	if got := FenceLast("garbage"); got != 0 {
		t.Errorf("last of garbage: got %d, want 0", got)
	}
}
