package records

import (
	"io"
	"os"
	"strconv"
	"strings"

	"gm/pkg/batch"
	"gm/pkg/results"
)

// Input is the records of a run.
type Input struct {
	// Source returns the records. Only one goroutine uses it at a time.
	Source batch.Source
	// Many is true if there may be several records.
	Many bool
	// Total is the number of records; 0 means that it is unknown.
	Total int
	// Blocks is true if a record is a block of records, whose label is its number.
	Blocks bool

	sized *results.SizedSource // Source if it reads a file of known size, otherwise nil
}

// Cut is the way in which a stream is cut into records. The zero value makes each line
// a record, without its newline.
type Cut struct {
	// BlockOptions has Delim, the delimiter of the records. Its other fields are only
	// used with Blocks; its Limit is not used.
	batch.BlockOptions
	// Keep is true if records keep their delimiters.
	Keep bool
	// Blocks is true if each block of records is one record.
	Blocks bool
}

// Stream returns the records of r. limit is the maximum size of a record in bytes; 0
// is no limit. If r is a regular file, its size is used to estimate the number of
// records.
func Stream(r io.Reader, how Cut, limit int) Input {
	in := Input{Many: true, Blocks: how.Blocks}
	size := sizeLeft(r)
	separator := 0
	if how.Blocks {
		o := how.BlockOptions
		o.Limit = limit
		in.Source = batch.NewBlocks(r, o)
	} else {
		delim := how.delimiter()
		in.Source = batch.NewSplitter(r, delim, how.Keep, limit)
		if !how.Keep {
			separator = len(delim)
		}
	}
	if size > 0 {
		in.sized = results.NewSizedSource(in.Source, size, separator)
		in.Source = in.sized
	}
	return in
}

// delimiter returns the bytes that end a record.
func (how *Cut) delimiter() []byte {
	if len(how.Delim) == 0 {
		return []byte("\n")
	}
	return how.Delim
}

// Arguments returns a record for each argument.
func Arguments(args []string) Input {
	return Input{Source: sourceOf(args), Many: len(args) > 1, Total: len(args)}
}

// Whole returns all bytes of r as one record. limit is its maximum size in bytes; 0
// is no limit. name names r in errors.
func Whole(r io.Reader, name string, limit int) Input {
	return Input{Source: batch.NewWhole(r, name, limit)}
}

// Files returns the files with the given names, a record each. limit is the maximum
// size of a file in bytes; 0 is no limit.
func Files(names []string, limit int) Input {
	return Input{Source: batch.NewFiles(sourceOf(names), limit), Many: true, Total: len(names)}
}

// maxFileName is the maximum length of the name of a file in bytes. No system has
// longer names.
const maxFileName = 64 << 10

// FilesNamedBy is like Files for the names in r, each of which ends with delim; an
// empty one is a newline.
func FilesNamedBy(r io.Reader, delim []byte, limit int) Input {
	how := Cut{BlockOptions: batch.BlockOptions{Delim: delim}}
	return Input{Source: batch.NewFiles(batch.NewSplitter(r, how.delimiter(), false, maxFileName), limit), Many: true}
}

// sourceOf returns a source with a record for each text.
func sourceOf(texts []string) *batch.Records {
	var source batch.Records
	for _, text := range texts {
		source = append(source, batch.Input{Payload: []byte(text)})
	}
	return &source
}

// label returns the name of a record in outputs: the name of its file, the number of
// its block, or its text.
func (in *Input) label(r *batch.Record) string {
	switch {
	case r.Name != "":
		return r.Name
	case in.Blocks:
		return strconv.Itoa(r.Seq)
	}
	return strings.TrimSuffix(string(r.Payload), "\n")
}

// messageName returns the name of a record in messages.
func (in *Input) messageName(r *batch.Record) string {
	switch {
	case !in.Many:
		return "job " + string(r.Handle)
	case r.Name != "":
		return "record " + strconv.Itoa(r.Seq) + ", " + r.Name
	}
	return "record " + strconv.Itoa(r.Seq)
}

// sizeLeft returns the number of bytes after the position in a file; 0 if r is not a
// regular file.
func sizeLeft(r io.Reader) int64 {
	f, ok := r.(*os.File)
	if !ok {
		return 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(0, info.Size()-at)
}
