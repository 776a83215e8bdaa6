// Package records runs many records through Gearman functions, from their source to
// their results. The commands gm submit, gm map and gm pipe are faces of this
// package. It joins package batch, which sends the records, with package results,
// which writes the results.
//
// Its types:
//
//   - [Input] is the records of a run: [Stream] cuts a reader into records, in the way
//     that a [Cut] describes, [Files] reads files, [Arguments] and [Whole] are for few
//     records;
//   - [Config] has the input, the settings of the jobs, the place and the form of the
//     results, the joblog and the progress;
//   - [Run] is a run whose outputs are open. [Run.Run] sends all records,
//     [Run.First] one record to several functions, and [Plan] only lists the records.
//
// The lines of a file, each through a worker of the function "rev", in order on
// stdout, with a joblog by which an interrupted run goes on:
//
//	run, err := records.Open(records.Config{
//		Input: records.Stream(file, records.Cut{}, 1<<20),
//		Batch: &batch.Batch{
//			Client: client,
//			Task:   gearman.Task{Function: "rev"},
//		},
//		Stdout:     os.Stdout,
//		StdoutFile: os.Stdout,
//		End:        "\n",
//		Joblog:     results.JoblogConfig{Path: "rev.log", Resume: true},
//	})
//	if err != nil {
//		return err
//	}
//	defer run.Close()
//	report, err := run.Run(ctx)
//
// The package prints nothing and handles no signals. Messages for the user go to
// Config.Note, and [batch.Batch.Drain] ends a run early.
package records
