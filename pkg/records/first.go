package records

import (
	"cmp"
	"context"

	"gm/pkg/gearman"
	"gm/pkg/results"
)

// First submits the first record of the input as one job to each of the tasks on each
// of the servers of o, and writes the first result that is complete. It abandons the
// other jobs: a server forgets those that no worker has begun. Config.Batch.Client and
// the joblog are not used.
func (r *Run) First(ctx context.Context, o gearman.Options, tasks []gearman.Task) (results.Report, error) {
	in, err := r.c.source().Next()
	if err = cmp.Or(err, in.Err); err != nil {
		return results.Report{}, err
	}
	var tries []results.Try
	for _, task := range tasks {
		task.Retries = r.c.Batch.Retries
		for _, server := range o.Servers {
			each := o
			each.Servers = []gearman.Server{server}
			client, err := gearman.NewClient(each)
			if err != nil {
				return results.Report{}, err
			}
			defer client.Close()
			tries = append(tries, results.Try{Client: client, Task: task, Server: server})
		}
	}
	return results.New(r.recorderConfig()).RunFirst(ctx, in, tries)
}
