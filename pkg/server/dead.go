package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"gm/internal/codec"
	"gm/pkg/queue"
	"gm/pkg/wire"
)

// deadKey begins the keys of dead jobs in a store; the number in hexadecimal
// follows.
const deadKey = "dead/"

// deadHead has the facts about a dead job that a store keeps besides its record.
type deadHead struct {
	Reason  queue.Reason `json:"reason"`
	Error   string       `json:"error"`
	Started int64        `json:"started_ms"`
	Died    int64        `json:"died_ms"`
	// Size is the size of the payload. If the record's payload has another size, the
	// payload was lost before the job died.
	Size int `json:"size"`
}

func deadKeyOf(d *queue.DeadLetter) string { return deadKeyOfSeq(d.Record.Seq) }

// deadKeyOfSeq returns the key of the dead job with that number.
func deadKeyOfSeq(seq uint64) string { return deadKey + strconv.FormatUint(seq, 16) }

// encodeDead returns a JSON line, and the record behind it.
func encodeDead(d *queue.DeadLetter) []byte {
	line, err := json.Marshal(deadHead{
		Reason: d.Reason, Error: strings.ToValidUTF8(d.Error, "?"), Started: d.Started, Died: d.Died, Size: d.Size,
	})
	if err != nil { // it is a plain struct
		panic(err)
	}
	return codec.AppendRecord(append(line, '\n'), &d.Record)
}

func decodeDead(key string, value []byte) (*queue.DeadLetter, error) {
	line, rest, ok := bytes.Cut(value, []byte{'\n'})
	if !ok {
		return nil, fmt.Errorf("dead job %q: no line end", key)
	}
	var head deadHead
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("dead job %q: %w", key, err)
	}
	r, err := codec.DecodeRecord(rest)
	if err != nil {
		return nil, fmt.Errorf("dead job %q: %w", key, err)
	}
	return &queue.DeadLetter{
		Record: *r, Reason: head.Reason, Error: head.Error, Started: head.Started, Died: head.Died,
		Size: head.Size, Spilled: len(r.Payload) != head.Size,
	}, nil
}

// DeadRetained stores a dead job. The end of the job itself is in the same batch.
func (k *sink) DeadRetained(d *queue.DeadLetter, j *queue.Job) {
	s := (*Server)(k)
	if s.commit != nil {
		s.commit.putDead(d)
	}
	s.logAfterTurn(slog.LevelWarn, "dead", append(jobAttrs(j),
		slog.String("why", d.Reason.String()), slog.String("error", d.Error), slog.Int("attempts", d.Attempts()))...)
}

// DeadDropped removes a dead job from the store. A dead job that is being retried stays
// there until its job is stored.
func (k *sink) DeadDropped(d *queue.DeadLetter) {
	s := (*Server)(k)
	if s.commit != nil && d != s.retrying {
		s.commit.delete(deadKeyOf(d))
	}
}

// Withholding logs that the queue has begun or ceased to withhold spilled jobs.
func (k *sink) Withholding(on bool) {
	s := (*Server)(k)
	if on {
		s.logSampled(jobsWithheld, slog.LevelWarn, "spilled jobs are withheld until dead jobs are stored",
			slog.String("store", s.cfg.StoreName))
	} else {
		s.logSampled(jobsWithheld, slog.LevelInfo, "spilled jobs are handed out again", slog.String("store", s.cfg.StoreName))
	}
}

// retryDead makes a dead job wait again, whose payload has been read if it was
// Spilled. It calls settled when the job waits, and is durable if there is a store,
// or with the reason why it stays dead. The lock is held.
//
// The store forgets the dead job only when it has the job. If the server is
// killed between the two, the next one finds both; see loader.restore.
func (s *Server) retryDead(now int64, d *queue.DeadLetter, payload []byte, settled func(err error)) {
	if s.commit != nil && s.commit.stuck != nil {
		settled(notStoredError{s.commit.stuck})
		return
	}
	s.retrying = d
	got, err := s.q.RetryDeadLetter(now, d, s.commit != nil)
	s.retrying = nil
	if err != nil {
		settled(err)
		return
	}
	if got.Fresh && got.Job.Spilled() {
		s.q.Loaded(got.Job, payload)
	}
	done := func(now int64, err error) {
		switch {
		case err == nil:
			s.results.forgetResult(d.Record.Seq)
			if s.commit != nil {
				s.commit.delete(deadKeyOf(d))
			}
		case !got.Fresh: // the job that it has joined is gone
			if rerr := s.q.RestoreDeadLetter(now, d); rerr != nil {
				s.leftOut(rerr)
			}
			fallthrough
		default:
			err = notStoredError{err}
		}
		settled(err)
	}
	if s.commit == nil {
		done(now, nil)
		return
	}
	if got.Fresh || got.Promoted {
		s.commit.addJob(got.Job)
	}
	if !s.commit.whenAdded(got.Job, done) {
		done(now, nil)
	}
}

// deadRetry is a retry command that waits for the store.
type deadRetry struct {
	s       *Server
	left    int // dead jobs that it waits for, and one more until all are known
	n       int // retried jobs
	err     error
	spilled []*queue.DeadLetter
	answer  func(n int, err error)
}

// endOne counts a dead job that waits again or, with an error, stays dead. The lock
// is held.
func (r *deadRetry) endOne(err error) { r.countRetry(err, 1) }

// countRetry counts one down and n up, if there is no error. The lock is held.
func (r *deadRetry) countRetry(err error, n int) {
	if err == nil {
		r.n += n
	} else if r.err == nil {
		r.err = err
	}
	if r.left--; r.left == 0 {
		r.answer(r.n, r.err)
	}
}

// retryJob makes a dead job wait again. It calls done when the job waits, and is
// stored if there is a store, or with the reason why the job stays dead. The lock
// is held both times.
func (s *Server) retryJob(now int64, handle []byte, done func(err error)) {
	if s.loading {
		done(ErrLoading)
		return
	}
	d := s.q.LookupDeadLetter(handle)
	if d == nil {
		done(ErrUnknownJob)
		return
	}
	r := &deadRetry{s: s, left: 1, answer: func(_ int, err error) { done(err) }}
	r.retryOne(now, d)
	r.retryAll()
}

// retryTask makes all dead jobs of a function wait again. The lock is held.
func (s *Server) retryTask(function []byte) (*task, error) {
	if s.loading {
		return nil, ErrLoading
	}
	r := &deadRetry{s: s, left: 1}
	return &task{
		step: s.changeDead(function, r.retryOne),
		finish: func(answer func(n int, err error)) {
			r.answer = answer
			r.retryAll()
		},
	}, nil
}

// purgeDeadTask forgets all dead jobs of a function. The lock is held.
func (s *Server) purgeDeadTask(function []byte) (*task, error) {
	if s.loading {
		return nil, ErrLoading
	}
	n := 0
	return &task{
		step: s.changeDead(function, func(_ int64, d *queue.DeadLetter) {
			s.q.DropDeadLetter(d)
			n++
		}),
		end: func() (int, error) { return n, nil },
	}, nil
}

// changeDead returns the step of a task that calls change for the dead jobs of a
// function that have died by now. change may remove them from the list. The lock
// is held.
func (s *Server) changeDead(function []byte, change func(now int64, d *queue.DeadLetter)) func(now int64, most int) bool {
	q, name, until := s.q, string(function), s.q.Wall()
	var last *queue.DeadLetter
	var page []*queue.DeadLetter
	return func(now int64, most int) (more bool) {
		for b := newBudget(most); ; {
			page = page[:0]
			last, more = q.DeadLettersAfter(name, last, clockInterval, func(d *queue.DeadLetter) bool {
				if d.Died > until {
					return false
				}
				page = append(page, d)
				return true
			})
			for _, d := range page {
				change(now, d)
			}
			if !more || len(page) < clockInterval {
				return false
			}
			if !b.spend(len(page)) {
				return true
			}
		}
	}
}

// retryOne retries a dead job. A dead job whose payload is only in the store waits
// until all dead jobs are known. The lock is held.
func (r *deadRetry) retryOne(now int64, d *queue.DeadLetter) {
	r.left++
	if d.Spilled {
		r.spilled = append(r.spilled, d)
	} else {
		r.s.retryDead(now, d, nil, r.endOne)
	}
}

// retryAll ends the list of dead jobs to retry. Payloads that are only
// in the store are read from there now. The lock is held.
func (r *deadRetry) retryAll() {
	if s := r.s; len(r.spilled) > 0 {
		s.commit.whenSettled(func(int64, error) { // a job that has just died may still be on its way to the store
			s.loads.Go(r.retrySpilled)
		})
	}
	r.countRetry(nil, 0)
}

const (
	// fewSpilled is the largest number of dead jobs that are looked up one by one. For
	// more, all dead jobs of the store are read once: one look-up may take as long.
	fewSpilled = 4
	// maxRetryBytes is the size of the payloads that are read together.
	maxRetryBytes = 64 << 20
)

// retrySpilled reads the payloads of spilled dead jobs and retries these, in
// the order of their deaths.
func (r *deadRetry) retrySpilled() {
	left := r.spilled
	for len(left) > fewSpilled {
		payloads, err := r.s.readDeadOf(left)
		if len(payloads) == 0 && err == nil {
			break // each of them is looked up, and says why it is not there
		}
		var later []*queue.DeadLetter
		for chunk := range slices.Chunk(left, pageSteps) {
			r.s.mu.Lock()
			for _, d := range chunk {
				payload, ok := payloads[d.Record.Seq]
				switch {
				case ok:
					r.retryWith(d, payload, nil)
				case err != nil:
					r.retryWith(d, nil, err)
				default:
					later = append(later, d)
				}
			}
			r.s.endTurn(nil)
		}
		if left = later; len(left) > 0 {
			r.s.awaitCommit()
		}
	}
	for _, d := range left {
		payload, err := r.s.readDead(d)
		r.s.mu.Lock()
		r.retryWith(d, payload, err)
		r.s.endTurn(nil)
	}
}

// retryWith retries a dead job with the payload that was read, or ends its
// retry with the error. The lock is held.
func (r *deadRetry) retryWith(d *queue.DeadLetter, payload []byte, err error) {
	switch {
	case err != nil:
		r.endOne(err)
	case r.s.closed:
		r.endOne(ErrClosed)
	default:
		r.s.retryDead(r.s.readTime(), d, payload, r.endOne)
	}
}

// awaitCommit returns when all pending operations are settled, or the server is
// closed.
func (s *Server) awaitCommit() {
	settled := make(chan struct{})
	s.mu.Lock()
	s.commit.whenSettled(func(int64, error) { close(settled) })
	s.endTurn(nil)
	select {
	case <-settled:
	case <-s.ended:
	}
}

// errEnough ends a pass over the dead jobs.
var errEnough = errors.New("enough payloads for now")

// readDeadOf reads the payloads of dead jobs in one pass over all of the
// store's, by number: those that can be read, up to maxRetryBytes.
func (s *Server) readDeadOf(dead []*queue.DeadLetter) (map[uint64][]byte, error) {
	wanted := make(map[string]bool, len(dead))
	for _, d := range dead {
		wanted[deadKeyOf(d)] = true
	}
	payloads, size := make(map[uint64][]byte), 0
	err := s.store.Extras(s.ctx, deadKey, func(key string, value []byte) error {
		if !wanted[key] {
			return nil
		}
		d, err := decodeDead(key, value)
		if err != nil || d.Spilled {
			return nil // readDead says so
		}
		payloads[d.Record.Seq] = d.Record.Payload
		if size += len(d.Record.Payload); size >= maxRetryBytes || len(payloads) == len(wanted) {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return payloads, fmt.Errorf("read dead jobs: %w", err)
	}
	return payloads, nil
}

// readDead reads the payload of a dead job.
func (s *Server) readDead(d *queue.DeadLetter) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.StoreTimeout)
	defer cancel()
	value, err := s.store.Extra(ctx, deadKeyOf(d))
	var stored *queue.DeadLetter
	if err == nil {
		stored, err = decodeDead(deadKeyOf(d), value)
	}
	switch {
	case err != nil:
	case stored.Spilled:
		err = errors.New("its payload was lost")
	default:
		return stored.Record.Payload, nil
	}
	return nil, fmt.Errorf("read dead job %s: %w", d.Handle(), err)
}

// deadRow describes a dead job.
func deadRow(wall int64, d *queue.DeadLetter) wire.Job {
	return wire.Job{
		Handle:     d.Handle(),
		Function:   d.Function().Name(),
		Unique:     d.Record.Unique,
		Reducer:    d.Record.Reducer,
		Priority:   d.Priority().String(),
		State:      wire.StateDead,
		Background: true,
		Size:       d.Size,
		AgeMS:      max(wall-d.Record.Accepted, 0),
		RunAtMS:    d.Record.RunAt,
		Attempts:   d.Attempts(),
		Error:      strings.ToValidUTF8(d.Error, "?"),
		Reason:     d.Reason.String(),
		DiedMS:     d.Died,
		Spilled:    d.Spilled,
	}
}

// deadOutcome returns the outcome of a dead job. It is equal to the one that
// results.ended sent to the connections that waited when the job died.
func deadOutcome(d *queue.DeadLetter) *wire.Outcome {
	return &wire.Outcome{
		Handle: d.Handle(), Function: d.Function().Name(), State: wire.OutcomeDead,
		Error: strings.ToValidUTF8(d.Error, "?"), Attempts: d.Attempts(), EndedMS: d.Died, Size: len(d.Error),
	}
}

// deadLoader collects the dead jobs of a store, which come in no order.
type deadLoader struct {
	s    *Server
	all  []*queue.DeadLetter
	size int64 // of payloads
}

// addDead adds one extra. It does not keep a payload that would be dropped at once.
func (l *deadLoader) addDead(key string, value []byte) error {
	d, err := decodeDead(key, value)
	if err != nil {
		return err
	}
	l.size += int64(len(d.Record.Payload))
	if bound := l.s.cfg.Memory / 4; bound > 0 && l.size > bound && l.s.reader != nil && !d.Spilled {
		l.size -= int64(len(d.Record.Payload))
		d.Record.Payload, d.Spilled = nil, d.Size > 0
	}
	l.all = append(l.all, d)
	return nil
}

// restoreDead puts them into the queue, in the order of their deaths.
func (l *deadLoader) restoreDead() {
	slices.SortFunc(l.all, func(a, b *queue.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Died, b.Died), cmp.Compare(a.Record.Seq, b.Record.Seq))
	})
	for chunk := range slices.Chunk(l.all, loadChunk) {
		l.s.mu.Lock()
		for _, d := range chunk {
			if l.s.own.has(d.Record.Seq) {
				continue // it died after the start, and is in the list
			}
			if err := l.s.q.RestoreDeadLetter(l.s.readTime(), d); err != nil {
				l.s.leftOut(err)
			}
		}
		l.s.endTurn(nil)
	}
}

// ErrLoading is returned for an operation that needs all jobs of the store while
// the server is still reading them.
var ErrLoading = errors.New("the store's jobs are still being read")
