package server

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// rows collects JSON lines.
type rows struct{ b []byte }

func (r *rows) add(v any) {
	line, err := json.Marshal(v)
	if err != nil { // the rows are plain structs
		panic(err)
	}
	r.b = append(append(r.b, line...), '\n')
}

func (r *rows) end() []byte { return append(r.b, wire.ReplyEnd...) }

func (c *conn) adminStats(now int64, _ [][]byte) []byte {
	s := c.s
	totals := s.q.Totals()
	stats := wire.ServerStats{
		Version:     s.cfg.Version,
		PID:         os.Getpid(),
		UptimeMS:    time.Since(s.clocks.start).Milliseconds(),
		Connections: len(s.conns),
		Jobs:        s.q.Len(),
		Store:       s.cfg.StoreName,
		Draining:    s.draining,
		HeldBytes:   totals.Bytes,
		MemoryBytes: s.cfg.Memory,
		Spilled:     totals.Spilled,
		Loading:     s.loading,
		StoreError:  s.storeError(),
	}
	if s.commit != nil {
		stats.Batches, stats.BatchedOps = s.commit.batches, s.commit.batchedOps
	}
	var r rows
	r.add(stats)
	for _, f := range s.q.Snapshot(now) {
		r.add(wire.FunctionStats(f))
	}
	return r.end()
}

// storeError returns why the store fails, empty if it works.
func (s *Server) storeError() string {
	if s.commit == nil || s.commit.failing == nil {
		return ""
	}
	return s.commit.failing.Error()
}

// defaultJobs is how many jobs are listed when no limit is given.
const defaultJobs = 1000

func (c *conn) adminJobs(now int64, args [][]byte) []byte {
	function, state, limit := "", wire.JobState(""), defaultJobs
	if len(args) > 0 && string(args[0]) != "-" {
		function = string(args[0])
	}
	if len(args) > 1 && string(args[1]) != "-" {
		state = wire.JobState(args[1])
	}
	switch state {
	case "", wire.StateWaiting, wire.StateDelayed, wire.StateRunning, wire.StateDead:
	default:
		return missingArgs(args[1])
	}
	if len(args) > 2 {
		n, err := strconv.Atoi(string(args[2]))
		if err != nil || n < 0 {
			return missingArgs(args[2])
		}
		limit = n
		if n == 0 {
			limit = -1 // no limit
		}
	}
	var r rows
	if state == wire.StateDead {
		c.s.q.Dead(function, func(d *queue.Dead) bool {
			if limit != 0 {
				r.add(deadRow(c.s.q.Wall(), d))
				limit--
			}
			return limit != 0
		})
		return r.end()
	}
	c.s.q.Jobs(func(j *queue.Job) bool {
		if limit == 0 {
			return false
		}
		if function == "" || j.Function().Name() == function {
			if row := jobRow(now, c.s.q.Wall(), j); state == "" || row.State == state {
				r.add(row)
				limit--
			}
		}
		return true
	})
	return r.end()
}

func (c *conn) adminJob(now int64, args [][]byte) []byte {
	var r rows
	if j := c.s.q.Lookup(args[0]); j != nil {
		r.add(jobRow(now, c.s.q.Wall(), j))
	} else if d := c.s.q.LookupDead(args[0]); d != nil {
		r.add(deadRow(c.s.q.Wall(), d))
	} else {
		return c.s.unknownJob()
	}
	return r.end()
}

// jobRow describes a job. One that waits for the journal counts as waiting.
func jobRow(now, wall int64, j *queue.Job) wire.Job {
	num, den := j.Status()
	row := wire.Job{
		Handle:      j.Handle(),
		Function:    j.Function().Name(),
		Unique:      string(j.Unique()),
		Reducer:     string(j.Reducer()),
		Priority:    j.Priority().String(),
		State:       wire.StateWaiting,
		Background:  j.Background(),
		Size:        j.Size(),
		AgeMS:       max(wall-j.Accepted(), 0),
		RunAtMS:     j.RunAt(),
		Attempts:    j.Attempts(),
		Clients:     j.NumWaiters(),
		Numerator:   num,
		Denominator: den,
		Error:       strings.ToValidUTF8(j.Note(), "?"),
		Spilled:     j.Spilled(),
	}
	switch j.State() {
	case queue.Delayed:
		row.State = wire.StateDelayed
	case queue.Running:
		row.State = wire.StateRunning
		row.RunningMS = max(now-j.Started(), 0)
		if w := j.Worker(); w != nil {
			row.Worker, row.WorkerID = w.Owner.(*conn).addr, w.Owner.(*conn).id
		}
	}
	return row
}

func (c *conn) adminSessions(int64, [][]byte) []byte {
	var r rows
	for _, other := range c.s.connsInOrder() {
		row := wire.Session{
			FD:         other.sock.fd(),
			Addr:       other.addr,
			ID:         other.id,
			AgeMS:      time.Since(other.since).Milliseconds(),
			Functions:  append([]string{}, other.peer.Functions()...),
			Sleeping:   other.peer.Sleeping(),
			Waits:      other.peer.NumWaits(),
			OwedBytes:  other.out.owed() + other.parked.size,
			Exceptions: other.exceptions,
		}
		for j := range other.peer.Jobs {
			row.Jobs = append(row.Jobs, j.Handle())
		}
		r.add(row)
	}
	return r.end()
}

func (c *conn) adminPause(now int64, args [][]byte) []byte {
	return okOrErr(c.s.q.Pause(now, args[0], true))
}

func (c *conn) adminResume(now int64, args [][]byte) []byte {
	return okOrErr(c.s.q.Pause(now, args[0], false))
}

func (c *conn) adminPurge(now int64, args [][]byte) []byte {
	if c.s.loading {
		return okOrErr(errLoading)
	}
	n, err := c.s.q.Purge(now, args[0], c.s.q.LastSeq(), math.MaxInt)
	if err != nil {
		return okOrErr(err)
	}
	return fmt.Appendf(nil, "OK %d\r\n", n)
}
