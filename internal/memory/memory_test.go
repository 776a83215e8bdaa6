package memory

import (
	"os"
	"path/filepath"
	"testing"
)

// testLargest has the values of gm serve.
var testLargest = Largest{Payload: 64 << 20, Results: 64 << 20}

// TestDivide checks that for any amount of memory the parts of the plan fit into Go's
// limit, and that the limit is below the memory of the machine or the container.
func TestDivide(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, total := range []int64{32 * mib, 64 * mib, 128 * mib, 200 * mib, 256 * mib, 512 * mib, gib, 4 * gib, 64 * gib} {
		p := Divide(total, -1, testLargest)
		if room := total - p.Limit; room < total/10 || total >= 64*mib && p.Limit < total/2 {
			t.Errorf("%d MiB: the limit is %d MiB", total/mib, p.Limit/mib)
		}
		if p.Jobs < total/8 || p.Peers < min(total/32, gib) || p.Jobs+p.Peers > p.Limit*3/4 {
			t.Errorf("%d MiB: of %d MiB jobs may take %d and peers %d MiB", total/mib, p.Limit/mib, p.Jobs/mib, p.Peers/mib)
		}
		if p.Payloads > p.Jobs || p.Payloads < p.Jobs/2 {
			t.Errorf("%d MiB: jobs may take %d MiB, their payloads %d MiB", total/mib, p.Jobs/mib, p.Payloads/mib)
		}
		if p.Payload > 64*mib || p.Payload > total/8 || p.Payload < total/8 && p.Payload != 64*mib {
			t.Errorf("%d MiB: a payload may have %d MiB", total/mib, p.Payload/mib)
		}
		if p.Garbage > total/2 || p.Garbage < 4*mib {
			t.Errorf("%d MiB: %d MiB of garbage", total/mib, p.Garbage/mib)
		}
	}
	for _, test := range []struct{ asked, total, limit, payloads int64 }{
		{200 * mib, 64 * gib, 500 * mib, 200 * mib},
		{200 * mib, 0, 500 * mib, 200 * mib},
		{24 * gib, 24 * gib, 24*gib - 24*gib/10, 24 * gib}, // asked for
		{1 * gib, 64 * mib, 64*mib - 3*64*mib/10, gib},     // never more than the machine has
		{0, 64 * gib, 0, 0},                                // no bound
		{-1, 0, 0, 0},
	} {
		p := Divide(test.total, test.asked, testLargest)
		if p.Limit != test.limit || p.Payloads != test.payloads || p.Jobs > 0 && p.Jobs < p.Payloads {
			t.Errorf("%d for payloads of %d: got %+v, want the limit %d and %d for payloads", test.asked, test.total, p, test.limit, test.payloads)
		}
	}
}

func TestReadNumber(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]int64{"17\n": 17, "max\n": 0, "": 0, "0\n": 0} {
		file := filepath.Join(dir, "limit")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := readNumber(file); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := readNumber(filepath.Join(dir, "nosuch")); got != 0 {
		t.Errorf("no file: got %d", got)
	}
	file := filepath.Join(dir, "large")
	if err := os.WriteFile(file, []byte("99999999999999999999999"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readNumber(file); got < 1<<58 {
		t.Errorf("a number too large for its type: got %d", got)
	}
}

func TestGarbageFor(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, test := range []struct {
		bound int64
		want  int64
	}{
		{0, 256 * mib},
		{200 * mib, 64 * mib},
		{4 * gib, gib / 2},
		{64 * gib, gib},
	} {
		if got := garbageFor(test.bound); got != test.want {
			t.Errorf("bound %d: %d, want %d", test.bound, got, test.want)
		}
	}
}
