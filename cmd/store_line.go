package cmd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"gm/pkg/queue"
	"gm/pkg/store"
)

// dumpLines is what help says of the lines of a dump.
const dumpLines = `A line is a JSON object. A job has the fields function, payload (base64) and, where they are not empty, unique, reducer, priority (high or low; else normal), seq (its number: jobs are in this order), run_at_ms and accepted_ms (Unix times in milliseconds), attempts (in vain) and failures (how many of these were no lost workers). A name that is not UTF-8 is in function_base64, unique_base64 or reducer_base64 instead. What else a server keeps (dead jobs, results, policies) has the fields extra (its key) and value (base64). The last line has end (true), jobs and extras: how many there were. Fields are only ever added, and those that are not known are left aside.`

// dumpLine is one line of a dump: a job, an extra, or the end.
type dumpLine struct {
	Seq            uint64  `json:"seq,omitempty"`
	Function       *string `json:"function,omitempty"`
	FunctionBase64 []byte  `json:"function_base64,omitempty"`
	Unique         string  `json:"unique,omitempty"`
	UniqueBase64   []byte  `json:"unique_base64,omitempty"`
	Reducer        string  `json:"reducer,omitempty"`
	ReducerBase64  []byte  `json:"reducer_base64,omitempty"`
	Priority       string  `json:"priority,omitempty"`
	RunAtMS        int64   `json:"run_at_ms,omitempty"`
	AcceptedMS     int64   `json:"accepted_ms,omitempty"`
	Attempts       int     `json:"attempts,omitempty"`
	Failures       int     `json:"failures,omitempty"`
	Payload        *string `json:"payload,omitempty"`

	Extra *string `json:"extra,omitempty"`
	Value *string `json:"value,omitempty"`

	End    bool `json:"end,omitempty"`
	Jobs   *int `json:"jobs,omitempty"`
	Extras *int `json:"extras,omitempty"`
}

// text divides a name: JSON has no strings that are not UTF-8.
func text(name string) (plain string, raw []byte) {
	if utf8.ValidString(name) {
		return name, nil
	}
	return "", []byte(name)
}

func jobLine(r *store.Record) *dumpLine {
	failures, losses := r.Tried()
	l := &dumpLine{
		Seq: r.Seq, RunAtMS: r.RunAt, AcceptedMS: r.Accepted, Attempts: failures + losses, Failures: failures, Payload: base64Of(r.Payload),
	}
	function, raw := text(r.Function)
	if l.FunctionBase64 = raw; raw == nil {
		l.Function = &function
	}
	l.Unique, l.UniqueBase64 = text(r.Unique)
	l.Reducer, l.ReducerBase64 = text(r.Reducer)
	switch p := queue.Priority(r.Priority); p {
	case queue.High, queue.Low:
		l.Priority = p.String()
	}
	return l
}

func base64Of(b []byte) *string {
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}

func extraLine(key string, value []byte) *dumpLine {
	return &dumpLine{Extra: &key, Value: base64Of(value)}
}

// op returns what the line puts into a store; of the last line it has no
// Record and no Key.
func (l *dumpLine) op() (store.Op, error) {
	var op store.Op
	switch {
	case l.End:
		return op, nil
	case l.Extra != nil:
		if *l.Extra == "" || l.Value == nil {
			return op, errors.New("an extra without its key or value")
		}
		value, err := base64.StdEncoding.DecodeString(*l.Value)
		if err != nil {
			return op, fmt.Errorf("value: %w", err)
		}
		return store.Op{Kind: store.Put, Key: *l.Extra, Value: value}, nil
	}
	r, err := l.record()
	return store.Op{Kind: store.Add, Record: r}, err
}

func (l *dumpLine) record() (*store.Record, error) {
	r := &store.Record{
		Seq: l.Seq, Unique: l.Unique, Reducer: l.Reducer, RunAt: l.RunAtMS, Accepted: l.AcceptedMS,
	}
	r.SetTried(l.Failures, max(l.Attempts-l.Failures, 0))
	if l.Function != nil {
		r.Function = *l.Function
	}
	for _, raw := range []struct {
		to    *string
		bytes []byte
	}{{&r.Function, l.FunctionBase64}, {&r.Unique, l.UniqueBase64}, {&r.Reducer, l.ReducerBase64}} {
		if raw.bytes != nil {
			*raw.to = string(raw.bytes)
		}
	}
	if r.Function == "" {
		return nil, errors.New("neither a job nor an extra: no function")
	}
	switch l.Priority {
	case "high":
		r.Priority = uint8(queue.High)
	case "", "normal":
		r.Priority = uint8(queue.Normal)
	case "low":
		r.Priority = uint8(queue.Low)
	default:
		return nil, fmt.Errorf("priority %q: not high, normal or low", l.Priority)
	}
	if l.Payload == nil {
		return nil, errors.New("a job without its payload")
	}
	payload, err := base64.StdEncoding.DecodeString(*l.Payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	r.Payload = payload
	return r, nil
}
