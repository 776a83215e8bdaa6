package results

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"gm/internal/gather"
	"gm/pkg/batch"
)

// NewJSON returns a Sink that writes a JSON object for each record, with its
// outcome and its result: an object a line, or with array set the elements of
// one array. A Recorder with this Sink should have KeepWarnings set.
func NewJSON(out *Output, array bool) Sink { return &jsonSink{Output: out, array: array} }

// jsonSink writes an object for each record.
type jsonSink struct {
	*Output
	array   bool // the objects are the elements of one array
	written int
	body    gather.Buffer // of the record whose result is being collected
}

// recordObject is a record in JSON.
type recordObject struct {
	Seq        int       `json:"seq"`
	Name       string    `json:"name,omitempty"`
	Handle     string    `json:"handle"`
	Function   string    `json:"function"`
	Unique     string    `json:"unique,omitempty"`
	State      string    `json:"state"`
	Exit       *int      `json:"exit,omitempty"`
	Data       *string   `json:"data,omitempty"`
	DataBase64 []byte    `json:"data_base64,omitempty"`
	Warnings   []string  `json:"warnings,omitempty"`
	Exception  string    `json:"exception,omitempty"`
	Error      string    `json:"error,omitempty"`
	Attempts   int       `json:"attempts"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"`
	MS         float64   `json:"ms"`
}

// Data implements Sink.
func (s *jsonSink) Data(_ *batch.Record, piece []byte) error {
	s.body.Add(piece)
	return nil
}

// End implements Sink.
func (s *jsonSink) End(r *batch.Record, o *Outcome) error {
	obj := recordObject{
		Seq: r.Seq, Name: r.Name, Handle: string(r.Handle), Function: o.Task.Function, Unique: o.Task.Unique,
		State: o.State, Exit: o.Exit, Warnings: o.Warnings, Exception: string(o.Exception), Attempts: r.Attempts,
		Started: r.Started, Ended: r.Ended,
		MS: float64(r.Ended.Sub(r.Started).Microseconds()) / 1000,
	}
	body := s.body.Join()
	switch {
	case o.Task.Background:
	case utf8.Valid(body):
		text := string(body)
		obj.Data = &text
	default:
		obj.DataBase64 = body
	}
	if o.Err != nil {
		obj.Error = o.Err.Error()
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	s.written++
	switch {
	case !s.array:
		text = append(text, '\n')
	case s.written == 1:
		text = append([]byte("[\n"), text...)
	default:
		text = append([]byte(",\n"), text...)
	}
	_, err = s.Write(text)
	return err
}

// Close implements Sink. It ends the array.
func (s *jsonSink) Close() error {
	if !s.array {
		return nil
	}
	text := "\n]\n"
	if s.written == 0 {
		text = "[]\n"
	}
	if _, err := io.WriteString(s, text); err != nil {
		return err
	}
	return s.Flush()
}
