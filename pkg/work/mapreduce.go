package work

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"gm/internal/exitline"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

const (
	// mapPatience is how long a job with a reducer waits for a server that takes its parts.
	mapPatience = time.Minute
	// cancelPatience is how long a cancelled job waits for each server to stop its
	// running parts.
	cancelPatience = 5 * time.Second
	// maxMaps is the maximum number of such jobs that a worker waits with, and
	// maxMapPayloads that of their payloads, in units of the largest payload: the
	// worker must not take all that are queued if no worker does the reducer.
	maxMaps        = 256
	maxMapPayloads = 4
)

// mapper does jobs with a reducer. It cuts the payload of such a job into parts,
// which are jobs of the same function for this worker and others. Their results go
// through the reducer until one is left, which is the result of the job. Meanwhile
// the job lends its slot.
type mapper struct {
	options gearman.Options // of clients for the parts
	log     *slog.Logger

	mu      sync.Mutex
	running int // jobs
	held    int // bytes of their payloads
}

func newMapper(c Config) *mapper {
	m := &mapper{options: c.Options, log: c.JobLogger}
	m.options.Logger = nil // the worker logs which server is lost
	m.options.Spread = true
	return m
}

// runMapped does a job with a reducer.
func (m *mapper) runMapped(ctx context.Context, j *job, spec MapSpec) ([]byte, error) {
	if !m.reserve(len(j.Payload())) {
		return nil, &returnedJob{reason: errors.New("too many with reducers are waited for"), alarm: true}
	}
	defer m.release(len(j.Payload()))
	// When the client of this job is closed, the servers drop the parts that are
	// still queued.
	client, err := gearman.NewClient(m.options)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &mapRun{
		spec: spec, job: j, options: m.options,
		log:   m.log.With("handle", string(j.Handle()), "function", j.Function(), "server", j.Server().String(), "reducer", j.Reducer()),
		lines: map[partID]exitline.Text{}, live: map[partID]serverJob{},
	}
	began := time.Now()
	result, err := r.runParts(ctx, client)
	j.took, j.parts = time.Since(began), r.total
	if err == nil {
		return result, nil
	}
	cause := context.Cause(ctx)
	var refused *gearman.ServerError
	switch {
	case errors.Is(cause, gearman.ErrLost):
		return nil, cause
	case errors.Is(cause, gearman.ErrCancelled):
		return nil, r.failure(cause)
	case cause != nil, errors.Is(err, gearman.ErrNoServer), errors.As(err, &refused) && refused.QueueFull():
		return nil, &returnedJob{reason: err}
	}
	return nil, r.failure(err)
}

// reserve makes room for a job. It reports false if there is none.
func (m *mapper) reserve(size int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running > 0 && (m.running >= maxMaps || m.held+size > maxMapPayloads*m.options.MaxPayload) {
		return false
	}
	m.running++
	m.held += size
	return true
}

// release frees the room of a job.
func (m *mapper) release(size int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	m.held -= size
}

// mapRun is a job with a reducer while it runs.
type mapRun struct {
	spec    MapSpec
	job     *job
	options gearman.Options
	total   int // parts
	status  *mapStatus
	log     *slog.Logger

	// The functions of the Batch, which are called one at a time, own these.
	live   map[partID]serverJob     // parts and reductions that a server has taken and that have not ended
	lines  map[partID]exitline.Text // exit lines of parts and reductions that have not ended
	failed exitline.Text            // exit line of the part or reduction that has failed
	pieces [][]byte                 // results of parts in their order, without a reducer
	size   int                      // of these, in bytes
}

// partID identifies a job of the Batch.
type partID struct{ stage, seq int }

// serverJob is a job on its server.
type serverJob struct {
	server gearman.Server
	handle gearman.Handle
}

// runParts submits the parts and folds their results into one.
func (r *mapRun) runParts(ctx context.Context, client *gearman.Client) (result []byte, err error) {
	if r.total, err = r.countParts(); err != nil {
		return nil, err
	}
	r.status = &mapStatus{total: r.total, send: r.sendStatus}
	defer r.status.stop()
	b := r.newBatch(client)
	if r.spec.Reducer == "" {
		r.pieces = make([][]byte, r.total)
		b.Unordered = true
		b.Data, b.Done = r.addPiece, r.endPart
	} else {
		b.Data = func(_ *batch.Record, data []byte) error {
			result = append(result, data...)
			return nil
		}
		b.Reduce = &batch.Reduction{
			Task:       gearman.Task{Function: r.spec.Reducer, Priority: gearman.High},
			Arity:      r.spec.Arity,
			MaxPayload: r.options.MaxPayload,
			Part:       r.endPart,
		}
	}
	if _, err := b.Run(ctx, r.parts()); err != nil {
		if errors.Is(context.Cause(ctx), gearman.ErrCancelled) {
			r.cancelParts()
		}
		return nil, err
	}
	for _, piece := range r.pieces {
		result = append(result, piece...)
	}
	return result, nil
}

// parts cuts the payload into parts.
func (r *mapRun) parts() *batch.Blocks {
	return batch.NewBlocks(bytes.NewReader(r.job.Payload()), batch.BlockOptions{
		Size: r.spec.Blocks[0], Delim: r.spec.Delim, Comma: r.spec.Comma, Header: r.spec.Header,
	})
}

// countParts returns the number of parts.
func (r *mapRun) countParts() (int, error) {
	parts := r.parts()
	for n := 0; ; n++ {
		switch _, err := parts.Next(); err {
		case nil:
		case io.EOF:
			return n, nil
		default:
			return n, err
		}
	}
}

// newBatch returns the Batch that does the parts.
func (r *mapRun) newBatch(client *gearman.Client) *batch.Batch {
	b := &batch.Batch{
		Client:     client,
		Task:       gearman.Task{Function: r.job.Function(), Reducer: r.spec.reducerOfParts(), Priority: gearman.High},
		Window:     r.spec.Jobs,
		Retries:    r.spec.Retries,
		Repeatable: true, // as the job itself is when its server is lost
		Patience:   mapPatience,
		// Before there is a part, the slot would take another such job.
		Created: func(p *batch.Record) {
			r.live[partID{p.Stage, p.Seq}] = serverJob{p.Server, p.Handle}
			r.job.Lend()
		},
		Warning: r.forwardWarning,
		Retry:   func(p *batch.Record, _ error) { delete(r.lines, partID{p.Stage, p.Seq}) },
	}
	if b.Task.Reducer != "" {
		b.Task.Priority = gearman.Normal // the protocol has no packet for others
	}
	return b
}

// cancelParts makes the servers stop the parts and reductions that have not ended.
func (r *mapRun) cancelParts() {
	byServer := map[gearman.Server][]gearman.Handle{}
	for _, part := range r.live {
		byServer[part.server] = append(byServer[part.server], part.handle)
	}
	var all sync.WaitGroup
	for server, handles := range byServer {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), cancelPatience)
			defer cancel()
			admin := gearman.NewAdmin(server, r.options)
			defer admin.Close()
			for _, h := range handles {
				if _, err := admin.CancelRunning(ctx, h); err != nil && !errors.Is(err, gearman.ErrUnknownJob) {
					r.log.Warn("part not cancelled", "part", string(h), "on", server.String(), "error", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// addPiece adds a piece to the result of a part.
func (r *mapRun) addPiece(p *batch.Record, piece []byte) error {
	if r.size += len(piece); r.size > r.options.MaxPayload {
		return fmt.Errorf("the results are over the limit of %d bytes", r.options.MaxPayload)
	}
	r.pieces[p.Seq-1] = append(r.pieces[p.Seq-1], piece...)
	return nil
}

// forwardWarning sends a warning of a part to the client, and keeps its exit line.
func (r *mapRun) forwardWarning(p *batch.Record, text []byte) {
	warning := exitline.Parse(text)
	if len(warning.Body) > 0 {
		if err := r.job.SendWarning(warning.Body); err != nil {
			r.log.Debug("warning not sent", "error", err)
		}
	}
	if warning.Reason != "" {
		warning.Body = nil
		r.lines[partID{p.Stage, p.Seq}] = warning
	}
}

// endPart notes the end of a part or of a reduction.
func (r *mapRun) endPart(p *batch.Record) error {
	id := partID{p.Stage, p.Seq}
	line := r.lines[id]
	delete(r.lines, id)
	delete(r.live, id)
	if p.Err != nil {
		var raised *gearman.ExceptionError
		if errors.As(p.Err, &raised) {
			line = exitline.Parse(raised.Data)
		}
		r.failed = line
		if r.spec.Reducer == "" {
			return &batch.PartError{First: p.Seq, Last: p.Seq, Err: p.Err}
		}
		return nil // the Reduction reports which one it was
	}
	if p.Stage > 0 {
		return nil
	}
	r.status.addPart()
	return nil
}

// sendStatus sends the number of parts that have ended to the client.
func (r *mapRun) sendStatus(done, total int64) {
	if err := r.job.SendStatus(done, total); err != nil {
		r.log.Debug("status not sent", "error", err)
	}
}

// failure returns the error that ends the job, with the part that has failed and
// the exit code of its program.
func (r *mapRun) failure(err error) error {
	end := &failedJob{text: bytes.Clone(r.failed.Body), code: codeFailed, reason: err}
	var part *batch.PartError
	if !errors.As(err, &part) {
		return end
	}
	reason := part.Err.Error()
	if r.failed.Reason != "" {
		end.code, reason = r.failed.Code, r.failed.Reason
	}
	if part.Level == 0 {
		end.line = fmt.Sprintf("part %d of %d: %s", part.First, r.total, reason)
	} else {
		end.line = fmt.Sprintf("%s of parts %d to %d of %d at level %d: %s", r.spec.Reducer, part.First, part.Last, r.total, part.Level, reason)
	}
	return end
}
