package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"gm/pkg/gearman"
)

// An Answer is the reply of one server, or its error.
type Answer[T any] struct {
	Server gearman.Server
	Value  T
	Err    error
}

// Reason returns the error of an answer without the address of the server, if that
// server could not be reached. Other errors are returned unchanged.
func (a Answer[T]) Reason() error {
	var each gearman.ServerErrors
	if errors.As(a.Err, &each) && each[a.Server] != nil {
		return each[a.Server]
	}
	return a.Err
}

// Ask calls ask for all of o.Servers at the same time, and ends its context after
// timeout. It returns the answers in the order of the servers. The text of each error
// has the address of its server.
func Ask[T any](ctx context.Context, o gearman.Options, timeout time.Duration,
	ask func(context.Context, *gearman.Admin) (T, error),
) []Answer[T] {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return askEach(ctx, o, func(ctx context.Context, admin *gearman.Admin) (T, error) {
		value, err := ask(ctx, admin)
		if s := admin.Server(); err != nil && !strings.Contains(err.Error(), s.String()) {
			err = fmt.Errorf("server %v: %w", s, err)
		}
		return value, err
	})
}

// askEach calls ask for all of o.Servers at the same time.
func askEach[T any](ctx context.Context, o gearman.Options, ask func(context.Context, *gearman.Admin) (T, error)) []Answer[T] {
	answers := make([]Answer[T], len(o.Servers))
	var asking sync.WaitGroup
	for i, s := range o.Servers {
		asking.Go(func() {
			admin := gearman.NewAdmin(s, o)
			defer admin.Close()
			value, err := ask(ctx, admin)
			answers[i] = Answer[T]{s, value, err}
		})
	}
	asking.Wait()
	return answers
}

// Absent is a server that failed to answer. A listing leaves it out.
type Absent struct {
	Server string `json:"server"`
	Error  string `json:"error"`
}

// Split returns the answers without an error, and the servers that failed. If all
// servers failed, it returns the error of [JoinErrors].
func Split[T any](answers []Answer[T]) (good []Answer[T], absent []Absent, err error) {
	for _, a := range answers {
		if a.Err == nil {
			good = append(good, a)
		} else {
			absent = append(absent, Absent{a.Server.String(), a.Reason().Error()})
		}
	}
	if len(good) == 0 {
		return nil, nil, JoinErrors(answers)
	}
	return good, absent, nil
}

// JoinErrors returns the errors of the servers that failed as one error, or nil. It is
// for changes that must succeed on every server. If no server could be reached, the
// error wraps gearman.ErrNoServer once.
func JoinErrors[T any](answers []Answer[T]) error {
	var errs []error
	unreached := gearman.ServerErrors{}
	for _, a := range answers {
		if a.Err == nil {
			continue
		}
		errs = append(errs, a.Err)
		if errors.Is(a.Err, gearman.ErrNoServer) {
			unreached[a.Server] = a.Reason()
		}
	}
	switch {
	case len(errs) == 1:
		return errs[0]
	case len(errs) > 0 && len(unreached) == len(errs):
		return fmt.Errorf("%w: %w", gearman.ErrNoServer, unreached)
	}
	return errors.Join(errs...)
}
