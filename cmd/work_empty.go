package cmd

import (
	"context"
	"time"

	"gm/pkg/gearman"
)

// loadingPoll is how often a server is asked whether it still reads its store.
const loadingPoll = 200 * time.Millisecond

// endWhenEmpty ends the worker when there has been no job for the time of --idle.
// ctx is done as soon as there may be one.
func (w *commandWorker) endWhenEmpty(ctx context.Context) {
	if !sleepFor(ctx, w.idle) {
		return
	}
	for w.isLoading(ctx) {
		if !sleepFor(ctx, loadingPoll) {
			return
		}
	}
	if ctx.Err() == nil {
		w.log.Info("ending, because no server has a job", "jobs", w.done.Load())
		w.stop()
	}
}

// isLoading reports whether any server still reads its store and so does not know
// all of its jobs. Only gm serve can tell.
func (w *commandWorker) isLoading(ctx context.Context) bool {
	for _, s := range w.mapper.options.Servers {
		admin := gearman.NewAdmin(s, w.options)
		stats, _, err := admin.Stats(ctx)
		admin.Close()
		if err == nil && stats.Loading {
			return true
		}
	}
	return false
}

// sleepFor waits for a time and reports whether it has passed before ctx was done.
func sleepFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
