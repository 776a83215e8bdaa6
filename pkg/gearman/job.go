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
	streamed bool // a part of the result was sent; guarded by conn.writing
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

// SendData sends a chunk of the result (WORK_DATA) at once, in several packets if
// it is over Options.MaxPayload. data may be reused when it returns. It waits
// while the server does not take it. Its error, and that of the other Send
// methods, wraps ErrLost when the connection is lost, and ErrClosed when the
// handler has returned.
func (j *Job) SendData(data []byte) error {
	for limit := j.conn.maxPayload; len(data) > limit; data = data[limit:] {
		if err := j.send(wire.WorkData, []byte(j.handle), data[:limit]); err != nil {
			return err
		}
	}
	return j.send(wire.WorkData, []byte(j.handle), data)
}

// SendWarning sends a warning (WORK_WARNING) at once. One over Options.MaxPayload
// loses its beginning.
func (j *Job) SendWarning(data []byte) error {
	return j.send(wire.WorkWarning, []byte(j.handle), lastBytes(data, j.conn.maxPayload))
}

// SendStatus reports progress (WORK_STATUS): the server keeps the last for
// those who ask, and sends each to the job's clients.
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

// Exception is an error by which a [Handler] ends its job with WORK_EXCEPTION
// instead of WORK_FAIL: Data goes to the client.
type Exception struct{ Data []byte }

func (e *Exception) Error() string { return fmt.Sprintf("exception: %.200q", e.Data) }

// Handler is the code of a function. What it returns becomes the end of the
// job:
//
//   - a nil error: WORK_COMPLETE with the bytes, which the worker has written
//     before it calls the handler again;
//   - an [*Exception], wrapped or not: WORK_EXCEPTION with its Data, or the end
//     of it if it is over Options.MaxPayload. A panic is one too, with the panic's
//     text;
//   - [ErrRetry], wrapped or not: the job goes back to its queue. Gearman has no
//     packet for that. What every server does is to queue the jobs of a worker
//     that is gone: so the worker closes the one connection that the job came
//     over, on which no other job depends, and connects again after
//     Options.MinBackoff, longer each time in a row. Servers count it as a lost
//     attempt;
//   - any other error: WORK_FAIL. A result over Options.MaxPayload fails its job
//     too, with a warning that says so.
//
// If the connection is lost before the server has confirmed the end of the job, it
// is sent again on the next connection, unless parts of the result were sent
// before. gm's server takes it from a worker that can do the function as long as
// the job waits in its queue.
//
// WORK_EXCEPTION is followed by WORK_FAIL, for those servers that go on waiting
// for the end.
//
// ctx is done, and context.Cause tells why, when the function's timeout is up
// (ErrTimeout), when the job's connection is lost (ErrLost: the server has
// queued the job again, its result has nowhere to go) or on Worker.Abort
// (context.Canceled). A graceful stop does not touch it.
type Handler func(ctx context.Context, j *Job) ([]byte, error)
