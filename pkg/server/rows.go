package server

import (
	"io"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// The values that the methods of Server return. The rows of the admin commands have
// the same fields.

// WorkerInfo is a connection, of a worker or not.
type WorkerInfo struct {
	FD        int      // file descriptor, -1 if the connection has none
	Addr      string   // without a port
	ID        string   // that the worker has chosen; "-" if it has none
	Functions []string // that it can do; the one that it named last is the first
}

// Session is a connection, with more about it than WorkerInfo.
type Session struct {
	FD         int      `json:"fd"`
	Addr       string   `json:"addr"` // with its port
	ID         string   `json:"id"`
	AgeMS      int64    `json:"age_ms"`
	Functions  []string `json:"functions"`
	Sleeping   bool     `json:"sleeping"`       // it is a worker that waits for a job
	Jobs       []string `json:"jobs,omitempty"` // handles of the jobs that it holds as a worker
	Waits      int      `json:"waits"`          // number of results that it waits for
	OwedBytes  int      `json:"owed_bytes"`     // bytes not yet written to it
	Exceptions bool     `json:"exceptions"`     // it gets WORK_EXCEPTION instead of WORK_FAIL
}

// JobState is the state of a job in the queue.
type JobState = wire.JobState

const (
	StateWaiting JobState = "waiting" // for a worker
	StateDelayed JobState = "delayed" // until its time
	StateRunning JobState = "running" // a worker holds it
	StateDead    JobState = "dead"    // it has failed for good; Server.Retry queues it again
)

// Job describes one job. Times are in milliseconds. Later versions may add fields to
// this and the other rows.
type Job struct {
	Handle      string   `json:"handle"`
	Function    string   `json:"function"`
	Unique      string   `json:"unique,omitempty"`
	Reducer     string   `json:"reducer,omitempty"`
	Priority    string   `json:"priority"` // high, normal or low
	State       JobState `json:"state"`
	Background  bool     `json:"background"`
	Size        int      `json:"size"`             // payload in bytes
	AgeMS       int64    `json:"age_ms"`           // since the server accepted it
	RunAtMS     int64    `json:"run_at_ms"`        // Unix time, 0 if it is not delayed
	RunningMS   int64    `json:"running_ms"`       // since the worker got it
	Attempts    int      `json:"attempts"`         // number of workers that lost it
	Clients     int      `json:"clients"`          // clients that wait for its result
	Worker      string   `json:"worker,omitempty"` // address of its worker
	WorkerID    string   `json:"worker_id,omitempty"`
	Numerator   int64    `json:"numerator"` // of the last WORK_STATUS
	Denominator int64    `json:"denominator"`
	Error       string   `json:"error,omitempty"`   // the last error
	Reason      string   `json:"reason,omitempty"`  // reason of its death: failed or exhausted
	DiedMS      int64    `json:"died_ms,omitempty"` // Unix time
	Spilled     bool     `json:"spilled,omitempty"` // its payload is in the store, not in memory
}

// FunctionStats describes a function. The counters run since the start of the server.
type FunctionStats struct {
	Function  string `json:"function"`
	High      int    `json:"high"` // waiting, by priority
	Normal    int    `json:"normal"`
	Low       int    `json:"low"`
	Delayed   int    `json:"delayed"`
	Running   int    `json:"running"`
	Workers   int    `json:"workers"`
	Sleeping  int    `json:"sleeping"`  // of the workers
	OldestMS  int64  `json:"oldest_ms"` // age of the oldest waiting job
	Paused    bool   `json:"paused"`
	MaxQueue  [3]int `json:"maxqueue"`  // high, normal, low; 0 means no limit
	Submitted uint64 `json:"submitted"` // jobs, those of a known unique not included
	Coalesced uint64 `json:"coalesced"` // submissions that joined a job of the same unique
	Completed uint64 `json:"completed"`
	Failed    uint64 `json:"failed"`
	Retried   uint64 `json:"retried"` // returned to the queue after a lost worker, a timeout or a retry
	Dead      int    `json:"dead"`
	Policy    string `json:"policy,omitempty"` // for jobs that fail, as ParsePolicy reads it
}

// Waiting returns the number of jobs that wait for a worker.
func (f *FunctionStats) Waiting() int { return f.High + f.Normal + f.Low }

// ServerStats describes a server.
type ServerStats struct {
	Version     string `json:"version"` // Config.Version
	PID         int    `json:"pid"`
	UptimeMS    int64  `json:"uptime_ms"`
	Connections int    `json:"connections"`
	Jobs        int    `json:"jobs"`
	HeldBytes   int64  `json:"held_bytes"`            // payloads in memory
	MemoryBytes int64  `json:"memory_bytes"`          // Config.Memory
	Spilled     int    `json:"spilled"`               // jobs with their payload only in the store
	Loading     bool   `json:"loading"`               // the server is still reading the store's jobs
	StoreError  string `json:"store_error,omitempty"` // the error, while the store fails
	Store       string `json:"store"`                 // Config.StoreName; "memory" without a store
	Batches     uint64 `json:"batches,omitempty"`     // stored since the start
	BatchedOps  uint64 `json:"batched_ops,omitempty"` // entries in them: jobs added, ended and lost, and other records
	Draining    bool   `json:"draining"`              // the server is shutting down
}

// OutcomeState is the way in which a job ended.
type OutcomeState = wire.OutcomeState

const (
	OutcomeCompleted OutcomeState = "completed"
	OutcomeFailed    OutcomeState = "failed"
	OutcomeException OutcomeState = "exception"
	OutcomeCancelled OutcomeState = "cancelled"
	OutcomeDead      OutcomeState = "dead"    // it failed for good and is kept as a dead job
	OutcomeUnknown   OutcomeState = "unknown" // the server does not have the job and does not remember its end
)

// Outcome describes how a job ended.
type Outcome struct {
	Handle   string       `json:"handle"`
	Function string       `json:"function,omitempty"`
	State    OutcomeState `json:"state"`
	Error    string       `json:"error,omitempty"`    // error text of its worker
	Attempts int          `json:"attempts,omitempty"` // attempts that failed or lost their worker
	EndedMS  int64        `json:"ended_ms,omitempty"` // Unix time
	Size     int          `json:"size"`               // of the stored result, or of the exception's text
	Kept     bool         `json:"kept"`               // Server.Result can return the result
}

// FollowKind is the kind of a FollowEvent.
type FollowKind = wire.FollowKind

const (
	FollowData    FollowKind = "data"
	FollowWarning FollowKind = "warning"
	FollowStatus  FollowKind = "status"
	FollowAgain   FollowKind = "again" // the job waits again: the events before are void
)

// FollowEvent is one message from the worker of a job; see [Server.Follow].
type FollowEvent struct {
	Event       FollowKind `json:"event"`
	Data        []byte     `json:"data,omitempty"` // of data and warning; base64 in JSON
	Numerator   int64      `json:"numerator"`      // of status
	Denominator int64      `json:"denominator"`
}

// Tracer writes a line for each packet that crosses a connection. Make it with
// [NewTracer]. It is the Tracer of package gearman.
type Tracer = wire.Tracer

// NewTracer returns a Tracer that writes to w, one whole line per call. It ignores
// the errors of w.
func NewTracer(w io.Writer) *Tracer { return wire.NewTracer(w) }

// The errors of methods of [Server] that name a function, which they match.
var (
	// ErrNoFunction is matched if the server does not know the function.
	ErrNoFunction = queue.ErrNoFunction
	// ErrInUse is matched if [Server.Drop] finds workers, running jobs or dead jobs of
	// the function.
	ErrInUse = queue.ErrInUse
)

// Conversions of rows, for collectRows.

func toJob(row *wire.Job) Job { return Job(*row) }

func toWorkerInfo(row *wire.Session) WorkerInfo                 { return WorkerInfo(workerRow(row)) }
func toSession(row *wire.Session) Session                       { return Session(*row) }
func toFunctionStats(row *queue.FunctionSnapshot) FunctionStats { return FunctionStats(*row) }
