package tune

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		live, spare uint64
		want        int
	}{
		{0, 256 * mib, 2400},
		{8 * mib, 256 * mib, 1200},
		{12 * mib, 256 * mib, 800},
		{13 * mib, 256 * mib, 600},
		{17 * mib, 256 * mib, 500},
		{20 * mib, 256 * mib, 400},
		{64 * mib, 256 * mib, 400},
		{65 * mib, 256 * mib, 300},
		{100 * mib, 256 * mib, 200},
		{200 * mib, 256 * mib, 100},
		{1 << 40, 256 * mib, 100},
		{0, 64 * mib, 1200},
		{16 * mib, 64 * mib, 400},
	} {
		if got := garbagePercent(test.live, test.spare); got != test.want {
			t.Errorf("%d bytes live, %d to spare: %d, want %d", test.live, test.spare, got, test.want)
		}
	}
}

func TestLiveHeap(t *testing.T) {
	for _, percent := range []int{100, usualGarbage} {
		func() {
			defer debug.SetGCPercent(debug.SetGCPercent(percent))
			block := make([]byte, 64<<20)
			runtime.GC()
			live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
			metrics.Read(live)
			got, want := liveHeap(percent), live[0].Value.Uint64()
			if got < want*95/100 || got > want*105/100 {
				t.Errorf("%d percent: got %d bytes, want about %d", percent, got, want)
			}
			runtime.KeepAlive(block)
		}()
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
		got := 0
		for got == 0 { // an object that was made while the collector ran is the next run's
			runtime.GC()
			select {
			case got = <-calls:
			default:
				runtime.Gosched()
			}
		}
		if got != want {
			t.Errorf("call %d, want %d", got, want)
		}
	}
}
