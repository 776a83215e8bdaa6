package work

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

// keepJSONRoom is the maximum size of a reply in bytes, besides its base64.
const keepJSONRoom = 64 << 10

// jsonRequest is the object that a child with KeepJSON reads for each job. New
// fields may be added.
type jsonRequest struct {
	Handle   string `json:"handle"`
	Function string `json:"function"`
	Unique   string `json:"unique"`
	Server   string `json:"server"`
	Attempt  int    `json:"attempt,omitempty"`  // with Config.Attempts, from 1
	Deadline int64  `json:"deadline,omitempty"` // with Config.Timeout, Unix seconds
	Payload  []byte `json:"payload"`            // base64
}

// jsonReply is an object that the child writes. Any number of replies report
// while the job runs. The last one has an end: payload, fail, exception or retry.
// A reply may report several things, which are sent in the order of the fields,
// and also have an end.
type jsonReply struct {
	Handle *string `json:"handle"` // if it is there, it must be that of the job

	Status  []int64 `json:"status"` // numerator, denominator
	Warning *string `json:"warning"`
	Data    *[]byte `json:"data"` // base64; a part of the result

	Payload   *[]byte `json:"payload"`   // base64; the result, or the rest of it
	Fail      *string `json:"fail"`      // reason; sent as a warning
	Exit      *int    `json:"exit"`      // with fail: a code for gm submit --propagate, 1 to 255
	Exception *string `json:"exception"` // its text
	Retry     *string `json:"retry"`     // reason; the job goes back to its queue
}

// parseJSONReply reads a reply to the job of that handle.
func parseJSONReply(line []byte, handle gearman.Handle) (*jsonReply, error) {
	r := new(jsonReply)
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
	case r.countEnds() > 1:
		return nil, errors.New("more than one of payload, fail, exception and retry")
	case r.countEnds() == 0 && r.Status == nil && r.Warning == nil && r.Data == nil:
		return nil, errors.New("none of status, warning, data, payload, fail, exception and retry")
	}
	return r, nil
}

// countEnds counts the ends of a job in the reply.
func (r *jsonReply) countEnds() int {
	n := 0
	for _, present := range []bool{r.Payload != nil, r.Fail != nil, r.Exception != nil, r.Retry != nil} {
		if present {
			n++
		}
	}
	return n
}

// doJSON does a job with a child that reads and writes JSON.
func doJSON(ctx context.Context, j *job, keeper *runner.Keeper, timeout time.Duration) (result []byte, res runner.Result, end error) {
	request := jsonRequest{
		Handle: string(j.Handle()), Function: j.Function(), Unique: j.Unique(), Server: j.server,
		Attempt: j.attempt, Payload: j.Payload(),
	}
	if request.Payload == nil {
		request.Payload = []byte{}
	}
	if timeout > 0 {
		request.Deadline = deadlineAfter(timeout)
	}
	line, err := json.Marshal(request)
	if err != nil {
		return nil, res, err
	}
	var last *jsonReply
	res = keeper.Do(ctx, line, func(line []byte) (bool, error) {
		r, err := parseJSONReply(line, j.Handle())
		if err != nil {
			return false, fmt.Errorf("the command's reply %.80q: %w", bytes.TrimSpace(line), err)
		}
		if r.countEnds() == 1 {
			last = r
		}
		return last != nil, r.report(j)
	})
	if !res.OK() {
		return nil, res, nil
	}
	result, end = last.end()
	return result, res, end
}

// report sends the status, warning and data in a reply.
func (r *jsonReply) report(j *job) error {
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
		return j.SendData(*r.Data)
	}
	return nil
}

// end returns the result in the last reply, or the error that ends the job.
func (r *jsonReply) end() ([]byte, error) {
	switch {
	case r.Payload != nil:
		return *r.Payload, nil
	case r.Exception != nil:
		return nil, &gearman.Exception{Data: []byte(*r.Exception)}
	case r.Retry != nil:
		return nil, &returnedJob{reason: errors.New(*r.Retry)}
	}
	code := codeFailed
	if r.Exit != nil {
		code = *r.Exit
	}
	return nil, &failedJob{text: []byte(*r.Fail), code: code, reason: fmt.Errorf("exit status %d", code), said: *r.Fail}
}
