package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"

	"gm/cmd/cli"
	"gm/internal/escape"
	"gm/pkg/batch"
	"gm/pkg/results"
)

// cut describes how stdin is cut into records.
type cut struct {
	asked  bool   // a flag describes it
	delim  string // end of a record; empty: not given
	keep   bool   // records keep their ends
	blocks bool   // several records are put together, or have a header
	size   int    // of blocks, in bytes; 0: any
	lines  int    // of blocks, in records; 0: each record is one, unless size is set
	comma  byte   // of CSV or TSV; 0: neither
	header int    // in records
}

// setSource sets the source of the payloads: args, one record each, or stdin. Stdin
// is one record, unless flags describe how to cut it, or byLine is set and each
// line is a record.
func (s *recordRun) setSource(c *cli.Context, args []string, byLine bool) error {
	how, err := cutFlags(c)
	if err != nil {
		return err
	}
	s.files = c.Bool("files")
	switch {
	case how.size > s.opts.MaxPayload:
		return cli.UsageErrorf("--block %d: exceeds --max-payload, %d bytes", how.size, s.opts.MaxPayload)
	case s.files && how.blocks:
		return cli.UsageErrorf("--files cannot be used with flags that cut stdin into blocks")
	case len(args) > 0 && how.asked:
		return cli.WithHint(cli.UsageErrorf("argument %q: records are read from stdin", args[0]),
			"several arguments without -n, -N, -0 or -d are a job each")
	}
	s.endGiven = c.IsSet("end")
	strips := !s.files && !how.blocks && !how.keep && (how.delim != "" || byLine)
	switch {
	case c.IsSet("end") && !strips:
		return cli.UsageErrorf("--end needs -N, -0 or -d")
	case strips:
		if s.ending, err = escape.Decode(c.String("end")); err != nil {
			return cli.UsageErrorf("--end: %w", err)
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
		s.source = batch.NewWhole(s.Stdin, "stdin", s.opts.MaxPayload)
	}
	return s.setMany(c)
}

// arguments returns a record for each argument.
func arguments(args []string) *batch.Records {
	var records batch.Records
	for _, arg := range args {
		records = append(records, batch.Input{Payload: []byte(arg)})
	}
	return &records
}

// maxFileName is the maximum length of a line with the name of a file, in bytes. No
// system has longer names.
const maxFileName = 64 << 10

// fromFiles makes each file a record. Its name is an argument or a line of stdin.
func (s *recordRun) fromFiles(args []string, how cut) {
	s.many = true
	if len(args) > 0 {
		s.anywhere = true // the user has named the folders
		s.source = batch.NewFiles(arguments(args), s.opts.MaxPayload)
		return
	}
	s.announceStdin("the names of the files")
	s.source = batch.NewFiles(batch.NewSplitter(s.Stdin, how.delimiter(), false, maxFileName), s.opts.MaxPayload)
}

// fromStdin cuts stdin into records or blocks.
func (s *recordRun) fromStdin(how cut) {
	s.many = true
	s.announceStdin("the records")
	size := sizeLeft(s.Stdin)
	s.blocks = how.blocks
	if how.blocks {
		s.source = batch.NewBlocks(s.Stdin, batch.BlockOptions{
			Size: how.size, Records: how.lines, Delim: how.delimiter(), Comma: how.comma, Header: how.header, Limit: s.opts.MaxPayload,
		})
	} else {
		s.source = batch.NewSplitter(s.Stdin, how.delimiter(), how.keep, s.opts.MaxPayload)
	}
	if size > 0 {
		separator := 0
		if !how.blocks && !how.keep {
			separator = len(how.delimiter())
		}
		s.input = results.NewSizedSource(s.source, size, separator)
		s.source = s.input
	}
}

// delimiter returns the end of a record.
func (how *cut) delimiter() []byte {
	if how.delim == "" {
		return []byte("\n")
	}
	return []byte(how.delim)
}

// announceStdin prints why nothing happens, if stdin is a terminal.
func (e *env) announceStdin(what string) {
	if cli.IsTerminal(e.Stdin) {
		fmt.Fprintf(e.Stderr, "gm: reading %s from the terminal; Ctrl-D ends it\n", what)
	}
}

// cutFlags reads the flags that describe how stdin is cut into records.
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
		return how, cli.UsageErrorf("-n, -N, -0 and -d cannot be used together")
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
			return how, cli.UsageErrorf("--delimiter: %w", err)
		}
	}
	how.asked = n > 0
	err = how.blockFlags(c)
	return how, err
}

// blockFlags reads the flags that describe how records are put together.
func (how *cut) blockFlags(c *cli.Context) error {
	csv, tsv := c.Bool("csv"), c.Bool("tsv")
	how.size = int(cli.SizeOf(c, "block"))
	how.lines = c.Int("lines")
	how.header = c.Int("header")
	how.blocks = csv || tsv || c.IsSet("block") || c.IsSet("lines") || c.IsSet("header")
	how.asked = how.asked || how.blocks
	switch {
	case csv && tsv:
		return cli.UsageErrorf("--csv cannot be used with --tsv")
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
		return cli.UsageErrorf("--block 0: must be greater than 0")
	case c.IsSet("lines") && how.lines < 1:
		return cli.WithHint(cli.UsageErrorf("--lines %d: must be greater than 0", how.lines), "-n makes each line a job")
	case how.header < 0:
		return cli.UsageErrorf("--header %d: must not be negative", how.header)
	case how.blocks && c.Bool("stripped"):
		return cli.WithHint(cli.UsageErrorf("-N cannot be used with --block, --lines, --header, --csv and --tsv, whose lines keep their newlines"), "use -n, or neither")
	case how.comma != 0 && how.delim != "" && how.delim != "\n":
		return cli.UsageErrorf("--csv and --tsv cannot be used with -0 and -d: newlines separate the rows")
	}
	return nil
}

// sizeLeft returns the number of bytes after the position in a file; 0 if r is not
// a regular file.
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
