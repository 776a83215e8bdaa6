// Package batch sends many records through one Gearman function: one job a
// record, many of them in flight, results in the order of the input.
//
// Its types:
//
//   - [Splitter] cuts a stream into records; [Records] and anything else with
//     its one method can take its place ([Source]);
//   - [Batch] says what is to be done with each record, and [Batch.Run] does it;
//   - [Record] is one record and what became of it.
//
// # What is bounded
//
// At most [Batch.Window] jobs are in flight. The payloads in flight together
// with the results that wait for an older record's take at most
// [Batch.Memory] bytes before no further record is sent, so that one slow job
// does not make the rest pile up; a single record may be larger than that. The
// result of the oldest record is not collected: it is handed on as it arrives.
//
// # What is sent again
//
// A job that the server never took (no server, queue full) is sent later. One
// whose server was lost may have run: it is sent again only if its task has a
// unique and none of its result has been handed on, or if [Batch.Retries]
// allows it. One that failed is sent again if Retries allows it.
package batch
