package work

import (
	"context"
	"errors"

	"gm/pkg/gearman"
)

// questions has a connection to each server of a worker, for the questions that
// only gm's server answers.
type questions map[gearman.Server]*gearman.Admin

// newQuestions returns the connections, which are made when they are first used.
func newQuestions(o gearman.Options) questions {
	o.Logger = nil // the worker logs which server is lost
	q := questions{}
	for _, server := range o.Servers {
		q[server] = gearman.NewAdmin(server, o)
	}
	return q
}

// close closes the connections.
func (q questions) close() {
	for _, admin := range q {
		admin.Close()
	}
}

// askAbout asks the server of a job for its attempt and its priority. They stay
// unknown if the server does not answer.
func (w *Worker) askAbout(ctx context.Context, j *job) {
	admin := w.questions[j.Server()]
	info, err := admin.Job(ctx, j.Handle())
	if errors.Is(err, gearman.ErrLost) { // the connection of the job before was lost meanwhile
		info, err = admin.Job(ctx, j.Handle())
	}
	if err == nil && w.config.Attempts {
		j.attempt = info.Attempts + 1
	}
	if err == nil {
		j.priority, err = gearman.ParsePriority(info.Priority)
	}
	if err != nil {
		w.log.Debug("attempt and priority not known", "handle", string(j.Handle()), "error", err)
	}
}

// isLoading reports whether any server still reads its store and so does not know
// all of its jobs.
func (w *Worker) isLoading(ctx context.Context) bool {
	for _, admin := range w.questions {
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
