package server

import (
	"bytes"
	"encoding/json"
	"fmt"
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
		Connections: s.conns.n,
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
	return c.functionRows(now, r.b, func(dst []byte, f *queue.FunctionSnapshot) []byte {
		r := rows{dst}
		r.add((*wire.FunctionStats)(f))
		return r.b
	})
}

// storeError returns why the store fails, empty if it works.
func (s *Server) storeError() string {
	if s.loading && s.loadErr != nil {
		return s.loadErr.Error()
	}
	if s.commit == nil || s.commit.failing == nil {
		return ""
	}
	return s.commit.failing.Error()
}

// defaultJobs is how many jobs are listed when no limit is given.
const defaultJobs = 1000

// jobFilter is what the command jobs asks for.
type jobFilter struct {
	function string        // empty for all
	state    wire.JobState // empty for all
	left     int           // rows to come; negative is no limit
	after    []byte        // a handle, nil for the first job
}

// parseJobFilter parses [FUNCTION|- [STATE|- [LIMIT [AFTER]]]]. It returns the
// argument that is wrong, if one is.
func parseJobFilter(args [][]byte) (f jobFilter, wrong []byte) {
	f.left = defaultJobs
	if len(args) > 0 && string(args[0]) != "-" {
		f.function = string(args[0])
	}
	if len(args) > 1 && string(args[1]) != "-" {
		f.state = wire.JobState(args[1])
	}
	switch f.state {
	case "", wire.StateWaiting, wire.StateDelayed, wire.StateRunning, wire.StateDead:
	default:
		return f, args[1]
	}
	if len(args) > 2 {
		n, err := strconv.Atoi(string(args[2]))
		if err != nil || n < 0 {
			return f, args[2]
		}
		if f.left = n; n == 0 {
			f.left = -1
		}
	}
	if len(args) > 3 {
		f.after = args[3]
	}
	return f, nil
}

// count counts a row and reports whether more may follow.
func (f *jobFilter) count() bool {
	f.left--
	return f.left != 0
}

func (c *conn) adminJobs(now int64, args [][]byte) []byte {
	f, wrong := parseJobFilter(args)
	if wrong != nil {
		return missingArgs(wrong)
	}
	taken := newJobPage(f.left)
	p := &pages{rows: taken.appendRows}
	q := c.s.q
	if f.state == wire.StateDead {
		var last *queue.Dead
		if f.after != nil {
			if last = q.LookupDead(f.after); last == nil {
				return c.s.unknownJob()
			}
		}
		p.step = func(_ int64, most int) (more bool) {
			b := newBudget(most)
			last, more = q.DeadAfter(f.function, last, most, func(d *queue.Dead) bool {
				taken.addRow(deadRow(q.Wall(), d))
				return f.count() && b.spend(1)
			})
			return more && f.left != 0
		}
		return p.run(c, now)
	}
	var last uint64
	if f.after != nil {
		var ok bool
		if last, ok = q.Number(f.after); !ok {
			return c.s.unknownJob()
		}
	}
	p.step = func(now int64, most int) (more bool) {
		b := newBudget(most)
		last, more = q.JobsAfter(last, most, func(j *queue.Job) bool {
			if f.function != "" && j.Function().Name() != f.function || f.state != "" && jobState(j) != f.state {
				return b.spend(1)
			}
			taken.addJob(now, q.Wall(), j)
			return f.count() && b.spend(1)
		})
		return more && f.left != 0
	}
	return p.run(c, now)
}

// jobState returns where a job stands. One that waits for the journal counts as
// waiting.
func jobState(j *queue.Job) wire.JobState {
	switch j.State() {
	case queue.Delayed:
		return wire.StateDelayed
	case queue.Running:
		return wire.StateRunning
	}
	return wire.StateWaiting
}

// jobRow describes a job, but for its handle, unique and reducer.
func jobRow(now, wall int64, j *queue.Job) wire.Job {
	num, den := j.Status()
	row := wire.Job{
		Function:    j.Function().Name(),
		Priority:    j.Priority().String(),
		State:       jobState(j),
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
	if j.State() == queue.Running {
		row.RunningMS = max(now-j.Started(), 0)
		if w := j.Worker(); w != nil {
			row.Worker, row.WorkerID = w.Owner.(*conn).addr, w.Owner.(*conn).id
		}
	}
	return row
}

func (c *conn) adminSessions(now int64, _ [][]byte) []byte {
	return connRows(c, now, func(other *conn) wire.Session {
		row := wire.Session{
			FD:         other.sock.fd(),
			Addr:       other.addr,
			ID:         other.id,
			AgeMS:      now - other.since,
			Functions:  other.peer.Functions(),
			Sleeping:   other.peer.Sleeping(),
			Waits:      other.peer.NumWaits(),
			OwedBytes:  other.out.owed() + other.parked.size,
			Exceptions: other.exceptions,
		}
		for j := range other.peer.Jobs {
			row.Jobs = append(row.Jobs, j.Handle())
		}
		return row
	}, func(dst []byte, s *wire.Session) []byte {
		r := rows{dst}
		r.add(s)
		return r.b
	})
}

func (c *conn) adminPause(now int64, args [][]byte) []byte {
	return okOrErr(c.s.pause(now, args[0], true))
}

func (c *conn) adminResume(now int64, args [][]byte) []byte {
	return okOrErr(c.s.pause(now, args[0], false))
}

// adminPurge drops the jobs of a function that wait when it is asked to.
func (c *conn) adminPurge(now int64, args [][]byte) []byte {
	q := c.s.q
	switch {
	case c.s.loading:
		return okOrErr(errLoading)
	case q.Function(args[0]) == nil:
		return okOrErr(queue.ErrNoFunction)
	}
	function, last, total := bytes.Clone(args[0]), q.LastSeq(), 0
	p := &pages{
		step: func(now int64, most int) bool {
			for b := newBudget(most); ; {
				n, err := q.Purge(now, function, last, lookEvery)
				total += n
				if err != nil || n < lookEvery {
					return false
				}
				if !b.spend(n) {
					return true
				}
			}
		},
		end: func() []byte { return fmt.Appendf(nil, "OK %d\r\n", total) },
	}
	return p.run(c, now)
}
