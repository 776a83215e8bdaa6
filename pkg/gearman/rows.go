package gearman

// The rows that the methods of Admin return. They have the fields of wire's
// rows, which rows_test.go compares.

// FunctionStatus is the state of a function, as the command status returns it.
type FunctionStatus struct {
	Function string
	Total    int // jobs that wait or run
	Running  int // jobs that workers hold
	Workers  int // connections that can do the function
}

// PriorityStatus is the number of waiting jobs of a function, by priority.
type PriorityStatus struct {
	Function          string
	High, Normal, Low int
	Workers           int // connections that can do the function
}

// WorkerInfo is a connection of a worker or a client, as the command workers
// returns it.
type WorkerInfo struct {
	FD        int
	Addr      string // without a port
	ID        string // see WorkerOptions.ID; "-" if the connection gave none
	Functions []string
}

// JobInfo is a job, as the command show jobs of gearmand returns it. Admin.Jobs
// returns more.
type JobInfo struct {
	Handle   Handle
	Attempts int  // number of workers that lost the job
	Ignored  bool // the server will discard its result: it was cancelled, or no client waits
	Queued   bool // it waits for a worker
}

// JobState is the state of a job in the queue.
type JobState string

const (
	StateWaiting JobState = "waiting" // for a worker
	StateDelayed JobState = "delayed" // until its time
	StateRunning JobState = "running" // a worker holds it
	StateDead    JobState = "dead"    // it has failed for good; Admin.RetryJob queues it again
)

// JobDetails describes a job of gm's server. Times are in milliseconds. Later
// versions may add fields to this and the other rows.
type JobDetails struct {
	Handle      Handle   `json:"handle"`
	Function    string   `json:"function"`
	Unique      string   `json:"unique,omitempty"`
	Reducer     string   `json:"reducer,omitempty"`
	Priority    string   `json:"priority"` // high, normal or low; see ParsePriority
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
	Numerator   int64    `json:"numerator"` // of the last Job.SendStatus
	Denominator int64    `json:"denominator"`
	Error       string   `json:"error,omitempty"`   // the last error
	Reason      string   `json:"reason,omitempty"`  // reason of its death: failed or exhausted
	DiedMS      int64    `json:"died_ms,omitempty"` // Unix time
	Spilled     bool     `json:"spilled,omitempty"` // its payload is in the store, not in memory
}

// FunctionStats describes a function of gm's server. The counters run since the
// server's start.
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
	Policy    string `json:"policy,omitempty"` // for jobs that fail; see Admin.SetPolicy
}

// Waiting returns the number of jobs that wait for a worker.
func (f *FunctionStats) Waiting() int { return f.High + f.Normal + f.Low }

// ServerStats describes a server of gm.
type ServerStats struct {
	Version     string `json:"version"`
	PID         int    `json:"pid"`
	UptimeMS    int64  `json:"uptime_ms"`
	Connections int    `json:"connections"`
	Jobs        int    `json:"jobs"`
	HeldBytes   int64  `json:"held_bytes"`            // payloads in memory
	MemoryBytes int64  `json:"memory_bytes"`          // their limit; 0 means no limit
	Spilled     int    `json:"spilled"`               // jobs with their payload only in the store
	Loading     bool   `json:"loading"`               // the server is still reading the store's jobs
	StoreError  string `json:"store_error,omitempty"` // the error, while the store fails
	Store       string `json:"store"`                 // "memory" or the store's kind
	Batches     uint64 `json:"batches,omitempty"`     // stored since the start
	BatchedOps  uint64 `json:"batched_ops,omitempty"` // entries in them: jobs added, ended and lost, and other records
	Draining    bool   `json:"draining"`              // the server is shutting down
}

// Session is a connection of gm's server.
type Session struct {
	FD         int      `json:"fd"`
	Addr       string   `json:"addr"` // with its port
	ID         string   `json:"id"`
	AgeMS      int64    `json:"age_ms"`
	Functions  []string `json:"functions"`
	Sleeping   bool     `json:"sleeping"`
	Jobs       []Handle `json:"jobs,omitempty"` // jobs that it holds as a worker
	Waits      int      `json:"waits"`          // number of results that it waits for
	OwedBytes  int      `json:"owed_bytes"`     // bytes not yet written to it
	Exceptions bool     `json:"exceptions"`
}

// OutcomeState is the way in which a job ended.
type OutcomeState string

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
	Handle   Handle       `json:"handle"`
	Function string       `json:"function,omitempty"`
	State    OutcomeState `json:"state"`
	Error    string       `json:"error,omitempty"`    // error text of its worker
	Attempts int          `json:"attempts,omitempty"` // attempts that failed or lost their worker
	EndedMS  int64        `json:"ended_ms,omitempty"` // Unix time
	Size     int          `json:"size"`               // of the stored result, or of the exception's text
	Kept     bool         `json:"kept"`               // Admin.Result can return the result
}

// FollowKind is the kind of a FollowEvent.
type FollowKind string

const (
	FollowData    FollowKind = "data"
	FollowWarning FollowKind = "warning"
	FollowStatus  FollowKind = "status"
	FollowAgain   FollowKind = "again" // the job waits again: the events before are void
)

// FollowEvent is one message from the worker of a job; see Admin.Follow.
type FollowEvent struct {
	Event       FollowKind `json:"event"`
	Data        []byte     `json:"data,omitempty"` // of data and warning; base64 in JSON
	Numerator   int64      `json:"numerator"`      // of status
	Denominator int64      `json:"denominator"`
}
