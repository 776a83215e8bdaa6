package work

import (
	"context"
	"errors"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// doJob does one job. It is the gearman.Handler of all functions.
func (w *Worker) doJob(ctx context.Context, request *gearman.Job) (result []byte, err error) {
	w.running.Add(1)
	defer func() {
		w.running.Add(-1)
		w.done.Add(1)
	}()
	if w.config.OnStart != nil {
		w.config.OnStart(request)
	}
	j := &job{Job: request, server: w.config.Address}
	if j.server == "" {
		j.server = request.Server().String()
	}
	if next := w.config.Chain.Next; next != "" && next != request.Function() {
		j.sent = &sentData{limit: w.config.MaxPayload}
	}
	result, err = w.perform(ctx, j)
	err = w.chain.handOn(ctx, j, result, err)
	err = w.reporter.conclude(ctx, j, err)
	if w.config.OnEnd != nil {
		w.config.OnEnd(request, err)
	}
	return result, err
}

// perform does the job and returns its result.
func (w *Worker) perform(ctx context.Context, j *job) ([]byte, error) {
	command := w.commandOf(j.Function())
	switch {
	case command == nil && w.dir != nil:
		return nil, &returnedJob{reason: errors.New("its file has been removed")}
	case command == nil:
		return nil, w.print(j)
	}
	if w.config.Attempts || w.config.Chain.InheritPriority {
		w.questions.ask(ctx, j)
	}
	if j.Reducer() != "" {
		spec, err := ParseMapSpec(j.Reducer())
		if err != nil {
			return nil, &failedJob{code: codeFailed, reason: err}
		}
		return w.mapper.runMapped(ctx, j, spec)
	}
	j.slot = <-w.slots
	defer func() { w.slots <- j.slot }()
	var result []byte
	var end error
	res := runWithRoom(ctx, func() (res runner.Result) {
		if w.keep == nil {
			result, res = w.children.runChild(ctx, j, command)
		} else {
			result, res, end = w.keep.do(ctx, j)
		}
		return res
	})
	j.took = res.Duration
	if res.OK() {
		return result, end
	}
	lacksFile := w.dir != nil && res.StartErr != nil && w.dir.lacksFile(command)
	return nil, judge(ctx, res, lacksFile)
}

// commandOf returns the command that does the jobs of a function, or nil if the
// directory has no such command.
func (w *Worker) commandOf(function string) *runner.Command {
	if w.dir != nil {
		return w.dir.command(function)
	}
	if c := w.commands[function]; c != nil {
		return c
	}
	return w.command
}

// print writes the payload of a job to Config.Output. If that fails, the job and
// all jobs after it go back to their queues, because the worker ends.
func (w *Worker) print(j *job) error {
	w.printing.Lock()
	defer w.printing.Unlock()
	if w.printErr == nil {
		if _, w.printErr = w.config.Output.Write(j.Payload()); w.printErr == nil {
			return nil
		}
		w.Stop()
	}
	return &returnedJob{reason: w.printErr}
}
