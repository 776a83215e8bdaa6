// Package results writes the results of a batch: to one output, or to files, in
// order, and so that a run that was interrupted can go on.
//
// Its types:
//
//   - [Recorder] runs a [batch.Batch], writes each result to a [Sink] and each
//     outcome to a [Joblog], and returns a [Report];
//   - [Sink] receives the results of records. [NewText] and [NewLines] write
//     them as they are, [NewJSON] writes an object for each record,
//     [NewHandles] writes only the handles of background jobs, [NewFiles] and
//     [NewFolders] write files of each record's own, and [Discard] writes
//     nothing;
//   - [Output] is the writer that several of these sinks share. It knows the
//     offsets of a regular file;
//   - [Joblog] is a log with a line for each record that has ended. A later run
//     leaves these records out;
//   - [Template] gives each record the path of its file;
//   - [Outcome] describes the end of a record;
//   - [Meter] measures the progress of a batch, and [Bar] shows it at the end of
//     a terminal.
//
// The lines of a file, each through a worker of the function "rev", and in
// order on stdout:
//
//	out, err := results.NewOutput(os.Stdout, os.Stdout)
//	...
//	sink := results.NewText(out, results.TextOptions{End: "\n"})
//	log, err := results.OpenJoblog(results.JoblogConfig{
//		Path: "rev.log", Resume: true, Sink: sink, Output: out,
//	})
//	...
//	defer log.Close()
//	recorder := results.New(results.Config{Sink: sink, Output: out, Joblog: log, Many: true})
//	report, err := recorder.Run(ctx, &batch.Batch{
//		Client: client,
//		Task:   gearman.Task{Function: "rev"},
//	}, batch.NewSplitter(file, []byte("\n"), false, 1<<20))
//
// # Each result once
//
// With a Joblog, the output of each record is in the file once, even if the
// process was killed. The line of a record is written after its output, and has
// the offset at which the output ends. A run that goes on moves output without a
// line away, and does these records again. Nothing is synced to disk: a crash of
// the machine can lose the last results and lines.
package results
