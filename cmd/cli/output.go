package cli

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
	urfave "github.com/urfave/cli/v2"
)

// A Row is one line of a listing. It is marshalled to JSON unchanged. The help of the verb
// documents its fields; later versions may add fields.
type Row interface {
	// Cells returns a text for each column: for a person (3m20s), or for a
	// program (200000).
	Cells(human bool) []string
}

// A painter is a row that colours some of its cells in a table.
type painter interface {
	Paint(s *Style, cells []string)
}

// A Column describes the cells of a table below one heading.
type Column struct {
	Name  string
	Right bool // align the cells at the right, as numbers
	// Key means that the cells are arguments of other commands. A table that is too wide
	// shortens them last, and in the middle.
	Key bool
	// Usual is a cell that says little. A table that is too wide leaves out the column if
	// every cell is Usual or empty. [SameValue] means any value that all cells share.
	Usual string
}

// SameValue is the value of Column.Usual for a column that can be left out if all its
// cells are equal.
const SameValue = "*"

// RowFormat is the value of -o.
type RowFormat string

const (
	FormatTable RowFormat = "table" // aligned columns with a heading
	FormatTSV   RowFormat = "tsv"   // tab-separated, no heading, nothing cut
	FormatJSON  RowFormat = "json"  // one document: an array of objects
	FormatJSONL RowFormat = "jsonl" // one object in each line
)

// RowFlags returns the flags of verbs that print rows.
func (e *Env) RowFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{
			Name: "output", Aliases: []string{"o"}, Category: CatOutput,
			Usage: "print rows in `FORMAT`: table, tsv, json or jsonl (default table on a terminal, else tsv)",
		},
	}
}

// RowWriter prints rows in one format. It collects the rows of a table until close, and
// streams the other formats.
type RowWriter struct {
	Format  RowFormat
	columns []Column
	style   *Style
	out     *bufio.Writer
	table   [][]Cell
	Width   int      // of the terminal; 0 cuts nothing
	Fields  bool     // print a table of one row as lines of name and value
	Texts   bool     // a row is a line of text, which is wrapped and not shortened
	Notes   []string // lines above a table, in a warning colour
	count   int
}

// NewRows returns a writer of rows to stdout, in the format of rowFlags.
func (e *Env) NewRows(c *urfave.Context, columns ...Column) (*RowWriter, error) {
	format, err := e.RowFormat(c)
	if err != nil {
		return nil, err
	}
	s, err := e.Style(c)
	if err != nil {
		return nil, err
	}
	w := NewRowWriter(e.Stdout, format, s, columns)
	w.Width, _ = TerminalSize(e.Stdout)
	return w, nil
}

func NewRowWriter(w io.Writer, f RowFormat, s *Style, columns []Column) *RowWriter {
	return &RowWriter{Format: f, columns: columns, style: s, out: bufio.NewWriter(w)}
}

// RowFormat returns the format that rowFlags select.
func (e *Env) RowFormat(c *urfave.Context) (RowFormat, error) {
	switch f := RowFormat(c.String("output")); f {
	case FormatTable, FormatTSV, FormatJSON, FormatJSONL:
		return f, nil
	case "":
		if IsTerminal(e.Stdout) {
			return FormatTable, nil
		}
		return FormatTSV, nil
	default:
		return "", UsageErrorf("--output %q: want table, tsv, json or jsonl", string(f))
	}
}

// Add prints one row.
func (w *RowWriter) Add(r Row) error {
	w.count++
	switch w.Format {
	case FormatTable:
		cells := r.Cells(true)
		for i := range cells {
			cells[i] = Printable(cells[i], false)
		}
		painted := slices.Clone(cells)
		if p, ok := r.(painter); ok {
			p.Paint(w.style, painted)
		}
		line := make([]Cell, len(cells))
		for i := range cells {
			line[i] = paintedCell(cells[i], painted[i])
		}
		w.table = append(w.table, line)
		return nil
	case FormatTSV:
		for i, cell := range r.Cells(false) {
			if i > 0 {
				w.out.WriteByte('\t')
			}
			w.out.WriteString(EscapeTSV(cell))
		}
		return w.out.WriteByte('\n')
	case FormatJSON:
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
	if w.Format == FormatJSONL {
		return w.out.WriteByte('\n')
	}
	return nil
}

// Flush writes the rows that are buffered.
func (w *RowWriter) Flush() error { return w.out.Flush() }

// Close prints the table or the end of the JSON document.
func (w *RowWriter) Close() error {
	if w.Format == FormatTable {
		for _, note := range w.Notes {
			text := Printable(note, false)
			if w.Width > 0 {
				text = Shorten(text, w.Width)
			}
			w.out.WriteString(w.style.Warn.Sprint(text) + "\n")
		}
	}
	switch {
	case w.Format == FormatTable && w.count == 1 && w.Fields:
		renderFields(w.out, w.columns, w.table[0], w.style, w.Width)
	case w.Format == FormatTable && w.count > 0 && w.Texts && w.Width > 0:
		for _, cells := range w.table {
			w.out.WriteString(foldHelpLine(cells[0].Text, w.Width))
		}
	case w.Format == FormatTable && w.count > 0:
		RenderTable(w.out, w.columns, w.table, w.style, w.Width)
	case w.Format == FormatJSON && w.count > 0:
		w.out.WriteString("\n]\n")
	case w.Format == FormatJSON:
		w.out.WriteString("[]\n")
	}
	return w.out.Flush()
}

// Style colours text, or leaves it unchanged.
type Style struct{ bold, good, Warn, Bad *color.Color }

// Style returns the style for stdout.
func (e *Env) Style(c *urfave.Context) (*Style, error) {
	on, err := e.coloured(c.String("color"))
	if err != nil {
		return nil, err
	}
	s := &Style{}
	s.Set(on)
	return s, nil
}

// Set turns colour on or off.
func (s *Style) Set(on bool) {
	for _, p := range []struct {
		colour **color.Color
		code   color.Attribute
	}{{&s.bold, color.Bold}, {&s.good, color.FgGreen}, {&s.Warn, color.FgYellow}, {&s.Bad, color.FgRed}} {
		*p.colour = color.New(p.code)
		if on {
			(*p.colour).EnableColor()
		} else {
			(*p.colour).DisableColor()
		}
	}
}

// coloured reports whether output has colour, by --color, NO_COLOR, TERM and stdout.
func (e *Env) coloured(when string) (bool, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb" && IsTerminal(e.Stdout), nil
	}
	return false, UsageErrorf("--color %q: want auto, always or never", when)
}

// TerminalSize returns the columns and lines of a terminal, 80 and 24 if it does not
// report them. It returns 0 if stream, one of env's, is no terminal.
func TerminalSize(stream any) (columns, lines int) {
	switch s := stream.(type) {
	case *Output:
		stream = s.Writer
	case interface{ Terminal() io.Writer }: // that draws on a terminal
		stream = s.Terminal()
	}
	if f, ok := stream.(*os.File); ok && IsTerminal(f) {
		if columns, lines = terminalDimensions(f); columns == 0 || lines == 0 {
			return 80, 24
		}
	}
	return columns, lines
}

// EndLastLine watches the bytes written to stdout until the returned function is called.
// On a terminal that function completes the last line, so that the prompt stands in a
// line of its own.
func (e *Env) EndLastLine() (end func()) {
	if !IsTerminal(e.Stdout) {
		return func() {}
	}
	stdout := e.Stdout
	line := &lastLine{w: stdout}
	e.Stdout = line
	return func() {
		e.Stdout = stdout
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

// TerminalOf returns the file that w is, if it is a terminal; else nil.
func TerminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && IsTerminal(f) {
		return f
	}
	return nil
}

// FileOf returns the file that w, one of env's streams, writes to; nil if it is
// none.
func FileOf(w io.Writer) *os.File {
	if o, ok := w.(*Output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// IsTerminal reports whether stream, one of env's, is a terminal.
func IsTerminal(stream any) bool {
	if o, ok := stream.(*Output); ok {
		stream = o.Writer
	}
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// HasControllingTerminal reports whether the process belongs to a terminal that can hang
// up.
func HasControllingTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// Printable returns s with control characters and invalid bytes as escapes, so that they
// cannot control a terminal. With lines it keeps newlines.
func Printable(s string, lines bool) string {
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

// EscapeTSV writes tabs and line ends in a cell as \t, \n and \r.
func EscapeTSV(cell string) string { return tsvEscapes.Replace(cell) }

// PrintLine prints one line of data that is no row.
func (e *Env) PrintLine(line string) error {
	_, err := io.WriteString(e.Stdout, line+"\n")
	return err
}

// Notef prints a line on stderr that is not the error of the verb.
func (e *Env) Notef(format string, args ...any) {
	e.PrintMessage(ProgramName+": ", Printable(fmt.Sprintf(format, args...), false))
}
