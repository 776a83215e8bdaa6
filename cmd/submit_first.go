package cmd

import (
	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/results"
)

// race submits one job to each function on each server and prints the first
// result that is complete. It abandons the other jobs: a server forgets those
// that no worker has begun.
func (s *recordRun) race(c *cli.Context) error {
	switch {
	case s.many:
		return usageErrorf("--first: one job only")
	case s.joblog != "" || s.dryRun:
		return usageErrorf("--first: no --joblog and no --dry-run")
	}
	in, err := s.source.Next()
	if err != nil {
		return err
	}
	var tries []results.Try
	for _, task := range s.tasks {
		task.Retries = s.retries
		for _, server := range s.opts.Servers {
			opts := s.opts
			opts.Servers = []gearman.Server{server}
			client, err := gearman.NewClient(opts)
			if err != nil {
				return usageErrorf("%w", err)
			}
			defer client.Close()
			tries = append(tries, results.Try{Client: client, Task: task, Server: server})
		}
	}
	if err := s.openOutput(); err != nil {
		return err
	}
	sink, err := s.newSink()
	if err != nil {
		return err
	}
	report, err := results.New(s.recorderConfig(sink)).RunFirst(c.Context, in, tries)
	if err != nil {
		return err
	}
	return s.verdict(report)
}
