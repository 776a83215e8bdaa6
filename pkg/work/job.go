package work

import (
	"context"
	"errors"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// job is a Gearman job on its way through the worker.
type job struct {
	*gearman.Job
	sent    *sentData     // parts of the result that were sent; nil: they are not kept
	server  string        // address of the server for the program
	slot    int           // its slot, from 1; 0: none
	attempt int           // number of the attempt, from 1; 0: not known
	took    time.Duration // how long its program or its parts took; 0: none ran
	parts   int           // parts of a job with a reducer
}

// SendData sends a part of the result, and keeps it for the next job of a chain.
func (j *job) SendData(part []byte) error {
	if j.sent == nil {
		return j.Job.SendData(part)
	}
	return j.sent.send(j.Job, part)
}

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
	err = w.conclude(ctx, j, err)
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
	case j.Reducer() != "":
		spec, err := ParseMapSpec(j.Reducer())
		if err != nil {
			return nil, &failedJob{code: codeFailed, reason: err}
		}
		return w.mapper.run(ctx, j, spec)
	}
	j.slot = <-w.slots
	defer func() { w.slots <- j.slot }()
	if w.config.Attempts {
		j.attempt = w.attemptOf(ctx, j)
	}

	var result []byte
	var end error
	res := runWithRoom(ctx, func() (res runner.Result) {
		if w.keep != nil {
			result, res, end = w.keep.do(ctx, j)
		} else {
			result, res = w.runChild(ctx, j, command)
		}
		return res
	})
	j.took = res.Duration
	if res.OK() {
		return result, end
	}
	return nil, w.judge(ctx, command, res)
}

// commandOf returns the command that does the jobs of a function; nil if there
// is none.
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

// attemptOf asks the server how many workers have had the job, with this one. It
// returns 0 if the server does not tell.
func (w *Worker) attemptOf(ctx context.Context, j *job) int {
	admin := gearman.NewAdmin(j.Server(), w.config.Options)
	defer admin.Close()
	info, err := admin.Job(ctx, j.Handle())
	if err != nil {
		w.log.Debug("attempt not known", "handle", string(j.Handle()), "error", err)
		return 0
	}
	return info.Attempts + 1
}

const (
	// roomPatience is how long a job waits for room to start its program before it
	// goes back to its queue. Each return counts as a lost attempt, and with many
	// slots a job would come back at once and use up its attempts in a second.
	roomPatience  = 2 * time.Second
	firstRoomWait = 50 * time.Millisecond
)

// runWithRoom calls run, and again for a while if the system has no room to start
// the program.
func runWithRoom(ctx context.Context, run func() runner.Result) runner.Result {
	for wait, waited := firstRoomWait, time.Duration(0); ; wait *= 2 {
		res := run()
		if res.StartErr == nil || !res.Temporary() || waited >= roomPatience || !sleepContext(ctx, wait) {
			return res
		}
		waited += wait
	}
}

// sleepContext waits for d. It reports false if ctx is done before that.
func sleepContext(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
