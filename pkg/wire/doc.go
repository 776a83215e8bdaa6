// Package wire is every byte that crosses a Gearman job server's port: the
// binary packets of clients and workers and the text rows of the admin
// protocol, in both directions. It does no I/O but for [Reader] and [Writer],
// which wrap a connection's two halves.
//
// Its types:
//
//   - [Type] names a packet (SUBMIT_JOB_BG), [Magic] says which way it goes;
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
// [Reader.NextLine]. Who keeps one copies it.
//
// # Sizes
//
// A packet's header names its size; the size is believed only as far as the
// limit ([Limits]), and memory grows with the bytes that have arrived, never
// with those that were announced.
//
// Source of the format: the PROTOCOL file of gearmand. Where its servers and
// clients do something else, the comment at that place says so.
package wire
