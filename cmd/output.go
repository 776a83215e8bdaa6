package cmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v2"
)

// A row is one line of a listing. It is marshalled to JSON unchanged. The help of the verb
// documents its fields; later versions may add fields.
type row interface {
	// cells returns a text for each column: for a person (3m20s), or for a
	// program (200000).
	cells(human bool) []string
}

// A painter is a row that colours some of its cells in a table.
type painter interface {
	paint(s *style, cells []string)
}

// A column is a heading and the alignment of its cells in a table.
type column struct {
	name  string
	right bool // numbers
}

// rowFormat is the value of -o.
type rowFormat string

const (
	formatTable rowFormat = "table" // aligned columns with a heading
	formatTSV   rowFormat = "tsv"   // tab-separated, no heading, nothing cut
	formatJSON  rowFormat = "json"  // one document: an array of objects
	formatJSONL rowFormat = "jsonl" // one object in each line
)

// rowFlags returns the flags of verbs that print rows.
func (e *cliEnv) rowFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "output", Aliases: []string{"o"}, Category: catOutput,
			Usage: "print rows in `FORMAT`: table, tsv, json or jsonl (default table on a terminal, else tsv)",
		},
	}
}

// rowWriter prints rows in one format. It collects the rows of a table until close, and
// streams the other formats.
type rowWriter struct {
	format  rowFormat
	columns []column
	style   *style
	out     *bufio.Writer
	table   [][]cell
	width   int      // of the terminal; 0 cuts nothing
	fields  bool     // print a table of one row as lines of name and value
	texts   bool     // a row is a line of text, which is wrapped and not shortened
	notes   []string // lines above a table that name missing servers
	count   int
}

// newRows returns a writer of rows to stdout, in the format of rowFlags.
func (e *cliEnv) newRows(c *cli.Context, columns ...column) (*rowWriter, error) {
	format, err := e.rowFormat(c)
	if err != nil {
		return nil, err
	}
	s, err := e.style(c)
	if err != nil {
		return nil, err
	}
	w := newRowWriter(e.stdout, format, s, columns)
	w.width, _ = terminalSize(e.stdout)
	return w, nil
}

func newRowWriter(w io.Writer, f rowFormat, s *style, columns []column) *rowWriter {
	return &rowWriter{format: f, columns: columns, style: s, out: bufio.NewWriter(w)}
}

// rowFormat returns the format that rowFlags select.
func (e *cliEnv) rowFormat(c *cli.Context) (rowFormat, error) {
	switch f := rowFormat(c.String("output")); f {
	case formatTable, formatTSV, formatJSON, formatJSONL:
		return f, nil
	case "":
		if isTerminal(e.stdout) {
			return formatTable, nil
		}
		return formatTSV, nil
	default:
		return "", usageErrorf("--output %q: want table, tsv, json or jsonl", string(f))
	}
}

// add prints one row.
func (w *rowWriter) add(r row) error {
	w.count++
	switch w.format {
	case formatTable:
		cells := r.cells(true)
		for i := range cells {
			cells[i] = printable(cells[i], false)
		}
		painted := slices.Clone(cells)
		if p, ok := r.(painter); ok {
			p.paint(w.style, painted)
		}
		line := make([]cell, len(cells))
		for i := range cells {
			line[i] = paintedCell(cells[i], painted[i])
		}
		w.table = append(w.table, line)
		return nil
	case formatTSV:
		for i, cell := range r.cells(false) {
			if i > 0 {
				w.out.WriteByte('\t')
			}
			w.out.WriteString(escapeTSV(cell))
		}
		return w.out.WriteByte('\n')
	case formatJSON:
		if w.count == 1 {
			w.out.WriteString("[\n")
		} else {
			w.out.WriteString(",\n")
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("print row: %w", err)
	}
	w.out.Write(text)
	if w.format == formatJSONL {
		return w.out.WriteByte('\n')
	}
	return nil
}

// flush writes the rows that are buffered.
func (w *rowWriter) flush() error { return w.out.Flush() }

// close prints the table or the end of the JSON document.
func (w *rowWriter) close() error {
	if w.format == formatTable {
		for _, note := range w.notes {
			text := printable(note, false)
			if w.width > 0 {
				text = shorten(text, w.width)
			}
			w.out.WriteString(w.style.warn.Sprint(text) + "\n")
		}
	}
	switch {
	case w.format == formatTable && w.count == 1 && w.fields:
		renderFields(w.out, w.columns, w.table[0], w.style, w.width)
	case w.format == formatTable && w.count > 0 && w.texts && w.width > 0:
		for _, cells := range w.table {
			w.out.WriteString(foldHelpLine(cells[0].text, w.width))
		}
	case w.format == formatTable && w.count > 0:
		renderTable(w.out, w.columns, w.table, w.style, w.width)
	case w.format == formatJSON && w.count > 0:
		w.out.WriteString("\n]\n")
	case w.format == formatJSON:
		w.out.WriteString("[]\n")
	}
	return w.out.Flush()
}

// style colours text, or leaves it unchanged.
type style struct{ bold, good, warn, bad *color.Color }

// style returns the style for stdout.
func (e *cliEnv) style(c *cli.Context) (*style, error) {
	on, err := e.coloured(c.String("color"))
	if err != nil {
		return nil, err
	}
	s := &style{}
	s.set(on)
	return s, nil
}

// set turns colour on or off.
func (s *style) set(on bool) {
	for _, p := range []struct {
		colour **color.Color
		code   color.Attribute
	}{{&s.bold, color.Bold}, {&s.good, color.FgGreen}, {&s.warn, color.FgYellow}, {&s.bad, color.FgRed}} {
		*p.colour = color.New(p.code)
		if on {
			(*p.colour).EnableColor()
		} else {
			(*p.colour).DisableColor()
		}
	}
}

// coloured reports whether output has colour, by --color, NO_COLOR, TERM and stdout.
func (e *cliEnv) coloured(when string) (bool, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb" && isTerminal(e.stdout), nil
	}
	return false, usageErrorf("--color %q: want auto, always or never", when)
}

// terminalSize returns the columns and lines of a terminal, 80 and 24 if it does not
// report them. It returns 0 if stream, one of env's, is no terminal.
func terminalSize(stream any) (columns, lines int) {
	switch s := stream.(type) {
	case *output:
		stream = s.Writer
	case interface{ Terminal() io.Writer }: // that draws on a terminal
		stream = s.Terminal()
	}
	if f, ok := stream.(*os.File); ok && isTerminal(f) {
		if columns, lines = terminalDimensions(f); columns == 0 || lines == 0 {
			return 80, 24
		}
	}
	return columns, lines
}

// endLastLine watches the bytes written to stdout until the returned function is called.
// On a terminal that function completes the last line, so that the prompt stands in a
// line of its own.
func (e *cliEnv) endLastLine() (end func()) {
	if !isTerminal(e.stdout) {
		return func() {}
	}
	stdout := e.stdout
	line := &lastLine{w: stdout}
	e.stdout = line
	return func() {
		e.stdout = stdout
		if line.open {
			io.WriteString(stdout, "\n") //nolint:errcheck // it only completes the display
		}
	}
}

// lastLine records whether the written text ends within a line.
type lastLine struct {
	w    io.Writer
	open bool
}

// Write implements io.Writer.
func (l *lastLine) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if n > 0 {
		l.open = p[n-1] != '\n'
	}
	return n, err
}

// terminalOf returns the file that w is, if it is a terminal; else nil.
func terminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		return f
	}
	return nil
}

// fileOf returns the file that w, one of env's streams, writes to; nil if it is
// none.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// isTerminal reports whether stream, one of env's, is a terminal.
func isTerminal(stream any) bool {
	if o, ok := stream.(*output); ok {
		stream = o.Writer
	}
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// printable returns s with control characters and invalid bytes as escapes, so that they
// cannot control a terminal. With lines it keeps newlines.
func printable(s string, lines bool) string {
	clean := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) || lines && r == '\n' }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		switch {
		case clean(r):
			b.WriteRune(r)
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

var tsvEscapes = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`)

// escapeTSV writes tabs and line ends in a cell as \t, \n and \r.
func escapeTSV(cell string) string { return tsvEscapes.Replace(cell) }

// printLine prints one line of data that is no row.
func (e *cliEnv) printLine(line string) error {
	_, err := io.WriteString(e.stdout, line+"\n")
	return err
}
