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

	// Stdout is the writer of the results, unless Out or Folder is set. StdoutFile is
	// the file that Stdout writes to; nil if there is no such file.
	Stdout     io.Writer
	StdoutFile *os.File
	// Terminal reports that Stdout is a terminal. Then each result is written when it is
	// complete and, if End is empty, a newline is added to a result that lacks one.
	// NoEnd prevents the newline.
	Terminal bool
	NoEnd    bool
	// Form is the form of the results on Stdout.
	Form Form
	// End is appended to each result that does not end with it. If it is empty, nothing
	// is appended.
	End string
	// LinePrefix returns the text before each line of a result. label is the name of the
	// file of the record, the number of its block, or its text. nil means no text.
	LinePrefix func(label string) string
	// NoHandles omits the handles of background jobs.
	NoHandles bool
	// Out writes the result of each record to a file of its own. It refuses a label that
	// leads out of the folder of Out, unless OutAnywhere is set.
	Out         results.Template
	OutAnywhere bool
	// Folder writes each record to a folder of its own in the folder with this name.
	Folder string

	// Joblog is the log of the run. Only Path, Resume, RetryFailed and NewOutput are
	// used. An empty Path means no log.
	Joblog results.JoblogConfig

	// Progress is how the run shows its progress.
	Progress Progress
	// OnSilence is called once if no record has ended within two seconds. Its context
	// is canceled when all records have ended. nil means no call.
	OnSilence func(ctx context.Context)
	// Status passes the progress of each job to Note.
	Status bool
	// Propagate makes the exit code of a worker's command the Code of the Report.
	Propagate bool
	// ExitCode, Note and WorkerText have the meaning that they have in [results.Config].
	ExitCode   func(err error) int
	Note       func(text string)
	WorkerText func(text []byte)
	// Ended is called when the last record has ended, before the output and the joblog
	// are completed. nil means no call.
	Ended func()
}

// Form is the form of results on an output.
type Form int

const (
	// FormText writes each result unchanged. For background jobs it writes their handles.
	FormText Form = iota
	// FormLines writes each line of a result as soon as the line is complete. It requires
	// Batch.Interleaved.
	FormLines
	// FormJSON writes an object with the outcome of each record. If there may be several
	// records, the objects are the elements of one array.
	FormJSON
	// FormJSONLines writes an object with the outcome of each record in a line of its own.
	FormJSONLines
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
		return results.NewJSON(out, c.Form == FormJSON && c.Input.Many), nil
	case c.Form == FormLines:
		return results.NewLines(out, text), nil
	case background && c.NoHandles:
		return results.Discard, nil
	case background:
		return results.NewHandles(out, text), nil
	}
	return results.NewText(out, text), nil
}

// inJSON reports whether the results are objects of JSON.
func (c *Config) inJSON() bool { return c.Form == FormJSON || c.Form == FormJSONLines }

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
