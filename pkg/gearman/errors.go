package gearman

import (
	"errors"
	"fmt"
	"strings"

	"gm/pkg/wire"
)

// Errors that are compared with errors.Is. They come wrapped in the details.
var (
	// ErrNoServer: none of the servers could be reached. The error's text
	// names each of them and why.
	ErrNoServer = errors.New("no server could be reached")
	// ErrClosed: the client was closed, or the job has ended already.
	ErrClosed = errors.New("closed")
	// ErrTimeout: a task's or function's own time was up. When it was the
	// context's, the error is the context's.
	ErrTimeout = errors.New("time is up")
	// ErrLost: the connection was lost in mid-job. The job may or may not have
	// been done, and may still be.
	ErrLost = errors.New("connection lost")
	// ErrTooLarge: a payload or a part of a result is larger than Options.MaxPayload,
	// or than the server's limit.
	ErrTooLarge = errors.New("over the limit")
	// ErrUnsupported: the server does not have that admin command.
	ErrUnsupported = errors.New("not supported by this server")
	// ErrCancelled is the cause that ends a job's context when somebody has cancelled
	// the running job; see WorkerOptions.Cancelable.
	ErrCancelled = errors.New("job was cancelled")
	// ErrRetry is what a [Handler] returns, bare or wrapped, to give its job
	// back to the queue. See [Handler].
	ErrRetry = errors.New("job goes back to the queue")
)

// FailError says that a worker has failed a job (WORK_FAIL).
type FailError struct{ Handle Handle }

func (e *FailError) Error() string { return fmt.Sprintf("job %s failed", e.Handle) }

// ExceptionError says that a worker has ended a job with an exception
// (WORK_EXCEPTION). Data is what the worker sent; the receiver owns it.
type ExceptionError struct {
	Handle Handle
	Data   []byte
}

func (e *ExceptionError) Error() string {
	return fmt.Sprintf("job %s raised an exception: %.200q", e.Handle, e.Data)
}

// ServerError is an ERROR packet of a server: it has refused a request.
type ServerError struct {
	Code string // such as QUEUE_ERROR, see wire.CodeQueueError
	Text string // for people
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("server refused: %s: %s", e.Code, e.Text)
}

// QueueFull reports whether the function's queue had reached its limit: the
// same task may be accepted later.
func (e *ServerError) QueueFull() bool {
	return strings.EqualFold(e.Code, wire.CodeQueueError) || strings.EqualFold(e.Code, "JOB_QUEUE_FULL")
}

// ShuttingDown reports whether the server refused because it is about to end: it
// has not taken the task, and another server, or its next start, may.
func (e *ServerError) ShuttingDown() bool {
	return strings.EqualFold(e.Code, wire.CodeShutdown) || strings.EqualFold(e.Code, "SHUTDOWN_GRACEFUL")
}

// TooLarge reports whether the server refused a packet for its size. It reads no
// more of that connection and closes it.
func (e *ServerError) TooLarge() bool {
	return strings.EqualFold(e.Code, wire.CodeDataTooLarge) || strings.EqualFold(e.Code, wire.CodeTooLarge)
}

// ProtocolError says that a server has broken the protocol. Its connection
// was closed.
type ProtocolError struct {
	Server Server
	Err    error
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("server %v breaks the protocol: %v", e.Server, e.Err)
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// ServerErrors are the errors of several servers, each under its server.
// errors.Is and errors.As look at all of them.
type ServerErrors map[Server]error

func (e ServerErrors) Error() string {
	parts := make([]string, 0, len(e))
	for _, s := range sortedServers(e) {
		parts = append(parts, fmt.Sprintf("%v: %v", s, e[s]))
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the errors in the order of their servers' names.
func (e ServerErrors) Unwrap() []error {
	errs := make([]error, 0, len(e))
	for _, s := range sortedServers(e) {
		errs = append(errs, e[s])
	}
	return errs
}

// noServer wraps ErrNoServer around what each server said.
func noServer(errs ServerErrors) error { return fmt.Errorf("%w: %w", ErrNoServer, errs) }

// lost wraps ErrLost around the cause.
func lost(s Server, cause error) error {
	return fmt.Errorf("%w: server %v: %w", ErrLost, s, cause)
}

// mayRetry reports whether a task that ended with err can do better next time.
func mayRetry(err error) bool {
	var fail *FailError
	var exception *ExceptionError
	var refused *ServerError
	switch {
	case errors.As(err, &fail), errors.As(err, &exception):
		return true
	case errors.As(err, &refused):
		return refused.QueueFull() || refused.ShuttingDown()
	}
	return errors.Is(err, ErrLost) || errors.Is(err, ErrNoServer)
}

// failedAtOnce reports whether the next attempt needs no pause: the server is
// well, it was the job that failed.
func failedAtOnce(err error) bool {
	var fail *FailError
	var exception *ExceptionError
	return errors.As(err, &fail) || errors.As(err, &exception)
}
