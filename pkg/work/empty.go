package work

import (
	"context"
	"time"
)

// loadingPoll is how often a server is asked whether it still reads its store.
const loadingPoll = 200 * time.Millisecond

// endWhenEmpty ends the worker when there was no job for Config.Idle. ctx is done
// as soon as there may be one.
func (w *Worker) endWhenEmpty(ctx context.Context) {
	if !sleepContext(ctx, w.config.Idle) {
		return
	}
	for w.questions.isLoading(ctx) {
		if !sleepContext(ctx, loadingPoll) {
			return
		}
	}
	if ctx.Err() == nil {
		w.log.Info("ending, because no server has a job", "jobs", w.done.Load())
		w.Stop()
	}
}
