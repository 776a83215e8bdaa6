package work

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gm/internal/exitline"
	"gm/pkg/gearman"
)

// Exit codes of jobs that no program gave one.
const (
	codeFailed  = 1
	codeRefused = 77
)

// failedJob is the error of a job that has failed.
type failedJob struct {
	text   []byte // for the client; its exit line is added
	code   int    // exit code, 1 to 255
	reason error
	line   string // reason in the exit line; empty: that of reason
	said   string // reason in the program's own words; empty: it gave none
}

func (e *failedJob) Error() string { return e.reason.Error() }
func (e *failedJob) Unwrap() error { return e.reason }

// returnedJob is the error of a job that goes back to its queue.
type returnedJob struct {
	reason error
	alarm  bool // it is logged as a warning
}

func (e *returnedJob) Error() string   { return fmt.Sprintf("%v: %v", gearman.ErrRetry, e.reason) }
func (e *returnedJob) Unwrap() []error { return []error{gearman.ErrRetry, e.reason} }

// reporter reports the ends of jobs.
type reporter struct {
	log       *slog.Logger
	exception bool // failures are exceptions
}

// conclude logs the end of a job and reports a failure to the client. It returns
// the error with which a gearman.Handler ends the job.
func (r *reporter) conclude(ctx context.Context, j *job, err error) error {
	if err == nil && !r.log.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	log := r.log.With("handle", string(j.Handle()), "function", j.Function(), "server", j.Server().String())
	if j.Reducer() != "" {
		log = log.With("reducer", j.Reducer())
	}
	if j.took > 0 {
		log = log.With("ms", j.took.Milliseconds())
	}
	if err == nil && j.parts > 0 {
		log = log.With("parts", j.parts)
	}
	if err == nil {
		log.Debug("job completed")
		return nil
	}

	var failed *failedJob
	if errors.As(err, &failed) {
		failed.log(log)
		text := exitline.Append(failed.text, failed.code, cmp.Or(failed.line, failed.reason.Error()))
		if r.exception {
			failed.reason = &gearman.Exception{Data: text}
		} else if unsent := j.SendWarning(text); unsent != nil {
			log.Warn("warning not sent", "error", unsent)
		}
	}
	var returned *returnedJob
	var raised *gearman.Exception
	switch {
	case errors.As(err, &returned):
		level := slog.LevelInfo
		if returned.alarm {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "job goes back to its queue", "reason", returned.reason)
	case failed != nil:
	case errors.As(err, &raised):
		log.Warn("job failed", "exception", string(raised.Data))
	case errors.Is(err, gearman.ErrLost):
		log.Warn("job stopped", "error", err)
	default:
		log.Warn("job failed", "reason", err)
	}
	return err
}

// log logs why the job has failed.
func (e *failedJob) log(log *slog.Logger) {
	switch {
	case errors.Is(e.reason, gearman.ErrCancelled):
		log.Info("job cancelled")
	case e.said != "":
		log.Warn("job failed", "reason", e.said, "exit", e.code)
	default:
		log.Warn("job failed", "reason", e.reason)
	}
}
