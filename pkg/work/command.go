package work

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gm/internal/gather"
	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// runChild does a job with a child of its own.
func (w *Worker) runChild(ctx context.Context, j *job, command *runner.Command) ([]byte, runner.Result) {
	var result gather.Buffer
	res := command.Run(ctx, runner.Job{
		Env:     environOf(j, command.Timeout),
		Stdin:   j.Payload(),
		Control: func(line string) { w.control(j, line) },
		Kill:    w.killing,
		Stdout: func(chunk []byte) error {
			if w.config.Stream {
				return j.SendData(chunk)
			}
			if limit := w.config.MaxPayload; result.Size()+len(chunk) > limit {
				return fmt.Errorf("the result is over the limit of %d bytes", limit)
			}
			result.Add(chunk)
			return nil
		},
	})
	if !res.OK() {
		return nil, res
	}
	return result.Join(), res
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

// control handles a line that a program has written to GM_CONTROL_FD.
func (w *Worker) control(j *job, line string) {
	word, rest, _ := strings.Cut(line, " ")
	var err error
	switch word {
	case "status":
		var num, den int64
		if num, den, err = ParseProgress(strings.Fields(rest)); err == nil {
			err = j.SendStatus(num, den)
		}
	case "warn":
		err = j.SendWarning([]byte(rest))
	case "data":
		err = j.SendData([]byte(rest + "\n"))
	case "data64":
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(rest); err == nil {
			err = j.SendData(data)
		}
	default:
		err = errors.New("not status, warn, data or data64")
	}
	if err != nil {
		w.log.Warn("control line not heeded", "handle", string(j.Handle()), "line", fmt.Sprintf("%.80s", line), "error", err)
	}
}

// ParseProgress reads the numerator and the denominator of a control line.
// Neither is negative.
func ParseProgress(words []string) (num, den int64, err error) {
	if len(words) == 2 {
		if num, err = strconv.ParseInt(words[0], 10, 64); err == nil {
			den, err = strconv.ParseInt(words[1], 10, 64)
		}
	}
	if len(words) != 2 || err != nil || num < 0 || den < 0 {
		return 0, 0, fmt.Errorf("progress %q: not two numbers such as 3 10", strings.Join(words, " "))
	}
	return num, den, nil
}

// judge returns the error that ends a job whose program did not succeed.
func (w *Worker) judge(ctx context.Context, command *runner.Command, res runner.Result) error {
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
	case res.Cancelled, res.Temporary(), res.StartErr != nil && w.dir != nil && w.dir.lacksFile(command):
		return &returnedJob{reason: err}
	}
	return &failedJob{text: res.Stderr, code: res.Code(), reason: err}
}
