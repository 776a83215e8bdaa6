package batch

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/gearman"
)

// A window that was full gets its records by the eighth, or after refillDelay.
func TestRefill(t *testing.T) {
	const window = 16
	tests := []struct {
		name  string
		apart time.Duration // of the ends of the first jobs
		want  time.Duration // from the first end to the next record
	}{
		{"ends that follow each other", refillDelay / 4, refillDelay / 4},
		{"ends far from each other", 10 * refillDelay, refillDelay},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				sent := map[int]time.Duration{}
				begin := time.Now()
				c := &fakeClient{job: func(n int, task *gearman.Task, created func()) error {
					mu.Lock()
					sent[n] = time.Since(begin)
					mu.Unlock()
					created()
					time.Sleep(time.Second + time.Duration(n)*tt.apart)
					task.OnComplete(nil)
					return nil
				}}
				b := &Batch{Client: c, Window: window}
				if sum, err := b.Run(t.Context(), numbered(window+2)); err != nil || sum.Records != window+2 {
					t.Fatalf("got %+v, %v", sum, err)
				}
				firstEnd := time.Second + tt.apart
				if got := sent[window+1] - firstEnd; got != tt.want {
					t.Errorf("the next record was sent %v after the first end, want %v", got, tt.want)
				}
				if c.most != window {
					t.Errorf("got %d in flight at most, want %d", c.most, window)
				}
			})
		})
	}
}
