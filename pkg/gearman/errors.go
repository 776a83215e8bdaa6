package gearman

import (
	"errors"
	"fmt"
	"strings"

	"gm/pkg/wire"
)

// The errors below are compared with errors.Is. Functions return them wrapped,
// with the details.
var (
	// ErrNoServer is returned when no server could be reached. The text of the
	// error has the reason for each server; see [ServerErrors].
	ErrNoServer = errors.New("no server could be reached")
	// ErrClosed is returned when the client was closed, and by the methods of a
	// Job that has ended.
	ErrClosed = errors.New("closed")
	// ErrTimeout is returned when Task.Timeout has passed. It is the cause of a
	// job's context when the timeout of its function has passed. A context that
	// expires returns its own error.
	ErrTimeout = errors.New("time is up")
	// ErrLost is returned when a connection is lost during a job. The job may
	// have been done, or may still be done.
	ErrLost = errors.New("connection lost")
	// ErrTooLarge is returned when a payload or a part of a result is larger than
	// Options.MaxPayload, or than the server's limit.
	ErrTooLarge = errors.New("over the limit")
	// ErrUnsupported is returned when the server does not have an admin command.
	ErrUnsupported = errors.New("not supported by this server")
	// ErrUnknownJob is returned when the server does not have the job, or has it
	// no longer.
	ErrUnknownJob = errors.New("unknown job")
	// ErrCancelled is the cause of a job's context when the job was cancelled
	// while it ran; see WorkerOptions.Cancelable.
	ErrCancelled = errors.New("job was cancelled")
	// ErrRetry is returned by a [Handler], bare or wrapped, to give its job back
	// to the queue.
	ErrRetry = errors.New("job goes back to the queue")
)

// FailError is returned when a worker has failed a job (WORK_FAIL).
type FailError struct{ Handle Handle }

func (e *FailError) Error() string { return fmt.Sprintf("job %s failed", e.Handle) }

// ExceptionError is returned when a worker has ended a job with an exception
// (WORK_EXCEPTION). Data comes from the worker; the receiver owns it.
type ExceptionError struct {
	Handle Handle
	Data   []byte
}

func (e *ExceptionError) Error() string {
	return fmt.Sprintf("job %s raised an exception: %.200q", e.Handle, e.Data)
}

// ServerError is returned when a server has refused a request with an ERROR
// packet.
type ServerError struct {
	Code string // such as QUEUE_ERROR or INVALID_FUNCTION_NAME
	Text string // explanation for a person
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("server refused: %s: %s", e.Code, e.Text)
}

// QueueFull reports whether the queue of the function had reached its limit.
// The server may accept the same task later.
func (e *ServerError) QueueFull() bool {
	return strings.EqualFold(e.Code, wire.CodeQueueError) || strings.EqualFold(e.Code, "JOB_QUEUE_FULL")
}

// ShuttingDown reports whether the server refused the task because it is
// shutting down. Another server may accept it, or the same one after its next
// start.
func (e *ServerError) ShuttingDown() bool {
	return strings.EqualFold(e.Code, wire.CodeShutdown) || strings.EqualFold(e.Code, "SHUTDOWN_GRACEFUL")
}

// TooLarge reports whether the server refused a packet because of its size. Such
// a server closes the connection.
func (e *ServerError) TooLarge() bool {
	return strings.EqualFold(e.Code, wire.CodeDataTooLarge) || strings.EqualFold(e.Code, wire.CodeTooLarge)
}

// Invalid reports whether the server refused the name of the function or another
// argument: it will never accept the same task.
func (e *ServerError) Invalid() bool {
	return strings.EqualFold(e.Code, wire.CodeInvalidFunction) || strings.EqualFold(e.Code, wire.CodeInvalidArgument)
}

// ProtocolError is returned when a server has broken the protocol. The
// connection is closed.
type ProtocolError struct {
	Server Server
	Err    error
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("server %v breaks the protocol: %v", e.Server, e.Err)
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// AdminError is returned when a server has answered an admin command with an ERR
// line. The string is the line without "ERR ". Unknown reports whether the
// server does not have the command, which is an ErrUnsupported too.
type AdminError = wire.ErrReply

// ServerErrors has the errors of several servers, by server. errors.Is and
// errors.As examine all of them.
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

// noServer wraps ErrNoServer around the errors of the servers.
func noServer(errs ServerErrors) error { return fmt.Errorf("%w: %w", ErrNoServer, errs) }

// lost wraps ErrLost around the cause.
func lost(s Server, cause error) error {
	return fmt.Errorf("%w: server %v: %w", ErrLost, s, cause)
}

// mayRetry reports whether another attempt can succeed after err.
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

// failedAtOnce reports whether the next attempt needs no pause, because the job
// failed and not the server.
func failedAtOnce(err error) bool {
	var fail *FailError
	var exception *ExceptionError
	return errors.As(err, &fail) || errors.As(err, &exception)
}
