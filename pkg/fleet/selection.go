package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gm/pkg/gearman"
)

// A Selection selects jobs of functions by a text in them.
type Selection struct {
	Function string        // a name or a pattern; see MatchesName
	Match    string        // text in handle, unique, last error or payload; empty selects all jobs
	Timeout  time.Duration // of each request to a server; 0 means no limit
}

// Jobs returns the selected jobs of one server that are in one of the states. It requests
// pages of 1,000 jobs, and the payloads of jobs that do not have the text elsewhere.
func (s *Selection) Jobs(ctx context.Context, admin *gearman.Admin, states ...gearman.JobState) ([]gearman.Handle, error) {
	var handles []gearman.Handle
	var unsure []gearman.Handle // jobs whose payload may have the text
	for _, state := range states {
		err := s.eachPage(ctx, admin, state, func(j gearman.JobDetails) {
			switch {
			case !MatchesName(s.Function, j.Function):
			case s.Match == "" || strings.Contains(string(j.Handle), s.Match) || strings.Contains(j.Unique, s.Match) || strings.Contains(j.Error, s.Match):
				handles = append(handles, j.Handle)
			case j.Size >= len(s.Match):
				unsure = append(unsure, j.Handle)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, h := range unsure {
		var payload bytes.Buffer
		err := s.withTimeout(ctx, func(ctx context.Context) error {
			_, err := admin.JobPayload(ctx, h, &payload)
			return err
		})
		switch {
		case errors.Is(err, gearman.ErrUnknownJob): // it has ended
		case err != nil:
			return nil, err
		case bytes.Contains(payload.Bytes(), []byte(s.Match)):
			handles = append(handles, h)
		}
	}
	return handles, nil
}

// Change calls change for each selected job of one server, and returns the number of
// changed jobs. It ignores jobs that have ended before their change. An error of change
// stops it.
func (s *Selection) Change(ctx context.Context, admin *gearman.Admin,
	change func(*gearman.Admin, context.Context, gearman.Handle) error, states ...gearman.JobState,
) (changed int, err error) {
	handles, err := s.Jobs(ctx, admin, states...)
	if err != nil {
		return 0, err
	}
	for _, h := range handles {
		err := s.withTimeout(ctx, func(ctx context.Context) error { return change(admin, ctx, h) })
		switch {
		case err == nil:
			changed++
		case !errors.Is(err, gearman.ErrUnknownJob):
			return changed, fmt.Errorf("%s: %w", h, err)
		}
	}
	return changed, nil
}

// ChangeHandles calls change for each of the jobs on one server. The results tell for
// each handle whether the server has the job. An error of change stops it, except
// gearman.ErrUnknownJob.
func ChangeHandles(ctx context.Context, admin *gearman.Admin, handles []gearman.Handle,
	change func(*gearman.Admin, context.Context, gearman.Handle) error,
) ([]bool, error) {
	found := make([]bool, len(handles))
	for i, h := range handles {
		err := change(admin, ctx, h)
		if err != nil && !errors.Is(err, gearman.ErrUnknownJob) {
			return nil, fmt.Errorf("%s: %w", h, err)
		}
		found[i] = err == nil
	}
	return found, nil
}

// selectPage is the number of jobs in one request.
const selectPage = 1000

// eachPage calls f for each job in the state, of the function unless it is a pattern.
// The timeout applies to each page.
func (s *Selection) eachPage(ctx context.Context, admin *gearman.Admin, state gearman.JobState, f func(gearman.JobDetails)) error {
	function := s.Function
	if IsPattern(function) {
		function = ""
	}
	for after := gearman.Handle(""); ; {
		n := 0
		err := s.withTimeout(ctx, func(ctx context.Context) error {
			return admin.EachJob(ctx, function, state, selectPage, after, func(j gearman.JobDetails) error {
				n++
				after = j.Handle
				f(j)
				return nil
			})
		})
		if err != nil || n < selectPage {
			return err
		}
	}
}

// withTimeout calls f with a context that ends after the timeout of a request.
func (s *Selection) withTimeout(ctx context.Context, f func(context.Context) error) error {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Timeout)
		defer cancel()
	}
	return f(ctx)
}
