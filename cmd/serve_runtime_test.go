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
		if got := garbagePercent(test.live); got != test.want {
			t.Errorf("%d bytes live: %d, want %d", test.live, got, test.want)
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
