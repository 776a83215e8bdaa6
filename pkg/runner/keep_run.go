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
	// How long to wait before a child follows one that has answered nothing.
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second

	// rssEvery is the time between two looks at a child's memory.
	rssEvery = 100 * time.Millisecond
)

// keeping is what a Keeper has of its children.
type keeping struct {
	child   *kept         // to be asked; nil if there is none
	leaving *kept         // was told to end and seen off by retiring
	pause   time.Duration // before the next start, 0 if the last child has answered
	failed  time.Time     // when one that has not came to its end
	settle  time.Duration // after a child's first answer; 0 means firstSettle
	hinted  bool          // that the command may hold its output in a buffer
	looking time.Duration // 0 means lookEvery

	retiring sync.WaitGroup
}

// Do has a child do one job, a new child if there is none or the last has come
// to its end. It returns when take has had the last answer, or when the child
// that has failed the job is gone with all that [Command.Run] would end. Nothing
// of payload is used after that. The Result's Stderr is what came in the job's
// time.
//
// A child that ends without an answer fails the job as it would fail a Run. If
// it has answered before and has not read a byte of the payload, the job goes to
// a new one. After a child that has never answered, the next starts only after a
// pause, from 100 ms and doubled to at most 10 s, during which Do waits.
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

// Close has the child end: its input does, and if that does not help within
// Command.KillAfter, or ctx is done, it is stopped as Run would stop it. Close
// returns when it is gone. The Keeper may be used again.
func (k *Keeper) Close(ctx context.Context) {
	if k.child != nil {
		k.retire("closed")
	}
	if c := k.leaving; c != nil {
		defer context.AfterFunc(ctx, c.stop)()
		<-c.gone
	}
	k.retiring.Wait()
	k.leaving = nil
}

// ready returns a child that waits for a payload, or why there is none.
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
		<-c.gone
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

// dismiss makes an end of a child that did between two jobs what it should not.
func (k *Keeper) dismiss(c *kept, err error) {
	if errors.Is(err, io.EOF) {
		res := c.end()
		k.log().Info("kept command ended between jobs", "jobs", c.answered, "reason", reasonOf(res))
	} else {
		k.distrust()
		k.log().Warn("kept command wrote what no job had asked for: the answer before may be wrong",
			"jobs", c.answered, "output", fmt.Sprintf("%.80q", c.unread()))
		c.stop()
		c.end()
	}
	k.noteEnd(c)
}

// answered counts a job and retires a child that has come to a limit.
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

// retire has the child end, beside what comes next.
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

// distrust makes children prove themselves for longer: one has written something
// after its answer was taken.
func (k *Keeper) distrust() { k.settle = min(8*k.settling(), maxSettle) }

func (k *Keeper) settling() time.Duration { return max(k.settle, firstSettle) }

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

// waitPause waits until a child may be started; false if the job is not to wait.
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

// reasonOf describes in words how a child has ended by itself.
func reasonOf(res Result) string {
	if err := res.Err(); err != nil {
		return err.Error()
	}
	return "exit status 0"
}
