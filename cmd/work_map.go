package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gm/internal/exitline"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

const (
	// statusEvery is how often the client of a job with a reducer is told how far
	// it has come.
	statusEvery = 100 * time.Millisecond
	// mapPatience is how long such a job waits for a server that takes its parts.
	mapPatience = time.Minute
	// A worker waits with at most so many such jobs, and payloads of them, in
	// units of the largest: a reducer that no worker does must not make it take
	// all that are queued.
	maxMaps        = 256
	maxMapPayloads = 4
)

// mapper does jobs with a reducer. Such a job is not for the worker's command:
// its payload is cut up, the parts are jobs of the same function, for this
// worker and others, their results go through the reducer until there is one,
// and that is the job's. Meanwhile the job lends its slot.
type mapper struct {
	options   gearman.Options // of clients for the parts
	exception bool
	log       *slog.Logger

	mu      sync.Mutex
	running int
	held    int // bytes of their payloads
}

func newMapper(o *gearman.WorkerOptions, exception bool) *mapper {
	m := &mapper{options: o.Options, exception: exception, log: o.Logger}
	m.options.Logger = nil // the worker's own says which server is lost
	m.options.Spread = true
	return m
}

// mapJob is one such job.
type mapJob struct {
	*mapper
	mapSpec
	job   *gearman.Job
	total int // parts
	log   *slog.Logger

	// What a Batch calls, one at a time.
	done   int                    // parts
	live   map[mapPlace]serverJob // parts and reductions that a server has taken and that have not ended
	told   time.Time
	heard  map[mapPlace]exitline.Text // what their workers have said of parts and reductions that have not ended
	failed exitline.Text              // the same of what has failed
	pieces [][]byte                   // results of parts in their order, without a reducer
	size   int                        // of these
}

// mapPlace is a job of a Batch.
type mapPlace struct{ stage, seq int }

// serverJob is a job and the server that has it.
type serverJob struct {
	server gearman.Server
	handle gearman.Handle
}

// cancelPatience is how long a cancelled job waits for each server to stop its
// running parts.
const cancelPatience = 5 * time.Second

// do is a gearman.Handler.
func (m *mapper) do(ctx context.Context, j *gearman.Job) ([]byte, error) {
	log := m.log.With("handle", string(j.Handle()), "function", j.Function(), "server", j.Server().String(), "reducer", j.Reducer())
	if !m.begin(len(j.Payload())) {
		log.Warn("job goes back to its queue", "reason", "too many with reducers are waited for")
		return nil, gearman.ErrRetry
	}
	defer m.end(len(j.Payload()))
	w := &mapJob{mapper: m, job: j, log: log, heard: map[mapPlace]exitline.Text{}, live: map[mapPlace]serverJob{}}
	began := time.Now()
	result, err := w.run(ctx)
	cause := context.Cause(ctx)
	log = log.With("ms", time.Since(began).Milliseconds())
	var refused *gearman.ServerError
	switch {
	case err == nil:
		log.Debug("job completed", "parts", w.total)
		return result, nil
	case errors.Is(cause, gearman.ErrLost):
		log.Warn("job stopped", "error", cause)
		return nil, cause
	case errors.Is(cause, gearman.ErrCancelled):
		log.Info("job cancelled")
		return nil, w.fail(cause)
	case cause != nil, errors.Is(err, gearman.ErrNoServer), errors.As(err, &refused) && refused.QueueFull():
		log.Info("job goes back to its queue", "reason", err)
		return nil, gearman.ErrRetry
	}
	log.Warn("job failed", "reason", err)
	return nil, w.fail(err)
}

// begin makes room for a job, if there is some.
func (m *mapper) begin(size int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running > 0 && (m.running >= maxMaps || m.held+size > maxMapPayloads*m.options.MaxPayload) {
		return false
	}
	m.running++
	m.held += size
	return true
}

func (m *mapper) end(size int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	m.held -= size
}

// run does the job with a client of its own: when that is closed, the servers
// drop the parts that are queued.
func (w *mapJob) run(ctx context.Context) ([]byte, error) {
	var err error
	if w.mapSpec, err = parseMapSpec(w.job.Reducer()); err != nil {
		return nil, err
	}
	if w.total, err = w.count(w.job.Payload()); err != nil {
		return nil, err
	}
	client, err := gearman.NewClient(w.options)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	b := w.batch(client)
	var result []byte
	if w.reducer == "" {
		w.pieces = make([][]byte, w.total)
		b.Unordered = true
		b.Data, b.Done = w.gather, w.ended
	} else {
		b.Data = func(_ *batch.Record, data []byte) error {
			result = append(result, data...)
			return nil
		}
		b.Reduce = &batch.Reduction{
			Task:       gearman.Task{Function: w.reducer, Priority: gearman.High},
			Arity:      w.arity,
			MaxPayload: w.options.MaxPayload,
			Part:       w.ended,
		}
	}
	if _, err := b.Run(ctx, w.parts(w.job.Payload())); err != nil {
		if errors.Is(context.Cause(ctx), gearman.ErrCancelled) {
			w.cancelParts()
		}
		return nil, err
	}
	for _, piece := range w.pieces {
		result = append(result, piece...)
	}
	return result, nil
}

// batch returns what does the parts.
func (w *mapJob) batch(client *gearman.Client) *batch.Batch {
	b := &batch.Batch{
		Client:     client,
		Task:       gearman.Task{Function: w.job.Function(), Reducer: w.ofParts(), Priority: gearman.High},
		Window:     w.jobs,
		Retries:    w.retries,
		Repeatable: true, // as the job itself is when its server is lost
		Patience:   mapPatience,
		// Before there is a part, the slot would take another such job.
		Created: func(r *batch.Record) {
			w.live[mapPlace{r.Stage, r.Seq}] = serverJob{r.Server, r.Handle}
			w.job.Lend()
		},
		Warning: w.warning,
		Retry:   func(r *batch.Record, _ error) { delete(w.heard, mapPlace{r.Stage, r.Seq}) },
	}
	if b.Task.Reducer != "" {
		b.Task.Priority = gearman.Normal // the protocol has no packet for others
	}
	return b
}

// cancelParts has the servers stop the parts and reductions that have not ended.
func (w *mapJob) cancelParts() {
	byServer := map[gearman.Server][]gearman.Handle{}
	for _, j := range w.live {
		byServer[j.server] = append(byServer[j.server], j.handle)
	}
	var all sync.WaitGroup
	for server, handles := range byServer {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), cancelPatience)
			defer cancel()
			admin := gearman.NewAdmin(server, w.options)
			defer admin.Close()
			for _, h := range handles {
				if _, err := admin.CancelRunning(ctx, h); err != nil && !errors.Is(err, gearman.ErrUnknownJob) {
					w.log.Warn("part not cancelled", "part", string(h), "on", server.String(), "error", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// gather takes a piece of a part's result.
func (w *mapJob) gather(r *batch.Record, piece []byte) error {
	if w.size += len(piece); w.size > w.options.MaxPayload {
		return fmt.Errorf("the results are over the limit of %d bytes", w.options.MaxPayload)
	}
	w.pieces[r.Seq-1] = append(w.pieces[r.Seq-1], piece...)
	return nil
}

// warning passes on what a worker warns of, and keeps what gm work says for
// programs.
func (w *mapJob) warning(r *batch.Record, text []byte) {
	said := exitline.Parse(text)
	if len(said.Body) > 0 {
		w.tell(said.Body)
	}
	if said.Reason != "" {
		said.Body = nil
		w.heard[mapPlace{r.Stage, r.Seq}] = said
	}
}

func (w *mapJob) tell(text []byte) {
	if err := w.job.SendWarning(text); err != nil {
		w.log.Debug("warning not sent", "error", err)
	}
}

// ended takes the end of a part, or of a reduction.
func (w *mapJob) ended(r *batch.Record) error {
	at := mapPlace{r.Stage, r.Seq}
	said := w.heard[at]
	delete(w.heard, at)
	delete(w.live, at)
	if r.Err != nil {
		var raised *gearman.ExceptionError
		if errors.As(r.Err, &raised) {
			said = exitline.Parse(raised.Data)
		}
		w.failed = said
		if w.reducer == "" {
			return &batch.PartError{First: r.Seq, Last: r.Seq, Err: r.Err}
		}
		return nil // the Reduction says which it was
	}
	if r.Stage > 0 {
		return nil
	}
	w.done++
	if now := time.Now(); w.done == w.total || now.Sub(w.told) >= statusEvery {
		w.told = now
		if err := w.job.SendStatus(int64(w.done), int64(w.total)); err != nil {
			w.log.Debug("status not sent", "error", err)
		}
	}
	return nil
}

// fail tells the client which part has failed, and returns how the job ends.
func (w *mapJob) fail(err error) error {
	code, reason := w.reason(err)
	text := exitline.Append(append([]byte(nil), w.failed.Body...), code, reason)
	if w.exception {
		return &gearman.Exception{Data: text}
	}
	w.tell(text)
	return err
}

// reason says what has failed, and the code of the command if that did.
func (w *mapJob) reason(err error) (code int, reason string) {
	var part *batch.PartError
	if !errors.As(err, &part) {
		return exitFailed, err.Error()
	}
	code, reason = exitFailed, part.Err.Error()
	if w.failed.Reason != "" {
		code, reason = w.failed.Code, w.failed.Reason
	}
	switch {
	case part.Level == 0:
		return code, fmt.Sprintf("part %d of %d: %s", part.First, w.total, reason)
	default:
		return code, fmt.Sprintf("%s of parts %d to %d of %d at level %d: %s", w.reducer, part.First, part.Last, w.total, part.Level, reason)
	}
}
