package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"gm/internal/exitline"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// racer is one of several jobs with the same payload. Its fields are its
// goroutine's until that has handed it on.
type racer struct {
	*recordRun // with one task and one server

	record batch.Record
	result []byte
	heard  hearsay
}

// race submits one job to each function on each server and prints the result
// that is complete first. The others are given up: a server forgets what no
// worker has begun.
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
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	ended := make(chan *racer)
	racers := s.racers(in)
	for _, r := range racers {
		client, err := gearman.NewClient(r.opts)
		if err != nil {
			return usageErrorf("%w", err)
		}
		defer client.Close()
		go func() {
			r.run(ctx, client)
			select {
			case ended <- r:
			case <-ctx.Done():
			}
		}()
	}
	p := &recordPrinter{recordRun: s}
	var first *racer // of those that failed
	for range racers {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-ended:
			if r.record.Err == nil {
				return r.print()
			}
			if first == nil {
				first = r
			}
			o := r.outcome()
			p.fail(&r.record, o)
			s.note("%s on %v: %v", r.tasks[0].Function, r.opts.Servers[0], o.err)
		}
	}
	if err := first.print(); err != nil {
		return err
	}
	p.first = withHint(fmt.Errorf("none of %d jobs has completed", len(racers)), hintFor(first.record.Err))
	return p.verdict(batch.Summary{})
}

// racers returns one for each function on each server.
func (s *recordRun) racers(in batch.Input) []*racer {
	var racers []*racer
	for _, task := range s.tasks {
		for _, server := range s.opts.Servers {
			run := *s
			run.tasks = []gearman.Task{task}
			run.opts.Servers = []gearman.Server{server}
			racers = append(racers, &racer{
				recordRun: &run,
				record:    batch.Record{Seq: 1, Name: in.Name, Payload: in.Payload},
			})
		}
	}
	return racers
}

// run does the racer's job.
func (r *racer) run(ctx context.Context, client *gearman.Client) {
	t := r.tasks[0]
	t.Payload, t.Retries = r.record.Payload, r.retries
	t.OnCreated = func(h gearman.Handle) {
		r.record.Handle = h
		r.record.Attempts++
		r.heard = hearsay{}
	}
	t.OnWarning = func(b []byte) {
		w := exitline.Parse(b)
		if len(w.Body) > 0 {
			r.heard.warnings = append(r.heard.warnings, string(w.Body))
		}
		w.Body = nil
		r.heard.last = w
	}
	r.record.Started = time.Now()
	result, err := client.Do(ctx, &t)
	r.record.Ended, r.record.Err = time.Now(), err
	if err == nil {
		r.result = result.Data
	}
}

// print tells the end of the racer that counts.
func (r *racer) print() error {
	out, err := r.bufferStdout()
	if err != nil {
		return err
	}
	p := &recordPrinter{recordRun: r.recordRun, sink: r.newSink(out)}
	if !r.keepsWarnings() {
		for _, w := range r.heard.warnings {
			p.tell([]byte(w))
		}
	}
	return errors.Join(
		p.sink.data(&r.record, r.result),
		p.sink.end(&r.record, r.outcome()),
		p.sink.flush(),
		p.sink.close(),
	)
}

func (r *racer) outcome() *outcome { return newOutcome(&r.record, &r.tasks[0], &r.heard) }
