// Package wire encodes and decodes every byte that crosses a Gearman job
// server's port: the binary packets of clients and workers and the text rows of
// the admin protocol, in both directions. It does no I/O, except in [Reader]
// and [Writer], which wrap the two halves of a connection.
//
// Its types:
//
//   - [Type] names a packet (SUBMIT_JOB_BG), [Magic] gives its direction;
//   - [Packet] is one decoded packet: up to [MaxArgs] arguments that point
//     into the reader's buffer;
//   - [Reader] cuts a stream into packets and admin lines; [Writer] collects
//     packets and flushes them with one write;
//   - [FunctionStatus], [PriorityStatus], [WorkerInfo] and [JobInfo] are rows
//     of the admin protocol, the Cmd constants its requests.
//
// # How long bytes live
//
// Decoding allocates nothing: a Packet's arguments are slices of the Reader's
// buffer and are valid until the next call of [Reader.Fill], [Reader.Next] or
// [Reader.NextLine]. To keep an argument, copy it.
//
// # Sizes
//
// The header of a packet announces its size. A Reader rejects a size above the
// limit ([Limits]), and its memory grows with the bytes that have arrived,
// never with the bytes that were announced.
//
// The source of the format is the PROTOCOL file of gearmand. Comments mark the
// places where gearmand's servers and clients differ from it.
package wire
