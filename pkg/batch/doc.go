// Package batch sends many records through one Gearman function, or through
// several in a row: one job a record and stage, many of them in flight, results
// in the order of the input or as they come.
//
// Its types:
//
//   - [Source] gives records ([Input]): [Splitter] cuts a stream at a
//     delimiter, [Blocks] into blocks of whole records, [Files] reads files,
//     [Records] are at hand;
//   - [Batch] says what is to be done with each record, and [Batch.Run] does it;
//   - [Record] is one record and what became of it;
//   - [Halt] says when failures end a batch, [Progress] how far it has come;
//   - [Log] is a file with a line a record, and what a later run leaves out;
//   - [Reduction] folds the results into one.
//
// # What is bounded
//
// At most [Batch.Window] jobs are in flight. The payloads of the records that
// have begun, those of their stages and the results that have arrived, handed on
// or not, take at most [Batch.Memory] bytes before no further record begins: so
// one slow job does not make the rest pile up, and until that bound is reached it
// does not hold the rest up either. A single record may be larger than that, and
// what is in flight when the bound is reached still adds its results. A record
// costs 1 KiB beside its bytes. The result of the oldest record is not
// collected: it is handed on as it arrives.
//
// Beside that, 64 KiB or 256 records are read ahead, or one record if it is
// larger, and the source may have buffers of its own.
//
// # What is sent again
//
// A job that the server never took (no server, queue full, server shutting down)
// is sent later. One whose server was lost may have run: it is sent again only if
// its task has a unique, or [Batch.Repeatable] or [Batch.Retries] allows it, and
// none of its result has been handed on. One that failed is sent again if Retries
// allows it. A record that is sent again begins with the stage that it was at.
package batch
