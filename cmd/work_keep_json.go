package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// keepJSONRoom is what a reply may need beside a payload in base64.
const keepJSONRoom = 64 << 10

// keepRequest is what a command kept with --keep=json reads for each job, an
// object a line. Fields are only ever added.
type keepRequest struct {
	Handle   string `json:"handle"`
	Function string `json:"function"`
	Unique   string `json:"unique"`
	Server   string `json:"server"`
	Attempt  int    `json:"attempt,omitempty"`  // with --attempts, from 1
	Deadline int64  `json:"deadline,omitempty"` // with -t, Unix seconds
	Payload  []byte `json:"payload"`            // base64
}

// keepReply is what it writes: as many lines as it likes of what is to be sent
// while it works, then one with an end. One object may have several of the
// former, sent in the order below, and an end.
type keepReply struct {
	Handle *string `json:"handle"` // if it is there, it must be the job's

	Status  []int64 `json:"status"` // numerator, denominator
	Warning *string `json:"warning"`
	Data    *[]byte `json:"data"` // base64; a piece of the result

	Payload   *[]byte `json:"payload"`   // base64; the result, or the rest of it
	Fail      *string `json:"fail"`      // why; sent as a warning
	Exit      *int    `json:"exit"`      // with fail: a code for gm submit --propagate, 1 to 255
	Exception *string `json:"exception"` // its text
	Retry     *string `json:"retry"`     // why; the job goes back to its queue
}

// parseKeepReply reads a reply to the job of that handle.
func parseKeepReply(line []byte, handle gearman.Handle) (*keepReply, error) {
	r := new(keepReply)
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than an object in the line")
	}
	switch {
	case r.Handle != nil && *r.Handle != string(handle):
		return nil, fmt.Errorf("handle %q is not that of the job, %s", *r.Handle, handle)
	case r.Status != nil && (len(r.Status) != 2 || r.Status[0] < 0 || r.Status[1] < 0):
		return nil, fmt.Errorf("status %v: not two numbers such as [3, 10]", r.Status)
	case r.Exit != nil && (r.Fail == nil || *r.Exit < 1 || *r.Exit > 255):
		return nil, fmt.Errorf("exit %d: goes with fail, and is 1 to 255", *r.Exit)
	case r.ends() > 1:
		return nil, errors.New("more than one of payload, fail, exception and retry")
	case r.ends() == 0 && r.Status == nil && r.Warning == nil && r.Data == nil:
		return nil, errors.New("none of status, warning, data, payload, fail, exception and retry")
	}
	return r, nil
}

// ends counts the ends of a job that the reply has.
func (r *keepReply) ends() int {
	n := 0
	for _, there := range []bool{r.Payload != nil, r.Fail != nil, r.Exception != nil, r.Retry != nil} {
		if there {
			n++
		}
	}
	return n
}

// handleKeptJSON does one job with a child that reads and writes JSON.
func (w *commandWorker) handleKeptJSON(ctx context.Context, j *gearman.Job, keeper *runner.Keeper) ([]byte, error) {
	request, err := w.keepRequest(ctx, j)
	if err != nil {
		return nil, err
	}
	var last *keepReply
	takeReply := func(line []byte) (bool, error) {
		r, err := parseKeepReply(line, j.Handle())
		if err != nil {
			return false, fmt.Errorf("the command's reply %.80q: %w", bytes.TrimSpace(line), err)
		}
		if r.ends() == 1 {
			last = r
		}
		return last != nil, w.passOn(j, r)
	}
	res := runWithRoom(ctx, func() runner.Result { return keeper.Do(ctx, request, takeReply) })
	if err := w.conclude(ctx, j, w.command, res); err != nil {
		return nil, err
	}
	return w.endAs(j, last)
}

// keepRequest returns the line for a job.
func (w *commandWorker) keepRequest(ctx context.Context, j *gearman.Job) ([]byte, error) {
	request := keepRequest{
		Handle: string(j.Handle()), Function: j.Function(), Unique: j.Unique(), Server: w.serverOf(j),
		Payload: j.Payload(),
	}
	if request.Payload == nil {
		request.Payload = []byte{}
	}
	if t := w.command.Timeout; t > 0 {
		request.Deadline = time.Now().Add(t + time.Second - 1).Unix()
	}
	if w.attempts {
		if n, err := w.attempt(ctx, j); err == nil {
			request.Attempt = n
		} else {
			w.log.Debug("attempt not known", "handle", string(j.Handle()), "error", err)
		}
	}
	return json.Marshal(request)
}

// passOn sends what a reply says while the job goes on.
func (w *commandWorker) passOn(j *gearman.Job, r *keepReply) error {
	if r.Status != nil {
		if err := j.SendStatus(r.Status[0], r.Status[1]); err != nil {
			return err
		}
	}
	if r.Warning != nil {
		if err := j.SendWarning([]byte(*r.Warning)); err != nil {
			return err
		}
	}
	if r.Data != nil {
		return w.chain.sendData(j, *r.Data)
	}
	return nil
}

// endAs ends a job as its last reply says.
func (w *commandWorker) endAs(j *gearman.Job, r *keepReply) ([]byte, error) {
	log := w.jobLog(j)
	switch {
	case r.Payload != nil:
		return *r.Payload, nil
	case r.Exception != nil:
		log.Warn("job failed", "exception", *r.Exception)
		return nil, &gearman.Exception{Data: []byte(*r.Exception)}
	case r.Retry != nil:
		log.Info("job goes back to its queue", "reason", *r.Retry)
		return nil, gearman.ErrRetry
	}
	code := exitFailed
	if r.Exit != nil {
		code = *r.Exit
	}
	reason := fmt.Errorf("exit status %d", code)
	log.Warn("job failed", "reason", *r.Fail, "exit", code)
	return nil, w.fail(j, log, []byte(*r.Fail), code, reason)
}
