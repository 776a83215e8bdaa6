// Package dump writes a store as JSON lines and loads such lines into a store
// of any kind.
//
// [Write] writes every job of a store in order, then its extras, then one line
// that counts both. A [Loader] reads these lines and commits them to another
// store in batches; it can add to a store that is not empty. [Counts] says how
// many lines went where.
//
// # Format
//
// A line is a JSON object. A job has these fields; only function and payload
// are always there:
//
//	seq          its number; jobs come in this order
//	function     its name; function_base64 if it is not UTF-8
//	unique       its unique; unique_base64 if it is not UTF-8
//	reducer      its reducer; reducer_base64 if it is not UTF-8
//	priority     high or low; normal if it is missing
//	run_at_ms    when to run it, a Unix time in milliseconds
//	accepted_ms  when the server took it, a Unix time in milliseconds
//	attempts     the number of attempts that did not complete
//	failures     how many of these attempts failed; the others lost their worker
//	payload      the payload in base64
//
// An extra (a dead job, a result, a policy) has two fields:
//
//	extra  its key
//	value  its value in base64
//
// The last line of a dump has three fields:
//
//	end     true
//	jobs    the number of jobs before it
//	extras  the number of extras before it
//
// Later versions only add fields. A reader ignores fields that it does not know.
// Dumps may follow each other in one stream.
package dump

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"gm/pkg/store"
)

// bufferSize is the size in bytes of the buffers of Write and Load.
const bufferSize = 256 << 10

// Write writes all that s holds to w. The store must list its contents: see
// [store.Caps]. A record that s cannot read is left out; the driver's Skipped
// hook reports it. An error of w is returned as it is. After an error the dump
// has no end line.
func Write(ctx context.Context, w io.Writer, s store.Store) error {
	out := bufio.NewWriterSize(w, bufferSize)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	jobs, extras := 0, 0
	err := s.Replay(ctx, func(r *store.Record) error {
		jobs++
		return lines.Encode(jobLine(r))
	})
	if err == nil {
		err = s.Extras(ctx, "", func(key string, value []byte) error {
			extras++
			return lines.Encode(extraLine(key, value))
		})
	}
	if err == nil {
		err = lines.Encode(&dumpLine{End: true, Jobs: &jobs, Extras: &extras})
	}
	return errors.Join(err, out.Flush())
}
