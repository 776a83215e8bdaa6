package records

import (
	"context"
	"time"

	"gm/pkg/batch"
	"gm/pkg/results"
)

// Run is a run of records with open outputs. It is for one call of Run or First.
type Run struct {
	c      Config
	output *results.Output
	sink   results.Sink
	joblog *results.Joblog // nil without a log
}

// Open opens the outputs and the joblog of a run. Close must be called after it.
func Open(c Config) (*Run, error) {
	r := &Run{c: c}
	stdout := c.Stdout
	if c.Progress.Bar != nil && c.Terminal {
		stdout = c.Progress.Bar.Stdout(stdout)
	}
	var err error
	if r.output, err = results.NewOutput(stdout, c.StdoutFile); err != nil {
		return nil, err
	}
	if r.sink, err = r.c.newSink(r.output); err != nil {
		return nil, err
	}
	if c.Joblog.Path == "" {
		return r, nil
	}
	if r.joblog, err = results.OpenJoblog(r.c.joblogConfig(r.sink, r.output)); err != nil {
		return nil, err
	}
	return r, nil
}

// Close releases the joblog. It does not close the outputs.
func (r *Run) Close() {
	if r.joblog != nil {
		r.joblog.Close()
	}
}

// OutputErr returns the first error of writing to Config.Stdout, or nil.
func (r *Run) OutputErr() error { return r.output.Err() }

// Run sends all records and returns when they have ended. The error is that of
// [results.Recorder.Run]; the Report is correct in all cases.
func (r *Run) Run(ctx context.Context) (results.Report, error) {
	b := r.c.Batch
	b.Away = func(err error) { r.c.notef("waiting for a server that takes jobs: %v", err) }
	b.Back = func(away time.Duration) {
		r.c.notef("a server takes jobs again after %v", away.Round(time.Millisecond))
	}
	stopProgress := r.c.Progress.startShowing(b, &r.c.Input)
	stopWatch := r.watchForSilence(ctx, b)
	config := r.recorderConfig()
	config.Joblog = r.joblog
	config.Ended = func() {
		stopWatch()
		if r.c.Ended != nil {
			r.c.Ended()
		}
		stopProgress()
	}
	return results.New(config).Run(ctx, b, r.c.source())
}

// recorderConfig returns the configuration of the recorder, without its joblog.
func (r *Run) recorderConfig() results.Config {
	return results.Config{
		Sink:         r.sink,
		Output:       r.output,
		Many:         r.c.Input.Many,
		KeepWarnings: r.c.inJSON() || r.c.Folder != "",
		FlushEach:    r.c.Terminal,
		Status:       r.c.Status,
		Propagate:    r.c.Propagate,
		Name:         r.c.Input.messageName,
		ExitCode:     r.c.ExitCode,
		Note:         r.c.Note,
		WorkerText:   r.c.WorkerText,
	}
}

// silence is the time without a result after which OnSilence is called.
const silence = 2 * time.Second

// watchForSilence calls OnSilence if no record of b ends for a while. stop returns
// when that call has ended.
func (r *Run) watchForSilence(ctx context.Context, b *batch.Batch) (stop func()) {
	if r.c.OnSilence == nil {
		return func() {}
	}
	return results.AfterSilence(ctx, b, silence, r.c.OnSilence)
}
