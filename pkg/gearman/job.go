package gearman

import (
	"context"
	"fmt"
	"strconv"

	"gm/pkg/wire"
)

// Job is the argument of a [Handler]. Its methods are safe for concurrent use.
type Job struct {
	conn     *workerConn
	slot     *slot // the slot that runs it
	handle   Handle
	function string
	unique   string
	reducer  string
	payload  []byte
	ended    bool // guarded by conn.writing
	streamed bool // a part of the result was sent; guarded by conn.writing
}

// Handle returns the job's name on its server.
func (j *Job) Handle() Handle { return j.handle }

// Function returns the function's name.
func (j *Job) Function() string { return j.function }

// Unique returns the unique that the client has sent. It is empty if the client
// sent none, or if an old server does not pass it on.
func (j *Job) Unique() string { return j.unique }

// Reducer returns the function to which the handler should send parts of the job;
// see Task.Reducer. It is empty if the client named none, or if an old server does
// not pass it on.
func (j *Job) Reducer() string { return j.reducer }

// Payload returns the payload of the task. The handler may change it, and must
// not use it after its return.
func (j *Job) Payload() []byte { return j.payload }

// Server returns the server of the job.
func (j *Job) Server() Server { return j.conn.server }

// SendData sends a part of the result (WORK_DATA) immediately, in several packets
// if it is larger than Options.MaxPayload. It blocks while the server does not
// read. The caller may reuse data after the return. The errors of the Send methods
// wrap ErrLost if the connection is lost, and ErrClosed if the handler has
// returned.
func (j *Job) SendData(data []byte) error {
	for limit := j.conn.maxPayload; len(data) > limit; data = data[limit:] {
		if err := j.send(wire.WorkData, []byte(j.handle), data[:limit]); err != nil {
			return err
		}
	}
	return j.send(wire.WorkData, []byte(j.handle), data)
}

// SendWarning sends a warning (WORK_WARNING) immediately. It cuts off the
// beginning of one that is larger than Options.MaxPayload.
func (j *Job) SendWarning(data []byte) error {
	return j.send(wire.WorkWarning, []byte(j.handle), lastBytes(data, j.conn.maxPayload))
}

// SendStatus reports progress (WORK_STATUS). The server sends it to the clients
// of the job, and keeps the last one for Client.Status.
func (j *Job) SendStatus(numerator, denominator int64) error {
	return j.send(wire.WorkStatus, []byte(j.handle),
		strconv.AppendInt(nil, numerator, 10), strconv.AppendInt(nil, denominator, 10))
}

func (j *Job) send(typ wire.Type, args ...[]byte) error {
	err := j.conn.write(func(put putFunc) error {
		if j.ended {
			return fmt.Errorf("job %s: %w", j.handle, ErrClosed)
		}
		j.streamed = j.streamed || typ == wire.WorkData
		put(typ, args...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("send %v: %w", typ, err)
	}
	return nil
}

// Exception is an error that a [Handler] returns to end its job with
// WORK_EXCEPTION instead of WORK_FAIL. Data goes to the client, where it arrives
// as an [ExceptionError].
type Exception struct{ Data []byte }

func (e *Exception) Error() string { return fmt.Sprintf("exception: %.200q", e.Data) }

// Handler is the code of a function. Its result ends the job:
//
//   - a nil error: WORK_COMPLETE with the bytes. The handler may reuse their
//     memory for its next job;
//   - an [*Exception], also wrapped: WORK_EXCEPTION with its Data, of which the
//     beginning is cut off if it is larger than Options.MaxPayload. A panic is an
//     exception with the panic's text;
//   - [ErrRetry], also wrapped: the job goes back to its queue. Gearman has no
//     packet for that, but every server queues the jobs of a lost worker again. So
//     the worker closes the connection of this job, on which no other job depends,
//     and reconnects after Options.MinBackoff, later each time in a row. Servers
//     count it as a lost attempt;
//   - any other error: WORK_FAIL. A result larger than Options.MaxPayload also
//     fails its job, after a warning with the reason.
//
// If the connection is lost before the server has confirmed the end of the job,
// the worker sends the end again on the next connection, unless it has sent parts
// of the result before. gm's server accepts it while the job waits in its queue.
//
// WORK_FAIL follows each WORK_EXCEPTION, because some servers wait for it.
//
// ctx is done when the timeout of the function has passed (the cause is
// [ErrTimeout]), when the connection of the job is lost ([ErrLost]; the server has
// queued the job again and discards the result), when the job is cancelled
// ([ErrCancelled]), or on Worker.Abort (context.Canceled). Worker.Stop does not
// end it. context.Cause returns the cause.
type Handler func(ctx context.Context, j *Job) ([]byte, error)
