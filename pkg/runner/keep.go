package runner

import (
	"log/slog"
	"time"
)

const defaultMaxAnswer = 64 << 20

// Keeper uses one child of a command for many jobs, one after the other. It replaces
// the child when it has ended, has reached a limit or breaks the rules.
//
// The rules: for each payload on its stdin the child writes one answer to its stdout
// ([Framing] delimits them; [Take] may accept several). It writes the answer
// immediately, without holding it in a buffer, and writes nothing else at any time. If
// a child writes more or something else, or ends, its job fails and the child is
// replaced, so that no answer goes to another job:
//
//   - Output before a payload is detected before the child gets the payload, and the
//     job goes to a new child. On Linux, if the processes of the child have one thread
//     each and read their stdin, the Keeper first sees that they wait for input, so
//     that no output can come in between. With other children, and on other systems,
//     output in the few microseconds between the check and the write counts as the
//     answer. So does, with any child, output that comes before the answer and not in
//     the same write. The real answer is then one too many, and the log warns that the
//     answer before may be wrong.
//   - Output that follows an answer in the same write fails the job. After the first
//     answer of a child, the Keeper waits for later output until the child waits for
//     input, or for 10 ms if it cannot see that; up to 1 s if there was such output
//     before.
//   - A child that has read its payload and waits for more without an answer is
//     detected on Linux after 5 s, if its processes have one thread each and wait for
//     nothing else. Otherwise Command.Timeout stops it.
//
// A Keeper must not be used by several goroutines at the same time. Its fields must
// not change after the first Do.
type Keeper struct {
	// Command is the command of the child. Several Keepers may share it. Its Timeout
	// limits each job, including the start of a child if the job needs one. Lines and
	// MaxLine have no effect.
	Command *Command
	// Framing delimits payloads and answers.
	Framing Framing
	// Env is added to the environment of the command.
	Env []string

	// MaxJobs, MaxAge and MaxRSS are limits at which a child is replaced between two
	// jobs: the number of its answered jobs, the time since its start, and the resident
	// bytes of it and its descendants. 0 means no limit. See [MaxRSSSupported].
	MaxJobs int
	MaxAge  time.Duration
	MaxRSS  int64

	// MaxAnswer is the maximum size of an answer in bytes; 0 means 64 MiB.
	MaxAnswer int
	// Kill, when it is closed, sends SIGKILL to the child immediately.
	Kill <-chan struct{}
	// Logger gets the starts and ends of children; nil discards them.
	Logger *slog.Logger

	keeping
}

// Take is called with each answer of a child, which is valid only during the call. It
// reports whether the answer was the last one of the job. An error fails the job and
// replaces the child. The job can still fail after the last answer, if the child has
// written too much.
type Take func(answer []byte) (last bool, err error)

func (k *Keeper) log() *slog.Logger {
	if k.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return k.Logger
}

func (k *Keeper) maxAnswer() int {
	if k.MaxAnswer == 0 {
		return defaultMaxAnswer
	}
	return k.MaxAnswer
}
