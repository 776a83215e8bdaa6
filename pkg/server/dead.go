package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// deadKey begins the keys of dead jobs in a store; the number in hexadecimal
// follows.
const deadKey = "dead/"

// deadHead is what a store keeps of a dead job beside its record.
type deadHead struct {
	Reason  queue.Reason `json:"reason"`
	Error   string       `json:"error"`
	Started int64        `json:"started_ms"`
	Died    int64        `json:"died_ms"`
}

func deadKeyOf(d *queue.Dead) string { return deadKey + strconv.FormatUint(d.Record.Seq, 16) }

// encodeDead returns a JSON line, and the record behind it.
func encodeDead(d *queue.Dead) []byte {
	line, err := json.Marshal(deadHead{Reason: d.Reason, Error: d.Error, Started: d.Started, Died: d.Died})
	if err != nil { // it is a plain struct
		panic(err)
	}
	return store.AppendRecord(append(line, '\n'), &d.Record)
}

func decodeDead(key string, value []byte) (*queue.Dead, error) {
	line, rest, ok := bytes.Cut(value, []byte{'\n'})
	if !ok {
		return nil, fmt.Errorf("dead job %q: no line end", key)
	}
	var head deadHead
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("dead job %q: %w", key, err)
	}
	r, err := store.DecodeRecord(rest)
	if err != nil {
		return nil, fmt.Errorf("dead job %q: %w", key, err)
	}
	return &queue.Dead{
		Record: *r, Reason: head.Reason, Error: head.Error, Started: head.Started, Died: head.Died,
	}, nil
}

// Buried keeps a job that is dead. The end of the job itself is in the same
// batch.
func (k *sink) Buried(d *queue.Dead, j *queue.Job) {
	s := (*Server)(k)
	if s.commit != nil {
		s.commit.bury(d)
	}
	s.note(slog.LevelWarn, "dead", append(jobAttrs(j),
		slog.String("why", d.Reason.String()), slog.String("error", d.Error), slog.Int("attempts", d.Record.Attempts))...)
}

// Forgotten forgets a dead job.
func (k *sink) Forgotten(d *queue.Dead) {
	s := (*Server)(k)
	if s.commit != nil {
		s.commit.delete(deadKeyOf(d))
	}
}

// bury keeps a dead job with the next batch. The lock is held.
func (m *committer) bury(d *queue.Dead) {
	m.put(deadKeyOf(d), encodeDead(d))
	m.next.deaths = append(m.next.deaths, d)
}

// revive makes a dead job wait again. The lock is held.
func (s *Server) revive(now int64, d *queue.Dead) error {
	got, err := s.q.Revive(now, d, s.commit != nil)
	if err != nil || s.commit == nil {
		return err
	}
	if got.Fresh || got.Promoted {
		s.commit.add(got.Job)
	}
	if got.Fresh {
		s.commit.delete(deadKeyOf(d))
	}
	return nil
}

// adminRetryJob makes one dead job wait again.
func (c *conn) adminRetryJob(now int64, args [][]byte) []byte {
	d := c.s.q.LookupDead(args[0])
	if d == nil {
		return []byte(wire.ReplyUnknownJob)
	}
	return c.retry(now, []*queue.Dead{d}, func(n int, err error) []byte { return okOrErr(err) })
}

// adminRetryAll makes all dead jobs of a function wait again.
func (c *conn) adminRetryAll(now int64, args [][]byte) []byte {
	var all []*queue.Dead
	for d := range c.s.deadOf(args[0]) {
		all = append(all, d)
	}
	return c.retry(now, all, func(n int, err error) []byte {
		if err != nil && n == 0 {
			return okOrErr(err)
		}
		return fmt.Appendf(nil, "OK %d\r\n", n)
	})
}

// deadOf iterates over the dead jobs of a function; none if it is unknown.
func (s *Server) deadOf(function []byte) func(func(*queue.Dead) bool) {
	return func(yield func(*queue.Dead) bool) { s.q.Dead(string(function), yield) }
}

// retry revives dead jobs. Those whose payload is only in the store are read
// from there first, and the reply comes when that is done.
func (c *conn) retry(now int64, all []*queue.Dead, reply func(n int, err error) []byte) []byte {
	s := c.s
	var spilled []*queue.Dead
	n := 0
	var failed error
	for _, d := range all {
		if d.Spilled {
			spilled = append(spilled, d)
		} else if err := s.revive(now, d); err != nil {
			failed = err
		} else {
			n++
		}
	}
	if len(spilled) == 0 {
		return reply(n, failed)
	}
	slot := c.parked.add()
	s.loads.Go(func() {
		for _, d := range spilled {
			if err := s.reviveSpilled(d); err != nil {
				failed = err
			} else {
				n++
			}
		}
		s.mu.Lock()
		c.answerText(slot, reply(n, failed))
		s.endTurn(nil)
	})
	return nil
}

// reviveSpilled reads a dead job's payload and revives it.
func (s *Server) reviveSpilled(d *queue.Dead) error {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.StoreTimeout)
	defer cancel()
	var payload []byte
	found := false
	err := s.cfg.Store.Extras(ctx, deadKeyOf(d), func(key string, value []byte) error {
		if key != deadKeyOf(d) {
			return nil
		}
		kept, err := decodeDead(key, value)
		if err == nil {
			payload, found = kept.Record.Payload, true
		}
		return err
	})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read dead job %s: %w", d.Handle(), err)
	}
	s.mu.Lock()
	defer s.endTurn(nil)
	if s.closed {
		return ErrClosed
	}
	now := time.Now().UnixMilli()
	got, err := s.q.Revive(now, d, true)
	if err != nil {
		return err
	}
	if got.Fresh {
		s.q.Loaded(got.Job, payload)
		s.commit.delete(deadKeyOf(d))
	}
	if got.Fresh || got.Promoted {
		s.commit.add(got.Job)
	}
	return nil
}

// adminPurgeDead forgets all dead jobs of a function.
func (c *conn) adminPurgeDead(_ int64, args [][]byte) []byte {
	var all []*queue.Dead
	for d := range c.s.deadOf(args[0]) {
		all = append(all, d)
	}
	for _, d := range all {
		c.s.q.Forget(d)
	}
	return fmt.Appendf(nil, "OK %d\r\n", len(all))
}

// deadRow describes a dead job.
func deadRow(now int64, d *queue.Dead) wire.Job {
	return wire.Job{
		Handle:     d.Handle(),
		Function:   d.Function().Name(),
		Unique:     d.Record.Unique,
		Reducer:    d.Record.Reducer,
		Priority:   queue.Priority(d.Record.Priority).String(),
		State:      wire.StateDead,
		Background: true,
		Size:       d.Size,
		AgeMS:      max(now-d.Record.Accepted, 0),
		RunAtMS:    d.Record.RunAt,
		Attempts:   d.Record.Attempts,
		Error:      strings.ToValidUTF8(d.Error, "?"),
		Reason:     d.Reason.String(),
		DiedMS:     d.Died,
		Spilled:    d.Spilled,
	}
}

// deadOutcome is the end of a dead job.
func deadOutcome(d *queue.Dead) *wire.Outcome {
	return &wire.Outcome{
		Handle: d.Handle(), Function: d.Function().Name(), State: wire.OutcomeDead,
		Error: strings.ToValidUTF8(d.Error, "?"), Attempts: d.Record.Attempts, EndedMS: d.Died,
	}
}

// restoreDead takes a dead job that the store has kept. The lock is held.
func (s *Server) restoreDead(now int64, key string, value []byte) error {
	d, err := decodeDead(key, value)
	if err != nil {
		return err
	}
	return s.q.RestoreDead(now, d)
}

var errLoading = errors.New("LOADING the store's jobs are still being read")
