package records

import (
	"context"
	"fmt"
	"io"
	"os"

	"gm/pkg/batch"
	"gm/pkg/results"
)

// Config is the configuration of a run. Only Input, Batch and Stdout are required.
type Config struct {
	Input Input
	// Batch has the tasks and the settings of the jobs. Run sets Away and Back, and
	// the functions that [results.Recorder.Run] sets.
	Batch *batch.Batch

	// Stdout gets the results, unless Out or Folder is set. StdoutFile is the file
	// that Stdout writes to; nil if it writes to none.
	Stdout     io.Writer
	StdoutFile *os.File
	// Terminal is true if Stdout is a terminal: each result is written when it is
	// complete, and without End a newline follows a result that lacks one.
	Terminal bool
	// Form is the form of the results on Stdout.
	Form Form
	// End is appended to each result that does not end with it; empty appends nothing.
	// NoEnd is true if that is wanted even on a terminal.
	End   string
	NoEnd bool
	// LinePrefix returns the text before each line of a result, from the label of its
	// record; nil: no text.
	LinePrefix func(label string) string
	// NoHandles omits the handles of background jobs.
	NoHandles bool
	// Out writes each result to a file with a name of its own, Folder to a folder of
	// its own below Folder. OutAnywhere allows labels that lead Out out of its folder.
	Out         results.Template
	OutAnywhere bool
	Folder      string

	// Joblog has Path, Resume, RetryFailed and NewOutput; Run sets the other fields. An
	// empty Path is no log.
	Joblog results.JoblogConfig

	// Progress is how the run shows its progress.
	Progress Progress
	// OnSilence is called once if no record has ended within two seconds; nil: no call.
	// ctx is canceled when the records have ended.
	OnSilence func(ctx context.Context)
	// Status gives the progress of each job to Note.
	Status bool
	// Propagate makes the exit code of a worker's command that of the Report.
	Propagate bool
	// ExitCode, Note and WorkerText are those of [results.Config].
	ExitCode   func(err error) int
	Note       func(text string)
	WorkerText func(text []byte)
	// Ended is called when the last record has ended, before the output and the joblog
	// are completed; nil: no call.
	Ended func()
}

// Form is the form of results on an output.
type Form int

const (
	// Text is each result as it is. Background jobs have their handles instead.
	Text Form = iota
	// Lines is each line of a result as soon as it is complete. It needs
	// Batch.Interleaved.
	Lines
	// JSON is the outcome of each record as an object: in one array if there may be
	// several records.
	JSON
	// JSONLines is the outcome of each record as an object in a line.
	JSONLines
)

// newSink returns the sink that the configuration describes.
func (c *Config) newSink(out *results.Output) (results.Sink, error) {
	switch {
	case c.Out != "":
		return results.NewFiles(results.FilesOptions{Template: c.Out, Anywhere: c.OutAnywhere, Label: c.Input.label}), nil
	case c.Folder != "":
		if out != nil {
			if err := os.MkdirAll(c.Folder, 0o777); err != nil {
				return nil, fmt.Errorf("write results: %w", err)
			}
		}
		return results.NewFolders(c.Folder, c.Input.label), nil
	}
	text := results.TextOptions{End: c.End, Prefix: c.linePrefix(), EndLine: c.Terminal && !c.NoEnd}
	background := c.Batch.Task.Background
	switch {
	case c.inJSON():
		return results.NewJSON(out, c.Form == JSON && c.Input.Many), nil
	case c.Form == Lines:
		return results.NewLines(out, text), nil
	case background && c.NoHandles:
		return results.Discard, nil
	case background:
		return results.NewHandles(out, text), nil
	}
	return results.NewText(out, text), nil
}

// inJSON reports whether the results are objects of JSON.
func (c *Config) inJSON() bool { return c.Form == JSON || c.Form == JSONLines }

// linePrefix returns the function that returns the text before each line of a
// record's result; nil if there is no text.
func (c *Config) linePrefix() func(r *batch.Record) string {
	if c.LinePrefix == nil {
		return nil
	}
	return func(r *batch.Record) string { return c.LinePrefix(c.Input.label(r)) }
}

// joblogConfig returns the configuration of the joblog.
func (c *Config) joblogConfig(sink results.Sink, out *results.Output) results.JoblogConfig {
	log := c.Joblog
	log.Sink, log.Output, log.Note = sink, out, c.Note
	switch {
	case c.Out != "":
		log.Files = "--out " + string(c.Out)
	case c.Folder != "":
		log.Files = "--results " + c.Folder
	}
	return log
}

// source returns the source of the records. With Out, a record without a valid file
// name has an error.
func (c *Config) source() batch.Source {
	if c.Out == "" {
		return c.Input.Source
	}
	return results.NewNamedSource(c.Input.Source, c.Out, c.OutAnywhere, c.Input.label)
}

// notef calls Note with a formatted text.
func (c *Config) notef(format string, args ...any) {
	if c.Note != nil {
		c.Note(fmt.Sprintf(format, args...))
	}
}
