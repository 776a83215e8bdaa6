package gearman

import (
	"context"
	"fmt"
	"strconv"

	"gm/pkg/wire"
)

// Job is what a [Handler] is given. Its methods are safe for concurrent use.
type Job struct {
	conn     *workerConn
	slot     *slot // that does it
	handle   Handle
	function string
	unique   string
	reducer  string
	payload  []byte
	ended    bool // guarded by conn.writing
}

// Handle returns the job's name on its server.
func (j *Job) Handle() Handle { return j.handle }

// Function returns the function's name.
func (j *Job) Function() string { return j.function }

// Unique returns the unique as the client has sent it; empty if it sent none or
// the server is too old to tell.
func (j *Job) Unique() string { return j.unique }

// Reducer returns the function to which the client wants parts of the job sent;
// empty if it wants none or the server is too old to tell.
func (j *Job) Reducer() string { return j.reducer }

// Payload returns the client's bytes. The handler may change them, and may keep
// them only until it returns.
func (j *Job) Payload() []byte { return j.payload }

// Server returns the server that the job is from.
func (j *Job) Server() Server { return j.conn.server }

// SendData sends a chunk of the result (WORK_DATA) at once. data may be reused
// when it returns. It waits while the server does not take it. Its error, and
// that of the other Send methods, wraps ErrLost when the connection is lost,
// and ErrClosed when the handler has returned.
func (j *Job) SendData(data []byte) error {
	return j.send(wire.WorkData, []byte(j.handle), data)
}

// SendWarning sends a warning (WORK_WARNING) at once.
func (j *Job) SendWarning(data []byte) error {
	return j.send(wire.WorkWarning, []byte(j.handle), data)
}

// SendStatus reports progress (WORK_STATUS): the server keeps the last for
// those who ask, and sends each to the job's clients.
func (j *Job) SendStatus(numerator, denominator int64) error {
	return j.send(wire.WorkStatus, []byte(j.handle),
		strconv.AppendInt(nil, numerator, 10), strconv.AppendInt(nil, denominator, 10))
}

func (j *Job) send(typ wire.Type, args ...[]byte) error {
	if n := len(args[len(args)-1]); n > j.conn.maxPayload {
		return fmt.Errorf("send %v: %d bytes are over the limit %d", typ, n, j.conn.maxPayload)
	}
	err := j.conn.write(func(put putFunc) error {
		if j.ended {
			return fmt.Errorf("job %s: %w", j.handle, ErrClosed)
		}
		put(typ, args...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("send %v: %w", typ, err)
	}
	return nil
}

// Exception is an error by which a [Handler] ends its job with WORK_EXCEPTION
// instead of WORK_FAIL: Data goes to the client.
type Exception struct{ Data []byte }

func (e *Exception) Error() string { return fmt.Sprintf("exception: %.200q", e.Data) }

// Handler is the code of a function. What it returns becomes the end of the
// job:
//
//   - a nil error: WORK_COMPLETE with the bytes, which the worker has written
//     before it calls the handler again;
//   - an [*Exception], wrapped or not: WORK_EXCEPTION with its Data. A panic is
//     one too, with the panic's text;
//   - [ErrRetry], wrapped or not: the job goes back to its queue. Gearman has no
//     packet for that. What every server does is to queue the jobs of a worker
//     that is gone: so the worker closes the one connection that the job came
//     over, on which no other job depends, and connects again after
//     Options.MinBackoff, longer each time in a row. Servers count it as a lost
//     attempt;
//   - any other error: WORK_FAIL.
//
// WORK_EXCEPTION is followed by WORK_FAIL, for those servers that go on waiting
// for the end.
//
// ctx is done, and context.Cause tells why, when the function's timeout is up
// (ErrTimeout), when the job's connection is lost (ErrLost: the server has
// queued the job again, its result has nowhere to go) or on Worker.Abort
// (context.Canceled). A graceful stop does not touch it.
type Handler func(ctx context.Context, j *Job) ([]byte, error)
