//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// The wait before the start of a child that follows one without an answer.
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second

	// rssEvery is the time between two checks of a child's memory.
	rssEvery = 100 * time.Millisecond
)

// keeping is the state of a Keeper's children.
type keeping struct {
	child     *kept         // the present child; nil if there is none
	leaving   *kept         // the last child that was replaced; retiring awaits its end
	pause     time.Duration // wait before the next start, 0 if the last child has answered
	failed    time.Time     // end of the last child that has not answered
	quietTime time.Duration // wait after the first answer of a child; 0 is firstQuiet
	hinted    bool          // the hint about buffered output was logged
	checking  time.Duration // 0 is checkEvery

	retiring sync.WaitGroup
}

// Do does one job with the present child, or with a new one if there is none. It returns
// when take has got the last answer, or when the job has failed and the child has ended
// with all processes that [Command.Run] would end. It does not use payload after its
// return. Result.Stderr has the stderr of the child during the job, and for its first job
// since its start.
//
// If the child ends without an answer, the job fails as in a Run. If the child has
// answered before and has read no byte of the payload, the job goes to a new child. If a
// child has never answered, Do waits before it starts the next one: 100 ms at first,
// doubled each time up to 10 s.
func (k *Keeper) Do(ctx context.Context, payload []byte, take Take) Result {
	if err := k.Framing.check(payload); err != nil {
		return Result{AnswerErr: err}
	}
	for {
		c, res := k.ready(ctx)
		if c == nil {
			return res
		}
		began := time.Now()
		err := c.ask(ctx, payload, take, began)
		if err == nil {
			k.answered(c)
			return Result{Duration: time.Since(began)}
		}
		res = c.fail(ctx, err)
		res.Duration = time.Since(began)
		k.child = nil
		k.noteEnd(c)
		if errors.Is(err, io.EOF) && c.untouched && c.answered > 0 {
			k.log().Info("kept command ended between jobs", "jobs", c.answered, "reason", reasonOf(res))
			continue
		}
		return res
	}
}

// Close closes the stdin of the child and returns when it has ended. If the child does
// not end within Command.KillAfter, or if ctx is done, Close stops it as Run does. The
// Keeper may be used again.
func (k *Keeper) Close(ctx context.Context) {
	if k.child != nil {
		k.retire("closed")
	}
	if c := k.leaving; c != nil {
		defer context.AfterFunc(ctx, c.stop)()
		<-c.done
	}
	k.retiring.Wait()
	k.leaving = nil
}

// ready returns a child that waits for a payload, or the result of a job without one.
func (k *Keeper) ready(ctx context.Context) (*kept, Result) {
	if c := k.child; c != nil {
		if limit := k.limit(c, time.Now()); limit != "" {
			k.retire(limit)
		} else if err := c.rest(); err != nil {
			k.child = nil
			k.dismiss(c, err)
		} else {
			return c, Result{}
		}
	}
	if c := k.leaving; c != nil {
		unhook := context.AfterFunc(ctx, c.stop)
		<-c.done
		unhook()
		k.leaving = nil
	}
	if !k.waitPause(ctx) {
		return nil, Result{Cancelled: true}
	}
	c, err := k.start()
	if err != nil {
		k.failedNow()
		return nil, Result{StartErr: err}
	}
	k.child = c
	return c, Result{}
}

// dismiss ends a child that has ended or broken the rules between two jobs.
func (k *Keeper) dismiss(c *kept, err error) {
	if errors.Is(err, io.EOF) {
		res := c.end()
		k.log().Info("kept command ended between jobs", "jobs", c.answered, "reason", reasonOf(res))
	} else {
		k.distrust()
		k.log().Warn("kept command wrote output without a job: the answer before may be wrong",
			"jobs", c.answered, "output", fmt.Sprintf("%.80q", c.unread()))
		c.stop()
		c.end()
	}
	k.noteEnd(c)
}

// answered counts a job, and retires a child that has reached a limit.
func (k *Keeper) answered(c *kept) {
	c.answered++
	k.pause = 0
	limit := k.limit(c, time.Now())
	if c.spent {
		limit = "cancelled"
	}
	if limit != "" {
		k.retire(limit)
	}
}

// retire ends the child in the background.
func (k *Keeper) retire(reason string) {
	c := k.child
	k.child, k.leaving = nil, c
	k.log().Debug("kept command is replaced", "limit", reason, "jobs", c.answered)
	k.retiring.Go(c.leave)
}

// limit returns the limit that a child has come to; empty if none.
func (k *Keeper) limit(c *kept, now time.Time) string {
	switch {
	case k.MaxJobs > 0 && c.answered >= k.MaxJobs:
		return "jobs"
	case k.MaxAge > 0 && now.Sub(c.began) >= k.MaxAge:
		return "age"
	case k.MaxRSS > 0 && c.answered > 0 && now.Sub(c.weighed) >= rssEvery:
		c.weighed = now
		if treeRSS(c.child.pid) > k.MaxRSS {
			return "memory"
		}
	}
	return ""
}

// distrust lengthens the wait after the first answer of a child, because one has
// written output after its answer.
func (k *Keeper) distrust() { k.quietTime = min(8*k.quiet(), maxQuiet) }

func (k *Keeper) quiet() time.Duration { return max(k.quietTime, firstQuiet) }

// noteEnd makes the next start wait if a child has answered nothing.
func (k *Keeper) noteEnd(c *kept) {
	if c.answered == 0 {
		k.failedNow()
	}
}

func (k *Keeper) failedNow() {
	k.failed = time.Now()
	k.pause = min(max(2*k.pause, firstPause), maxPause)
}

// waitPause waits until a child may be started. It returns false if the job was
// cancelled.
func (k *Keeper) waitPause(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	left := k.pause - time.Since(k.failed)
	if k.pause == 0 || left <= 0 {
		return true
	}
	k.log().Warn("kept command is started again after a pause", "pause", k.pause)
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-k.Kill:
	}
	return false
}

// reasonOf describes the end of a child that has ended on its own.
func reasonOf(res Result) string {
	if err := res.Err(); err != nil {
		return err.Error()
	}
	return "exit status 0"
}
