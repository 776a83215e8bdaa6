package dump

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"gm/pkg/store"
)

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

// The priorities of a [store.Record].
const (
	high uint8 = iota
	normal
	low
)

// splitName returns a name as text, or as bytes if it is not UTF-8: JSON has no
// other strings.
func splitName(name string) (plain string, raw []byte) {
	if utf8.ValidString(name) {
		return name, nil
	}
	return "", []byte(name)
}

// jobLine returns the line of r.
func jobLine(r *store.Record) *dumpLine {
	failures, losses := r.Tried()
	l := &dumpLine{
		Seq: r.Seq, RunAtMS: r.RunAt, AcceptedMS: r.Accepted, Attempts: failures + losses, Failures: failures, Payload: base64Of(r.Payload),
	}
	function, raw := splitName(r.Function)
	if l.FunctionBase64 = raw; raw == nil {
		l.Function = &function
	}
	l.Unique, l.UniqueBase64 = splitName(r.Unique)
	l.Reducer, l.ReducerBase64 = splitName(r.Reducer)
	switch r.Priority {
	case high:
		l.Priority = "high"
	case low:
		l.Priority = "low"
	}
	return l
}

// base64Of returns b in base64.
func base64Of(b []byte) *string {
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}

// extraLine returns the line of an extra.
func extraLine(key string, value []byte) *dumpLine {
	return &dumpLine{Extra: &key, Value: base64Of(value)}
}

// op returns the operation that puts the line into a store. That of an end line
// has neither Record nor Key.
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

// record returns the job of the line.
func (l *dumpLine) record() (*store.Record, error) {
	if l.Attempts < 0 {
		return nil, fmt.Errorf("attempts %d: less than 0", l.Attempts)
	}
	if l.Failures < 0 {
		return nil, fmt.Errorf("failures %d: less than 0", l.Failures)
	}
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
		r.Priority = high
	case "", "normal":
		r.Priority = normal
	case "low":
		r.Priority = low
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
