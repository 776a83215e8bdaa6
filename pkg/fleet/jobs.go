package fleet

import (
	"bytes"
	"context"
	"errors"
	"unicode/utf8"

	"gm/pkg/gearman"
)

// Job is a job in the queue of a server.
type Job struct {
	Server string `json:"server"`
	gearman.JobDetails
	Payload       *string `json:"payload,omitempty"`        // nil unless it was requested
	PayloadBase64 []byte  `json:"payload_base64,omitempty"` // in place of Payload if the payload is not UTF-8

	// Partial means that the server has reported only handle, state, attempts and
	// progress, as servers other than gm's do.
	Partial bool `json:"-"`
}

// FindJob asks one server for a job. It returns nil if the server does not know the job.
// A server that is not gm's reports the status of the job only.
func FindJob(ctx context.Context, o gearman.Options, admin *gearman.Admin, h gearman.Handle) (*Job, error) {
	job, err := admin.Job(ctx, h)
	switch {
	case err == nil:
		return &Job{Server: admin.Server().String(), JobDetails: job}, nil
	case errors.Is(err, gearman.ErrUnknownJob):
		return nil, nil
	case !errors.Is(err, gearman.ErrUnsupported):
		return nil, err
	}
	o.Servers = []gearman.Server{admin.Server()}
	client, err := gearman.NewClient(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	status, err := client.Status(ctx, h)
	if err != nil || !status.Known {
		return nil, err
	}
	row := partialJob(admin, h, gearman.StateWaiting)
	row.Numerator, row.Denominator = status.Numerator, status.Denominator
	if status.Running {
		row.State = gearman.StateRunning
	}
	return row, nil
}

// FindPayload asks one server for a job with its payload. It returns nil if the server
// does not know the job. The error of a server that is not gm's wraps
// gearman.ErrUnsupported.
func FindPayload(ctx context.Context, admin *gearman.Admin, h gearman.Handle) (*Job, error) {
	var payload bytes.Buffer
	job, err := admin.JobPayload(ctx, h, &payload)
	switch {
	case errors.Is(err, gearman.ErrUnknownJob):
		return nil, nil
	case err != nil:
		return nil, err
	}
	row := &Job{Server: admin.Server().String(), JobDetails: job}
	if text := payload.String(); utf8.ValidString(text) {
		row.Payload = &text
	} else {
		row.PayloadBase64 = payload.Bytes()
	}
	return row, nil
}

// ListJobs asks one server for at most limit jobs, oldest first. function is a name or a
// pattern; an empty function or state selects all, and a limit of 0 means no limit. A
// server that is not gm's does not report functions and has no dead jobs: for a function
// or StateDead its error wraps gearman.ErrUnsupported.
func ListJobs(ctx context.Context, admin *gearman.Admin, function string, state gearman.JobState, limit int) ([]*Job, error) {
	jobs, err := matchingJobs(ctx, admin, function, state, limit)
	if err == nil {
		rows := make([]*Job, len(jobs))
		for i, j := range jobs {
			rows[i] = &Job{Server: admin.Server().String(), JobDetails: j}
		}
		return rows, nil
	}
	if !errors.Is(err, gearman.ErrUnsupported) || function != "" || state == gearman.StateDead {
		return nil, err
	}
	shown, err := admin.ShowJobs(ctx)
	if err != nil {
		return nil, err
	}
	var rows []*Job
	for _, j := range shown {
		row := partialJob(admin, j.Handle, gearman.StateRunning)
		row.Attempts = j.Attempts
		if j.Queued {
			row.State = gearman.StateWaiting
		}
		if (state == "" || state == row.State) && (limit == 0 || len(rows) < limit) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// partialJob returns the row of a job on a server that is not gm's.
func partialJob(admin *gearman.Admin, h gearman.Handle, state gearman.JobState) *Job {
	return &Job{Server: admin.Server().String(), JobDetails: gearman.JobDetails{Handle: h, State: state}, Partial: true}
}

// matchingJobs returns the first jobs of the functions that a name or a pattern matches.
func matchingJobs(ctx context.Context, admin *gearman.Admin, function string, state gearman.JobState, limit int) ([]gearman.JobDetails, error) {
	if !IsPattern(function) {
		return admin.Jobs(ctx, function, state, limit)
	}
	var jobs []gearman.JobDetails
	err := admin.EachJob(ctx, "", state, 0, "", func(j gearman.JobDetails) error {
		if MatchesName(function, j.Function) {
			jobs = append(jobs, j)
		}
		if limit > 0 && len(jobs) == limit {
			return errLimitReached
		}
		return nil
	})
	if errors.Is(err, errLimitReached) {
		err = nil
	}
	return jobs, err
}

// errLimitReached ends a listing that has as many jobs as were requested.
var errLimitReached = errors.New("limit reached")
