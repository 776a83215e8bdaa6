package wire

// Admin commands that only gm's server has. They answer JSON objects, one a
// line, ended by a line "."; those that change something answer OK or ERR.
// Other servers answer ERR UNKNOWN_COMMAND, see [ErrReply.Unknown].
const (
	CmdHelp     = "help"            // a line a command
	CmdStats    = "stats"           // a ServerStats, then a FunctionStats for each function
	CmdJobs     = "jobs"            // [FUNCTION|- [STATE|- [LIMIT [AFTER]]]]: Jobs, oldest first, from behind the handle AFTER
	CmdJob      = "job"             // HANDLE [payload]: one Job; with payload also Size bytes, then a line "."
	CmdFront    = "front job"       // HANDLE: move a waiting job to the head of its queue
	CmdFollow   = "follow"          // HANDLE: FollowEvents as they come, then an Outcome
	CmdSessions = "sessions"        // a Session for each connection
	CmdPause    = "pause function"  // FUNCTION: hand out none of its jobs
	CmdResume   = "resume function" // FUNCTION: hand them out again
	CmdPurge    = "purge function"  // FUNCTION: drop its waiting and delayed jobs; OK N
)

// Options of OPTION_REQ.
const (
	OptionExceptions = "exceptions" // of clients: WORK_EXCEPTION instead of WORK_FAIL
	// OptionCancel is a worker's, and gm's own: the server sends it WORK_FAIL with
	// the handle of its running job when that is cancelled. A worker that has not
	// asked for it, such as any of libgearman, never gets that packet.
	OptionCancel = "gm-cancel"
)

// CmdCancelRunning, with a handle, does what CmdCancelJob does, and has the worker
// of a running job stop it. It answers OK, and for a running job OK with one of
// these.
const (
	CmdCancelRunning  = "stop job"
	CancelledStopping = "stopping" // its worker was told
	CancelledRunsOn   = "runs on"  // its worker has not asked for OptionCancel
)

// JobState is where a job stands.
type JobState string

const (
	StateWaiting JobState = "waiting" // for a worker
	StateDelayed JobState = "delayed" // until its time
	StateRunning JobState = "running" // a worker holds it
	StateDead    JobState = "dead"    // it has failed for good; retry brings it back
)

// Job describes one job. Times are in milliseconds. Fields are only ever
// added to this and the other JSON rows.
type Job struct {
	Handle      string   `json:"handle"`
	Function    string   `json:"function"`
	Unique      string   `json:"unique,omitempty"`
	Reducer     string   `json:"reducer,omitempty"`
	Priority    string   `json:"priority"` // high, normal or low
	State       JobState `json:"state"`
	Background  bool     `json:"background"`
	Size        int      `json:"size"`             // payload in bytes
	AgeMS       int64    `json:"age_ms"`           // since it was accepted
	RunAtMS     int64    `json:"run_at_ms"`        // Unix time, 0 if it is not delayed
	RunningMS   int64    `json:"running_ms"`       // since the worker got it
	Attempts    int      `json:"attempts"`         // workers that have lost it
	Clients     int      `json:"clients"`          // that wait for its result
	Worker      string   `json:"worker,omitempty"` // the address of its worker
	WorkerID    string   `json:"worker_id,omitempty"`
	Numerator   int64    `json:"numerator"`
	Denominator int64    `json:"denominator"`
	Error       string   `json:"error,omitempty"`   // what went wrong last
	Reason      string   `json:"reason,omitempty"`  // why it is dead: failed or exhausted
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
	MaxQueue  [3]int `json:"maxqueue"` // high, normal, low; 0 is no limit
	Submitted uint64 `json:"submitted"`
	Coalesced uint64 `json:"coalesced"`
	Completed uint64 `json:"completed"`
	Failed    uint64 `json:"failed"`
	Retried   uint64 `json:"retried"` // back in the queue for a lost worker, a timeout or a retry
	Dead      int    `json:"dead"`
	Policy    string `json:"policy,omitempty"` // for jobs that fail, as the command policy takes it
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
	MemoryBytes int64  `json:"memory_bytes"`          // the bound for them, 0 is none
	Spilled     int    `json:"spilled"`               // jobs whose payload is in the store only
	Loading     bool   `json:"loading"`               // the store's jobs are still being read
	StoreError  string `json:"store_error,omitempty"` // why it fails now
	Store       string `json:"store"`                 // "memory" or the store's kind
	Batches     uint64 `json:"batches,omitempty"`     // that the store has taken since the start
	BatchedOps  uint64 `json:"batched_ops,omitempty"` // entries in them: jobs added, ended, lost, and what is kept beside them
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
	Jobs       []string `json:"jobs,omitempty"` // handles that it holds as a worker
	Waits      int      `json:"waits"`          // results that it waits for
	OwedBytes  int      `json:"owed_bytes"`     // not yet written to it
	Exceptions bool     `json:"exceptions"`
}

// Admin commands about jobs that have ended or failed.
//
// While a server reads its store, lists of jobs and functions come when all is
// read, and other commands that would need all of its jobs answer ERR LOADING;
// stats answers at once and says so in loading. A change that the store has not taken is ERR NOT_STORED:
// it holds and is stored later, but for a retry, whose job stays dead.
const (
	CmdRetryJob  = "retry job"       // HANDLE: a dead job waits again
	CmdRetryAll  = "retry function"  // FUNCTION: all its dead jobs; OK N
	CmdPurgeDead = "purge dead"      // FUNCTION: forget its dead jobs; OK N
	CmdPolicy    = "policy function" // FUNCTION [RETRIES[,MIN..MAX]|-]: what becomes of its jobs that fail; without a value, OK and the policy

	CmdWait   = "wait"   // HANDLE...: an Outcome for each job, as they end
	CmdResult = "result" // HANDLE: an Outcome and a line end, Size bytes, then a line "."
)

// Outcome is how a job has ended.
type Outcome struct {
	Handle   string `json:"handle"`
	Function string `json:"function,omitempty"`
	// State is completed, failed, exception, cancelled, dead, or unknown: the
	// server does not have the job, or does not remember its end.
	State    string `json:"state"`
	Error    string `json:"error,omitempty"`    // what its worker said of the failure
	Attempts int    `json:"attempts,omitempty"` // in vain
	EndedMS  int64  `json:"ended_ms,omitempty"` // Unix time
	Size     int    `json:"size"`               // of the result, or the exception's text, that is kept
	Kept     bool   `json:"kept"`               // the result command has it
}

// FollowEvent is what the worker of a followed job sends while it runs. The
// Outcome that ends the list has no event.
type FollowEvent struct {
	// Event is data, warning, status, or again: the job waits again, and what it
	// has sent is void.
	Event       string `json:"event"`
	Data        []byte `json:"data,omitempty"` // of data and warning, in base64
	Numerator   int64  `json:"numerator"`      // of status
	Denominator int64  `json:"denominator"`
}

// The events of a FollowEvent.
const (
	FollowData    = "data"
	FollowWarning = "warning"
	FollowStatus  = "status"
	FollowAgain   = "again"
)

// The states of an Outcome.
const (
	OutcomeCompleted = "completed"
	OutcomeFailed    = "failed"
	OutcomeException = "exception"
	OutcomeCancelled = "cancelled"
	OutcomeDead      = "dead"
	OutcomeUnknown   = "unknown"
)
