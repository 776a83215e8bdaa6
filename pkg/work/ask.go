package work

import (
	"context"
	"errors"
	"log/slog"

	"gm/pkg/gearman"
)

// questions asks the servers of a worker. Only gm's server answers.
type questions struct {
	admins   map[gearman.Server]*gearman.Admin
	attempts bool // ask for attempts
	log      *slog.Logger
}

// newQuestions returns questions with a connection to each server, which is made when
// it is first used.
func newQuestions(c *Config) *questions {
	o := c.Options
	o.Logger = nil // the worker logs which server is lost
	q := &questions{admins: map[gearman.Server]*gearman.Admin{}, attempts: c.Attempts, log: c.JobLogger}
	for _, server := range o.Servers {
		q.admins[server] = gearman.NewAdmin(server, o)
	}
	return q
}

// closeAdmins closes the connections.
func (q *questions) closeAdmins() {
	for _, admin := range q.admins {
		admin.Close()
	}
}

// ask asks the server of a job for its attempt and its priority. They stay unknown
// if the server does not answer.
func (q *questions) ask(ctx context.Context, j *job) {
	admin := q.admins[j.Server()]
	info, err := admin.Job(ctx, j.Handle())
	if errors.Is(err, gearman.ErrLost) { // since the last question
		info, err = admin.Job(ctx, j.Handle())
	}
	if err == nil && q.attempts {
		j.attempt = info.Attempts + 1
	}
	if err == nil {
		j.priority, err = gearman.ParsePriority(info.Priority)
	}
	if err != nil {
		q.log.Debug("attempt and priority not known", "handle", string(j.Handle()), "error", err)
	}
}

// isLoading reports whether any server still reads its store and so does not know
// all of its jobs.
func (q *questions) isLoading(ctx context.Context) bool {
	for _, admin := range q.admins {
		stats, _, err := admin.Stats(ctx)
		if errors.Is(err, gearman.ErrLost) {
			stats, _, err = admin.Stats(ctx)
		}
		if err == nil && stats.Loading {
			return true
		}
	}
	return false
}
