package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"gm/pkg/wire"
)

// A change that a program makes by a method of Server. An administrator's change
// arrives as an admin command (see conn.change); both call the same functions, log
// the same line, and are answered when the store has the change.

// byProgram is the author of a change in the log if no connection has sent it.
const byProgram = "program"

// operationResult is the value and the error of an operation.
type operationResult[T any] struct {
	value T
	err   error
}

// runChange runs an operation under the lock and returns its result when the store
// has the change. run calls done with the result, at once or later, under the lock.
// command is the admin command for the log and for errors.
func runChange[T any](ctx context.Context, s *Server, command []string, run func(now int64, done func(T, error))) (T, error) {
	results := make(chan operationResult[T], 1)
	_, err := underLock(s, func() (struct{}, error) {
		if err := s.errEnded(ctx); err != nil {
			return struct{}{}, err
		}
		startChange(s, command, run, results)
		return struct{}{}, nil
	})
	if err != nil {
		return *new(T), commandError(command, err)
	}
	got, err := awaitResult(ctx, s, results)
	if err == nil {
		err = got.err
	}
	return got.value, commandError(command, err)
}

// startChange runs an operation and sends its result when the store has the
// change. The lock is held.
func startChange[T any](s *Server, command []string, run func(now int64, done func(T, error)), results chan<- operationResult[T]) {
	var got operationResult[T]
	finished, returned := false, false
	before := s.commit.position()
	run(s.q.Now(), func(value T, err error) {
		if got = (operationResult[T]{value, err}); returned {
			results <- got
			return
		}
		finished = true
	})
	returned = true
	if !finished || got.err == nil {
		s.logChange(byProgram, commandLine(command))
	}
	switch {
	case !finished:
	case s.commit.position() != before:
		s.commit.whenStored(before, func(_ int64, err error) {
			if err != nil && got.err == nil {
				got.err = notStoredError{err}
			}
			results <- got
		})
	default:
		results <- got
	}
}

// runTask runs a task to its end and returns its result. begin makes the task
// under the lock; command is the admin command for the log and for errors.
func (s *Server) runTask(ctx context.Context, command []string, begin func() (*task, error)) (n int, err error) {
	t, err := underLock(s, func() (*task, error) {
		if err := s.errEnded(ctx); err != nil {
			return nil, err
		}
		t, err := begin()
		if err == nil {
			s.logChange(byProgram, commandLine(command))
		}
		return t, err
	})
	for more := true; more && err == nil; {
		if err = s.errEnded(ctx); err == nil {
			more = s.paging.runPage(s, func(now int64) bool { return t.takeStep(s, now, pageSteps) })
		}
	}
	if err != nil {
		return 0, commandError(command, err)
	}
	results := make(chan operationResult[int], 1)
	_, err = underLock(s, func() (struct{}, error) {
		s.endTask(t, func(n int, err error) { results <- operationResult[int]{n, err} })
		return struct{}{}, nil
	})
	if err != nil {
		return 0, commandError(command, err)
	}
	got, err := awaitResult(ctx, s, results)
	if err == nil {
		err = got.err
	}
	return got.value, commandError(command, err)
}

// endTask ends a task after its last step, and calls answer when the store has
// its changes. The lock is held both times.
func (s *Server) endTask(t *task, answer func(n int, err error)) {
	if t.finish != nil {
		t.finish(answer)
		return
	}
	before := s.commit.position()
	n, err := t.end()
	if s.commit == nil {
		answer(n, err)
		return
	}
	s.commit.whenStored(before, func(_ int64, notStored error) {
		if notStored = cmp.Or(t.unstored, notStored); err == nil && notStored != nil {
			err = notStoredError{notStored}
		}
		answer(n, err)
	})
}

// underLock runs f in a turn of its own and returns its results, or ErrClosed if
// the server is closed.
func underLock[T any](s *Server, f func() (T, error)) (T, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return *new(T), ErrClosed
	}
	defer s.endTurn(nil)
	s.readTime()
	return f()
}

// awaitResult returns the result that arrives from the channel. Close commits the
// last batch before it ends, so that the result of a change may arrive after Close
// has begun; only a store that hangs leaves a change without a result.
func awaitResult[T any](ctx context.Context, s *Server, results <-chan T) (got T, err error) {
	select {
	case got = <-results:
		return got, nil
	case <-ctx.Done():
		return got, context.Cause(ctx)
	case <-s.ended:
	}
	grace := time.NewTimer(storeGrace + hangGrace)
	defer grace.Stop()
	select {
	case got = <-results:
		return got, nil
	case <-ctx.Done():
		return got, context.Cause(ctx)
	case <-grace.C:
		return got, ErrClosed
	}
}

// errEnded returns the reason why an operation cannot go on, nil if it can.
func (s *Server) errEnded(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ended:
		return ErrClosed
	default:
		return nil
	}
}

// logChange logs a change by an administrator or a program. The lock is held.
func (s *Server) logChange(by, command string) {
	s.logAfterTurn(slog.LevelInfo, "changed", slog.String("by", by), slog.String("command", command))
}

// commandLine returns an admin command as a line.
func commandLine(command []string) string {
	line := []byte(command[0])
	for _, word := range command[1:] {
		line = wire.AppendWord(append(line, ' '), word)
	}
	return string(line)
}

// commandError puts the command before an error, if there is one.
func commandError(command []string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", commandLine(command), err)
}
