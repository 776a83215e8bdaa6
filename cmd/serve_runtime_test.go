package cmd

import (
	"runtime"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, 400},
		{64 << 20, 400},
		{65 << 20, 300},
		{100 << 20, 200},
		{200 << 20, 100},
		{1 << 40, 100},
	} {
		if got := garbagePercent(test.live, 256<<20); got != test.want {
			t.Errorf("%d bytes live: %d, want %d", test.live, got, test.want)
		}
	}
}

func TestSpareMemory(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, test := range []struct {
		bound int64
		want  uint64
	}{
		{0, 256 * mib},
		{200 * mib, 64 * mib},
		{4 * gib, gib / 2},
		{64 * gib, gib},
	} {
		if got := spareMemory(test.bound); got != test.want {
			t.Errorf("bound %d: %d, want %d", test.bound, got, test.want)
		}
	}
}

func TestAfterEachCollection(t *testing.T) {
	calls := make(chan int)
	n := 0
	afterEachCollection(func() bool {
		n++
		calls <- n
		return n < 3
	})
	for want := 1; want <= 3; want++ {
		runtime.GC()
		if got := <-calls; got != want {
			t.Errorf("call %d, want %d", got, want)
		}
	}
}
