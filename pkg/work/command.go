package work

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

const (
	// roomPatience is how long a job waits for room to start its program before it
	// goes back to its queue. Each return counts as a lost attempt, and with many
	// slots a job would come back at once and use up its attempts in a second.
	roomPatience  = 2 * time.Second
	firstRoomWait = 50 * time.Millisecond
)

// runWithRoom calls run, and again for a while if the system has no room to start
// the program.
func runWithRoom(ctx context.Context, run func() runner.Result) runner.Result {
	for wait, waited := firstRoomWait, time.Duration(0); ; wait *= 2 {
		res := run()
		if res.StartErr == nil || !res.Temporary() || waited >= roomPatience || !sleepContext(ctx, wait) {
			return res
		}
		waited += wait
	}
}

// sleepContext waits for d. It reports false if ctx is done before that.
func sleepContext(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// children runs a child for each job.
type children struct {
	stream  bool          // send stdout at once
	limit   int           // maximum size of a result in bytes
	timeout time.Duration // of a job; 0: none
	kill    <-chan struct{}
	log     *slog.Logger
}

// program is a [runner.Command] or a substitute for it.
type program interface {
	Run(ctx context.Context, j runner.Job) runner.Result
}

// runChild does a job with a child of its own.
func (c *children) runChild(ctx context.Context, j *job, p program) ([]byte, runner.Result) {
	out := &output{job: j, stream: c.stream, limit: c.limit, log: c.log}
	res := p.Run(ctx, runner.Job{
		Env:     environOf(j, c.timeout),
		Stdin:   j.Payload(),
		Stdout:  out.write,
		Control: out.control,
		Kill:    c.kill,
	})
	if !res.OK() {
		return nil, res
	}
	return out.data.Join(), res
}

// environOf returns the variables that describe a job to its program.
func environOf(j *job, timeout time.Duration) []string {
	env := []string{
		"GEARMAN_FUNCTION=" + j.Function(),
		"GEARMAN_HANDLE=" + string(j.Handle()),
		"GEARMAN_UNIQUE=" + j.Unique(),
		"GEARMAN_SERVER=" + j.server,
		"GM_SLOT=" + strconv.Itoa(j.slot),
	}
	if timeout > 0 {
		env = append(env, "GM_DEADLINE="+strconv.FormatInt(deadlineAfter(timeout), 10))
	}
	if j.attempt > 0 {
		env = append(env, "GM_ATTEMPT="+strconv.Itoa(j.attempt))
	}
	return env
}

// deadlineAfter returns the first full second after a timeout, in Unix seconds.
func deadlineAfter(timeout time.Duration) int64 {
	return time.Now().Add(timeout + time.Second - 1).Unix()
}

// judge returns the error that ends a job whose program did not succeed. lacksFile
// is set if that could not be started because its file was removed.
func judge(ctx context.Context, res runner.Result, lacksFile bool) error {
	err := res.Err()
	if errors.Is(err, runner.ErrNewline) {
		err = fmt.Errorf("%w; gm work --keep=netstring and --keep=json take any payload", err)
	}
	cause := context.Cause(ctx)
	switch {
	case res.Cancelled && errors.Is(cause, gearman.ErrLost):
		return cause
	case res.Cancelled && errors.Is(cause, gearman.ErrCancelled):
		err = gearman.ErrCancelled
	case res.Cancelled, res.Temporary(), lacksFile:
		return &returnedJob{reason: err}
	}
	return &failedJob{text: res.Stderr, code: res.Code(), reason: err}
}
