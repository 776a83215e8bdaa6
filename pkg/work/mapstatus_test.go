package work

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Of several numbers within statusEvery the client gets the first and the last.
func TestMapStatusEndsWithTheLatestNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var got []string
		s := &mapStatus{total: 8, send: func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%d/%d at %v", done, total, time.Since(began)))
		}}
		want := func(all ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, all) {
				t.Errorf("got %q, want %q", got, all)
			}
			got = nil
		}
		s.addPart()
		time.Sleep(10 * time.Millisecond)
		s.addPart()
		s.addPart()
		want("1/8 at 0s")
		time.Sleep(time.Minute)
		want("3/8 at 100ms")
		s.addPart()
		want("4/8 at 1m0.01s")
		for range 4 {
			s.addPart()
		}
		want("8/8 at 1m0.01s")
		time.Sleep(time.Minute)
		want()
	})
}

// No status follows the end of a job.
func TestMapStatusStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := &mapStatus{total: 8, send: func(int64, int64) { sent++ }}
		s.addPart()
		s.addPart()
		s.stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if sent != 1 {
			t.Errorf("got %d statuses, want 1", sent)
		}
	})
}
