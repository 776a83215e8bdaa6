package runner

import (
	"log/slog"
	"time"
)

const defaultMaxAnswer = 64 << 20

// Keeper has one child of a command serve many jobs, one after the other, and
// replaces it when it has ended, comes to a limit or breaks the rules.
//
// The rules: for each payload on stdin one answer on stdout (how they are told
// apart says [Framing]; [Take] may want several), written out at once and not
// held in a buffer; nothing else, at no time. A child that writes more, or
// something else, or ends, is found out, its job fails and the child is replaced:
// no answer goes to another job.
//
//   - What was written before a payload is given to the child is found before it
//     is given, and the job goes to a new child. On Linux a child whose processes
//     have one thread each, and read their stdin, is seen to wait for its input
//     first, so that nothing can come in between. With another (or elsewhere) what
//     is written in the few microseconds between the look and the write is taken
//     for the answer; so is, with any, what is written before the answer and not
//     at once with it. The answer proper is then found to be one too many, and the
//     log says that the one before may be wrong.
//   - What follows an answer in the same write fails the job. What follows later is
//     waited for after a child's first answer, until the child waits for input or,
//     if that can't be seen, for 10 ms; up to 1 s once there was such a child.
//   - A child that has read its payload and waits for more, without an answer, is
//     found out on Linux after 5 s, if its processes have one thread each and wait
//     for nothing else. Otherwise it takes Command.Timeout.
//
// A Keeper is for one goroutine at a time. Its fields are not to be changed after
// the first Do.
type Keeper struct {
	// Command is what to run; Keepers may share one. Its Timeout is for a job, with
	// the start of a child if it needs one. Lines and MaxLine have no meaning.
	Command *Command
	// Framing tells payloads and answers apart.
	Framing Framing
	// Env is added to the command's environment.
	Env []string

	// MaxJobs, MaxAge and MaxRSS are limits after which a child is replaced, when it
	// is not at work: jobs answered, time since its start, resident bytes of it and
	// its descendants. 0 is none. See [MaxRSSSupported].
	MaxJobs int
	MaxAge  time.Duration
	MaxRSS  int64

	// MaxAnswer bounds the bytes of an answer; 0 means 64 MiB.
	MaxAnswer int
	// Kill, once closed, is answered by SIGKILL to the child without further delay.
	Kill <-chan struct{}
	// Logger is told what becomes of children between jobs; nil is silent.
	Logger *slog.Logger

	keeping
}

// Take is given what a child has written, an answer at a time, valid during the
// call only, and says whether it was the last for the job. An error fails the job
// and replaces the child. Even after the last, the job's Result may be that the
// child has written too much.
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
