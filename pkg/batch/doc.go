// Package batch sends many records through one Gearman function, or through
// several in a row. It submits one job for each record and stage, keeps many of
// them in flight, and returns the results in the order of the input or as they
// arrive.
//
// This program sends each line of its stdin to the function upper, with at most
// 64 jobs in flight, and writes the results to stdout in the order of the lines:
//
//	client, err := gearman.NewClient(gearman.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer client.Close()
//	b := &batch.Batch{
//		Client: client,
//		Task:   gearman.Task{Function: "upper"},
//		Data: func(r *batch.Record, piece []byte) error {
//			_, err := os.Stdout.Write(piece)
//			return err
//		},
//	}
//	summary, err := b.Run(ctx, batch.NewSplitter(os.Stdin, []byte("\n"), true, 0))
//	if err != nil {
//		log.Fatal(err)
//	}
//	fmt.Fprintln(os.Stderr, summary.Failed, "of", summary.Records, "failed")
//
// Its types:
//
//   - [Source] returns records ([Input]): [Splitter] cuts a stream at a
//     delimiter, [Blocks] cuts it into blocks of whole records, [Files] reads
//     files, and [Records] are in memory;
//   - [Batch] has the settings and callbacks for all records, and [Batch.Run]
//     sends them;
//   - [Record] is one record and its outcome;
//   - [Halt] is the number of failures that ends a batch, [Progress] counts the
//     records at each step;
//   - [Log] is a file with a line for each record, by which a later run skips
//     records;
//   - [Reduction] combines the results into one.
//
// # Limits
//
// At most [Batch.Window] jobs are in flight. No further record begins while the
// payloads of the records in progress, those of their stages, and the results
// that have arrived, passed on or not, take [Batch.Memory] bytes. So one slow
// job does not make results pile up, and it does not delay other jobs until
// that limit is reached. A single record may be larger than that, and the jobs
// in flight when the limit is reached still add their results. A record costs 1
// KiB besides its bytes. The result of the oldest record is not collected: it
// is passed on as it arrives.
//
// In addition, 64 KiB or 256 records are read ahead, or one record if it is
// larger, and the source may have buffers of its own.
//
// # Retries
//
// A job that the server never took (no server, queue full, server shutting
// down) is sent later. A job whose server was lost may have run: it is sent
// again only if its task has a unique, or [Batch.Repeatable] or [Batch.Retries]
// allows it, and no part of its result has been passed on. A job that failed is
// sent again if Retries allows it. A record that is sent again goes on with the
// stage that it had reached.
package batch
