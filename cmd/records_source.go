package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"gm/internal/escape"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// cut is how the flags have stdin cut up.
type cut struct {
	asked  bool   // there are such flags
	delim  string // what ends a record; empty: not said
	keep   bool   // records keep it
	blocks bool   // records are put together, or have a header
	size   int    // of blocks, in bytes; 0: no matter
	lines  int    // of blocks, in records; 0: each record is one, unless size is set
	comma  byte   // of CSV or TSV; 0: neither
	header int    // records
}

// setSource says where the payloads come from: args, if there are some, are as
// many. Without flags that say it, stdin is one record, or as many as it has
// lines if byLine is set.
func (s *recordRun) setSource(c *cli.Context, args []string, byLine bool) error {
	how, err := cutFlags(c)
	if err != nil {
		return err
	}
	s.files = c.Bool("files")
	switch {
	case how.size > s.opts.MaxPayload:
		return usageErrorf("--block %d: over the limit of a payload, %d bytes (--max-payload)", how.size, s.opts.MaxPayload)
	case s.files && how.blocks:
		return usageErrorf("--files: a file is a job, it can't be cut up")
	case len(args) > 0 && how.asked:
		return withHint(usageErrorf("records are read from stdin, and there is the argument %q", args[0]),
			"several arguments without -n, -N, -0 or -d are as many jobs")
	}
	s.endGiven = c.IsSet("end")
	strips := !s.files && !how.blocks && !how.keep && (how.delim != "" || byLine)
	switch {
	case c.IsSet("end") && !strips:
		return usageErrorf("--end is for -N, -0 and -d")
	case strips:
		if s.ending, err = escape.Decode(c.String("end")); err != nil {
			return usageErrorf("--end: %w", err)
		}
	}
	s.total = len(args)
	switch {
	case s.files:
		s.fromFiles(args, how)
	case len(args) > 0:
		s.many = len(args) > 1
		s.source = arguments(args)
	case how.asked || byLine:
		s.fromStdin(how)
	default:
		s.announceStdin("the payload")
		s.source = &whole{from: s.stdin, limit: s.opts.MaxPayload}
	}
	return s.setMany(c)
}

// arguments makes each argument a record.
func arguments(args []string) *batch.Records {
	var records batch.Records
	for _, arg := range args {
		records = append(records, batch.Input{Payload: []byte(arg)})
	}
	return &records
}

// maxFileName is how long a line with the name of a file may be, in bytes: no
// system has longer ones.
const maxFileName = 64 << 10

// fromFiles makes each file that is named a record.
func (s *recordRun) fromFiles(args []string, how cut) {
	s.many = true
	if len(args) > 0 {
		s.anywhere = true // who names a file may write beside it
		s.source = batch.NewFiles(arguments(args), s.opts.MaxPayload)
		return
	}
	s.announceStdin("the names of the files")
	s.source = batch.NewFiles(batch.NewSplitter(s.stdin, how.delimiter(), false, maxFileName), s.opts.MaxPayload)
}

// fromStdin cuts stdin into records or blocks.
func (s *recordRun) fromStdin(how cut) {
	s.many = true
	s.announceStdin("the records")
	size := sizeLeft(s.stdin)
	s.blocks = how.blocks
	if how.blocks {
		s.source = batch.NewBlocks(s.stdin, batch.BlockOptions{
			Size: how.size, Records: how.lines, Delim: how.delimiter(), Comma: how.comma, Header: how.header, Limit: s.opts.MaxPayload,
		})
	} else {
		s.source = batch.NewSplitter(s.stdin, how.delimiter(), how.keep, s.opts.MaxPayload)
	}
	if size > 0 {
		s.input = &sizedSource{Source: s.source, size: size}
		if !how.blocks && !how.keep {
			s.input.dropped = len(how.delimiter())
		}
		s.source = s.input
	}
}

// delimiter returns what ends a record.
func (how *cut) delimiter() []byte {
	if how.delim == "" {
		return []byte("\n")
	}
	return []byte(how.delim)
}

// announceStdin tells a person why nothing happens.
func (e *env) announceStdin(what string) {
	if isTerminal(e.stdin) {
		fmt.Fprintf(e.stderr, "gm: reading %s from the terminal; Ctrl-D ends it\n", what)
	}
}

// cutFlags reads how stdin is to be cut up.
func cutFlags(c *cli.Context) (cut, error) {
	var how cut
	var err error
	n := 0
	for _, name := range []string{"each-line", "stripped", "null", "delimiter"} {
		if c.Bool(name) || name == "delimiter" && c.IsSet(name) {
			n++
		}
	}
	switch {
	case n > 1:
		return how, usageErrorf("-n, -N, -0 and -d: one of them")
	case c.Bool("each-line"):
		how.delim, how.keep = "\n", true
	case c.Bool("stripped"):
		how.delim = "\n"
	case c.Bool("null"):
		how.delim = "\x00"
	case c.IsSet("delimiter"):
		if how.delim, err = escape.Decode(c.String("delimiter")); err == nil && how.delim == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return how, usageErrorf("--delimiter: %w", err)
		}
	}
	how.asked = n > 0
	err = how.blockFlags(c)
	return how, err
}

// blockFlags reads how records are put together to blocks.
func (how *cut) blockFlags(c *cli.Context) error {
	csv, tsv := c.Bool("csv"), c.Bool("tsv")
	how.size = int(sizeOf(c, "block"))
	how.lines = c.Int("lines")
	how.header = c.Int("header")
	how.blocks = csv || tsv || c.IsSet("block") || c.IsSet("lines") || c.IsSet("header")
	how.asked = how.asked || how.blocks
	switch {
	case csv && tsv:
		return usageErrorf("--csv and --tsv: one of them")
	case csv:
		how.comma = ','
	case tsv:
		how.comma = '\t'
	}
	if how.comma != 0 && !c.IsSet("header") {
		how.header = 1
	}
	switch {
	case c.IsSet("block") && how.size < 1:
		return usageErrorf("--block 0: not a size")
	case c.IsSet("lines") && how.lines < 1:
		return withHint(usageErrorf("--lines %d: not a positive number", how.lines), "-n makes each line a job")
	case how.header < 0:
		return usageErrorf("--header %d: less than none", how.header)
	case how.blocks && c.Bool("stripped"):
		return withHint(usageErrorf("-N: the lines of --block, --lines, --header, --csv and --tsv keep their newlines"), "-n stands for that, and can be left out")
	case how.comma != 0 && how.delim != "" && how.delim != "\n":
		return usageErrorf("--csv and --tsv have newlines between their rows, not -0 or -d")
	}
	return nil
}

// sizedSource is a source of records from a file of known size, so that their
// number can be guessed.
type sizedSource struct {
	batch.Source
	size    int64 // of all records
	dropped int   // bytes between two records

	records, bytes atomic.Int64 // so far
}

// Next returns the next record.
func (s *sizedSource) Next() (batch.Input, error) {
	in, err := s.Source.Next()
	if err == nil {
		s.bytes.Add(int64(len(in.Payload) + s.dropped))
		s.records.Add(1)
	}
	return in, err
}

// guess returns how many records there are, if all are as long as those so far;
// 0: there were none.
func (s *sizedSource) guess() float64 {
	return float64(s.records.Load()) * float64(s.size) / float64(max(1, s.bytes.Load()))
}

// sizeLeft returns how many bytes are behind the place in a file; 0 if it is no
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

// whole is a source of one record: all there is.
type whole struct {
	from  io.Reader
	limit int
	done  bool
}

func (w *whole) Next() (batch.Input, error) {
	if w.done {
		return batch.Input{}, io.EOF
	}
	w.done = true
	data, err := w.readAll()
	if err != nil {
		return batch.Input{}, exitWith(exitIO, fmt.Errorf("read payload: %w", err))
	}
	if len(data) > w.limit {
		return batch.Input{Err: fmt.Errorf("payload from stdin: size %w of %d bytes", gearman.ErrTooLarge, w.limit)}, nil
	}
	return batch.Input{Payload: data}, nil
}

// readAll reads up to one byte over the limit. Of a file it knows the size.
func (w *whole) readAll() ([]byte, error) {
	limited := io.LimitReader(w.from, int64(w.limit)+1)
	f, ok := w.from.(*os.File)
	if !ok {
		return io.ReadAll(limited)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > int64(w.limit) {
		return io.ReadAll(limited)
	}
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := limited.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) { // it has grown meanwhile
			rest, err := io.ReadAll(limited)
			return append(data, rest...), err
		}
	}
}
