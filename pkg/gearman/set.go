package gearman

import (
	"context"
	"errors"
	"fmt"
)

// Set submits tasks together and collects their results. It must not be used by
// several goroutines at the same time.
type Set struct {
	client  *Client
	tasks   []*Task
	results []*Result
	errs    []error
}

// NewSet returns an empty set.
func (c *Client) NewSet() *Set { return &Set{client: c} }

// Add adds a task, which Wait submits.
func (s *Set) Add(t *Task) { s.tasks = append(s.tasks, t) }

// Wait submits all tasks that were added since the last Wait, without waiting
// for answers in between, and returns when all of them have ended. ctx ends the
// tasks that are still running. The error joins the errors of the tasks; it is
// nil if all succeeded.
func (s *Set) Wait(ctx context.Context) error {
	first := len(s.results)
	running := make([]*Running, len(s.tasks)-first)
	for i, t := range s.tasks[first:] {
		r, err := s.client.StartAsync(ctx, t)
		running[i] = r
		s.results, s.errs = append(s.results, nil), append(s.errs, err)
	}
	var failed []error
	for i, r := range running {
		n := first + i
		if r != nil {
			<-r.Done()
			s.results[n], s.errs[n] = r.outcome()
		}
		if err := s.errs[n]; err != nil {
			failed = append(failed, fmt.Errorf("task %d (%s): %w", n, s.tasks[n].Function, err))
		}
	}
	return errors.Join(failed...)
}

// Results returns the results of the tasks in the order of Add, nil for a task
// that failed. It is valid after Wait.
func (s *Set) Results() []*Result { return s.results }

// Errors returns the errors of the tasks in the order of Add, nil for a task
// that succeeded. It is valid after Wait.
func (s *Set) Errors() []error { return s.errs }
