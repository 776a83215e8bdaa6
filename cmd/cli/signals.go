package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"
)

// Signals of all verbs. Every verb that handles signals gets them from
// NotifySignals, which keeps two rules:
//
//   - A signal that was ignored when gm started stays ignored: SIGHUP under
//     nohup(1), SIGINT and SIGQUIT in a background job of a shell without job
//     control. The Go runtime reports ignored signals only for SIGHUP and SIGINT.
//     SIGQUIT counts as ignored if SIGINT is, because shells ignore both together
//     (POSIX). The runtime does not change the stop signals of a terminal (SIGTSTP,
//     SIGTTIN, SIGTTOU). It replaces the handlers of all other signals, such as SIGTERM
//     and SIGUSR1, before the first line of a Go program: they count as not ignored.
//   - A signal that comes again within repeatSpan is not reported again.

// repeatSpan is the time within which a repeated signal is the same signal. timeout(1)
// signals its command and then the whole process group. A terminal that closes sends
// SIGHUP from the kernel and from the shell.
const repeatSpan = 500 * time.Millisecond

// NotifySignals returns a channel of the signals that were not ignored when gm started,
// without repetitions. stop ends the notification. The channel is never closed.
func NotifySignals(signals ...os.Signal) (heeded <-chan os.Signal, stop func()) {
	var wanted []os.Signal
	for _, s := range signals {
		if !signal.Ignored(s) {
			wanted = append(wanted, s)
		}
	}
	out := make(chan os.Signal, 8)
	if len(wanted) == 0 {
		return out, func() {} // Notify without signals would mean all of them
	}
	in := make(chan os.Signal, 8)
	signal.Notify(in, wanted...)
	go func() {
		var filter repeatFilter
		for s := range in {
			if filter.isRepeat(s, time.Now()) {
				continue
			}
			select {
			case out <- s:
			default:
			}
		}
	}()
	return out, sync.OnceFunc(func() {
		signal.Stop(in)
		close(in)
	})
}

// OnSignals calls f with each of the signals, one at a time, as NotifySignals reports
// them. stop ends that and returns when the last call of f has ended.
func OnSignals(f func(syscall.Signal), signals ...os.Signal) (stop func()) {
	heeded, unnotify := NotifySignals(signals...)
	ending := make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			select {
			case s := <-heeded:
				f(s.(syscall.Signal))
			case <-ending:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		unnotify()
		close(ending)
		calls.Wait()
	})
}

// repeatFilter finds signals that repeat an earlier one.
type repeatFilter struct {
	counted map[os.Signal]time.Time // when each signal counted last
}

// isRepeat reports whether a signal came within repeatSpan after the same signal, if that
// was no repetition.
func (f *repeatFilter) isRepeat(s os.Signal, now time.Time) bool {
	if last, seen := f.counted[s]; seen && now.Sub(last) < repeatSpan {
		return true
	}
	if f.counted == nil {
		f.counted = map[os.Signal]time.Time{}
	}
	f.counted[s] = now
	return false
}

// withSignals returns a context that the first SIGINT or SIGTERM cancels with a
// *SignalError as its cause. The second signal ends the process at once.
func withSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals, stop := NotifySignals(os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			cancel(&SignalError{s.(syscall.Signal)})
		case <-done:
			return
		}
		select {
		case s := <-signals:
			DieBySignal(s.(syscall.Signal))
		case <-done:
		}
	}()
	return ctx, func() {
		stop()
		close(done)
		cancel(nil)
	}
}

// HeedSignals runs an action with a context that the first SIGINT or SIGTERM cancels. If
// the action then returns an error, HeedSignals returns the *SignalError. The second
// signal ends the process at once.
func HeedSignals(c *urfave.Context, action urfave.ActionFunc) error {
	ctx, stop := withSignals(c.Context)
	defer stop()
	c.Context = ctx
	err := action(c)
	if sig := (*SignalError)(nil); err != nil && errors.As(context.Cause(ctx), &sig) {
		return sig
	}
	return err
}

// DieBySignal ends the process by the default action of the signal, so that the parent
// process sees the signal and not an exit code.
func DieBySignal(s syscall.Signal) {
	signal.Reset(s)
	if p, err := os.FindProcess(os.Getpid()); err == nil && p.Signal(s) == nil {
		time.Sleep(time.Second) // the signal arrives meanwhile
	}
	os.Exit(ExitSignal + int(s))
}

// InheritIgnored ignores SIGQUIT if gm was started with SIGINT ignored, because Go's
// runtime handles SIGQUIT even if it was ignored.
func InheritIgnored() {
	if signal.Ignored(os.Interrupt) {
		signal.Ignore(syscall.SIGQUIT)
	}
}

// SurviveBrokenPipes makes writes to stdout and stderr return an error if they are pipes
// without a reader. By default SIGPIPE would end the program. It is for verbs that continue
// without a reader of their log. Child processes keep the default action of SIGPIPE.
func SurviveBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
