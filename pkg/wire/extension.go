package wire

// Admin commands that only gm's server has. They answer JSON objects, one per
// line, and end the list with a line "."; commands that change something answer
// OK or ERR. Other servers answer ERR UNKNOWN_COMMAND, see [ErrReply.Unknown].
const (
	CmdHelp     = "help"            // a line for each command
	CmdStats    = "stats"           // a ServerStats, then a FunctionStats for each function
	CmdJobs     = "jobs"            // [FUNCTION|- [STATE|- [LIMIT [AFTER]]]]: Jobs, oldest first, starting after the handle AFTER
	CmdJob      = "job"             // HANDLE [payload]: one Job; with payload also Size bytes, then a line "."
	CmdFront    = "front job"       // HANDLE: move a waiting job to the head of its queue
	CmdFollow   = "follow"          // HANDLE: FollowEvents as they happen, then an Outcome
	CmdSessions = "sessions"        // a Session for each connection
	CmdPause    = "pause function"  // FUNCTION: hand out none of its jobs
	CmdResume   = "resume function" // FUNCTION: hand them out again
	CmdPurge    = "purge function"  // FUNCTION: drop its waiting and delayed jobs; OK N
)

// Options of OPTION_REQ.
const (
	OptionExceptions = "exceptions" // of clients: WORK_EXCEPTION instead of WORK_FAIL
	// OptionCancel is an option of workers that only gm has. With it the server
	// sends the worker WORK_FAIL with the handle of its running job when that
	// job is cancelled. A worker that has not asked for it, such as any of
	// libgearman's, never gets that packet.
	OptionCancel = "gm-cancel"
	// OptionOnce is an option of clients that only gm has. With it the server
	// answers a background submission with the handle of a job that has ended, and
	// adds no job, if that job had the same function and unique, and its outcome is
	// still kept. Cancelled jobs do not count. A colon and a prefix may follow: then
	// the option is only for uniques that begin with the prefix, and the server keeps
	// their outcomes for ten minutes if it keeps no results. Without a prefix such a
	// server answers with an ERROR, as other servers always do.
	OptionOnce = "once"
)

// CmdCancelRunning, with a handle, cancels the job as CmdCancelJob does, and
// asks the worker of a running job to stop it. It answers OK, and for a running
// job OK with one of the two words below.
const (
	CmdCancelRunning  = "stop job"
	CancelledStopping = "stopping" // the server told its worker
	CancelledRunsOn   = "runs on"  // its worker has not asked for OptionCancel
)

// JobState is the state of a job.
type JobState string

const (
	StateWaiting JobState = "waiting" // for a worker
	StateDelayed JobState = "delayed" // waits for its time
	StateRunning JobState = "running" // a worker holds it
	StateDead    JobState = "dead"    // it has failed for good; the retry command runs it again
)

// Job describes one job. Times are in milliseconds. Later versions only add
// fields to this and the other JSON rows.
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
	Attempts    int      `json:"attempts"`         // number of workers that have lost it
	Clients     int      `json:"clients"`          // clients that wait for its result
	Worker      string   `json:"worker,omitempty"` // the address of its worker
	WorkerID    string   `json:"worker_id,omitempty"`
	Numerator   int64    `json:"numerator"`
	Denominator int64    `json:"denominator"`
	Error       string   `json:"error,omitempty"`   // the last error
	Reason      string   `json:"reason,omitempty"`  // the reason of its death: failed or exhausted
	DiedMS      int64    `json:"died_ms,omitempty"` // Unix time
	Spilled     bool     `json:"spilled,omitempty"` // its payload is in the store, not in memory
}

// FunctionStats describes one function. Counters run since the server's start.
type FunctionStats struct {
	Function  string `json:"function"`
	High      int    `json:"high"` // waiting, by priority
	Normal    int    `json:"normal"`
	Low       int    `json:"low"`
	Delayed   int    `json:"delayed"`
	Running   int    `json:"running"`
	Workers   int    `json:"workers"`
	Sleeping  int    `json:"sleeping"`  // of the workers
	OldestMS  int64  `json:"oldest_ms"` // how long the oldest waiting job waits
	Paused    bool   `json:"paused"`
	MaxQueue  [3]int `json:"maxqueue"` // high, normal, low; 0 means no limit
	Submitted uint64 `json:"submitted"`
	Coalesced uint64 `json:"coalesced"`
	Completed uint64 `json:"completed"`
	Failed    uint64 `json:"failed"`
	Retried   uint64 `json:"retried"` // returned to the queue after a lost worker, a timeout or a retry
	Dead      int    `json:"dead"`
	Policy    string `json:"policy,omitempty"` // for jobs that fail, in the syntax of the policy command
}

// Waiting returns the jobs that wait for a worker.
func (f *FunctionStats) Waiting() int { return f.High + f.Normal + f.Low }

// ServerStats describes the server.
type ServerStats struct {
	Version     string `json:"version"`
	PID         int    `json:"pid"`
	UptimeMS    int64  `json:"uptime_ms"`
	Connections int    `json:"connections"`
	Jobs        int    `json:"jobs"`
	HeldBytes   int64  `json:"held_bytes"`            // payloads in memory
	MemoryBytes int64  `json:"memory_bytes"`          // their limit; 0 means no limit
	Spilled     int    `json:"spilled"`               // jobs whose payload is in the store only
	Loading     bool   `json:"loading"`               // the server is still reading the store's jobs
	StoreError  string `json:"store_error,omitempty"` // the error, while the store fails
	Store       string `json:"store"`                 // "memory" or the store's kind
	Batches     uint64 `json:"batches,omitempty"`     // stored since the start
	BatchedOps  uint64 `json:"batched_ops,omitempty"` // entries in them: jobs added, ended and lost, and other records
	Draining    bool   `json:"draining"`
}

// Session describes one connection.
type Session struct {
	FD         int      `json:"fd"`
	Addr       string   `json:"addr"` // with its port
	ID         string   `json:"id"`
	AgeMS      int64    `json:"age_ms"`
	Functions  []string `json:"functions"`
	Sleeping   bool     `json:"sleeping"`
	Jobs       []string `json:"jobs,omitempty"` // handles of the jobs that it holds as a worker
	Waits      int      `json:"waits"`          // number of results that it waits for
	OwedBytes  int      `json:"owed_bytes"`     // bytes not yet written to it
	Exceptions bool     `json:"exceptions"`
}

// Admin commands about jobs that have ended or failed.
//
// While a server reads its store, lists of jobs and functions wait until it has
// read all, and other commands that need all jobs answer ERR LOADING; stats
// answers at once and reports it in loading. ERR NOT_STORED means that the
// store has not taken a change: the change holds and is stored later, except
// for a retry, whose job stays dead.
const (
	CmdRetryJob  = "retry job"       // HANDLE: a dead job waits again
	CmdRetryAll  = "retry function"  // FUNCTION: all its dead jobs; OK N
	CmdPurgeDead = "purge dead"      // FUNCTION: forget its dead jobs; OK N
	CmdPolicy    = "policy function" // FUNCTION [RETRIES[,MIN..MAX]|-]: set the policy for its jobs that fail; without a value, answer OK and the policy

	CmdWait   = "wait"   // HANDLE...: an Outcome for each job when it ends
	CmdResult = "result" // HANDLE: an Outcome and a line end, Size bytes, then a line "."
)

// Outcome describes how a job ended.
type Outcome struct {
	Handle   string       `json:"handle"`
	Function string       `json:"function,omitempty"`
	State    OutcomeState `json:"state"`
	Error    string       `json:"error,omitempty"`    // the error text of its worker
	Attempts int          `json:"attempts,omitempty"` // attempts that failed or lost their worker
	EndedMS  int64        `json:"ended_ms,omitempty"` // Unix time
	Size     int          `json:"size"`               // of the stored result, or of the exception's text
	Kept     bool         `json:"kept"`               // the result command can return it
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

// FollowEvent is one message of the worker of a followed job. The Outcome that
// ends the list has no event.
type FollowEvent struct {
	Event       FollowKind `json:"event"`
	Data        []byte     `json:"data,omitempty"` // of data and warning, in base64
	Numerator   int64      `json:"numerator"`      // of status
	Denominator int64      `json:"denominator"`
}

// FollowKind is the kind of a FollowEvent.
type FollowKind string

const (
	FollowData    FollowKind = "data"
	FollowWarning FollowKind = "warning"
	FollowStatus  FollowKind = "status"
	FollowAgain   FollowKind = "again" // the job waits again: the events before are void
)
