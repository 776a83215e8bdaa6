package records

import (
	"errors"
	"io"
	"os"
	"strings"

	"gm/pkg/batch"
	"gm/pkg/results"
)

// Planned is a record that a run would send.
type Planned struct {
	Seq      int    `json:"seq"`
	Function string `json:"function"` // the functions of all stages, separated by |
	Bytes    int    `json:"bytes"`
	Name     string `json:"name"`            // label of the record
	Out      string `json:"out,omitempty"`   // file of its result, with Config.Out
	Error    string `json:"error,omitempty"` // reason why it could not be sent
}

// Plan calls f for each record that a run with this configuration would send, in the
// order of the input. It opens no output, leaves the joblog unchanged and asks no
// server. An error of f ends it.
func Plan(c Config, f func(p *Planned) error) error {
	skip, err := c.plannedSkip()
	if err != nil {
		return err
	}
	source := c.source()
	functions := c.functionNames()
	for seq := 1; ; seq++ {
		in, err := source.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r := &batch.Record{Seq: seq, Name: in.Name, Payload: in.Payload, Function: functions}
		skipped, err := skip(r)
		if err != nil {
			return err
		}
		if skipped {
			continue
		}
		p := &Planned{Seq: seq, Function: functions, Bytes: len(in.Payload), Name: c.Input.label(r)}
		switch {
		case in.Err != nil:
			p.Error = in.Err.Error()
		case c.Out != "":
			p.Out, _ = c.Out.Expand(p.Name, seq) // the source has checked it
		}
		if err := f(p); err != nil {
			return err
		}
	}
}

// functionNames returns the names of the functions of all stages.
func (c *Config) functionNames() string {
	names := []string{c.Batch.Task.Function}
	for i := range c.Batch.Stages {
		names = append(names, c.Batch.Stages[i].Function)
	}
	return strings.Join(names, "|")
}

// plannedSkip returns a function that reports whether the joblog has a record that
// a run would leave out.
func (c *Config) plannedSkip() (func(r *batch.Record) (bool, error), error) {
	sendAll := func(*batch.Record) (bool, error) { return false, nil }
	if !c.Joblog.Resume {
		return sendAll, nil
	}
	if _, err := os.Stat(c.Joblog.Path); err != nil {
		return sendAll, nil // there is no joblog yet
	}
	sink, err := c.newSink(nil)
	if err != nil {
		return nil, err
	}
	log, err := results.ReadJoblog(c.joblogConfig(sink, nil))
	if err != nil {
		return nil, err
	}
	return log.Skip(), nil
}
