package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"gm/internal/gather"
	"gm/pkg/batch"
)

// jsonSink prints an object for each record.
type jsonSink struct {
	*stdoutBuffer
	run     *recordRun
	array   bool // the objects are those of one document
	printed int
	body    gather.Buffer // of the record whose result is being collected
}

// resultObject is a record in JSON.
type resultObject struct {
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

func (s *jsonSink) data(_ *batch.Record, b []byte) error {
	s.body.Add(b)
	return nil
}

func (s *jsonSink) end(r *batch.Record, o *outcome) error {
	task := s.run.taskOf(r)
	obj := resultObject{
		Seq: r.Seq, Name: r.Name, Handle: string(r.Handle), Function: task.Function, Unique: task.Unique,
		State: o.state, Exit: o.exit, Warnings: o.warnings, Exception: string(o.exception), Attempts: r.Attempts,
		Started: r.Started, Ended: r.Ended,
		MS: float64(r.Ended.Sub(r.Started).Microseconds()) / 1000,
	}
	body := s.body.Join()
	switch {
	case task.Background:
	case utf8.Valid(body):
		text := string(body)
		obj.Data = &text
	default:
		obj.DataBase64 = body
	}
	if o.err != nil {
		obj.Error = o.err.Error()
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	s.printed++
	switch {
	case !s.array:
		text = append(text, '\n')
	case s.printed == 1:
		text = append([]byte("[\n"), text...)
	default:
		text = append([]byte(",\n"), text...)
	}
	_, err = s.Write(text)
	return err
}

// close ends the document.
func (s *jsonSink) close() error {
	if !s.array {
		return nil
	}
	text := "\n]\n"
	if s.printed == 0 {
		text = "[]\n"
	}
	if _, err := io.WriteString(s, text); err != nil {
		return err
	}
	return s.flush()
}
