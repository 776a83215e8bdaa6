package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	urfave "github.com/urfave/cli/v2"
)

// A Row is one line of a listing. Its JSON is that of json.Marshal. The help of the verb
// documents its fields, and later versions may add fields.
type Row interface {
	// Cells returns a text for each column: for a person, such as 3m20s, or for a program,
	// such as 200000.
	Cells(human bool) []string
}

// A painter is a row that colours some of its cells in a table.
type painter interface {
	Paint(s *Style, cells []string)
}

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

// RowWriter prints rows in one format. It keeps the rows of a table until Close, and
// prints rows in other formats at once.
type RowWriter struct {
	Format  RowFormat
	columns []Column
	style   *Style
	out     *bufio.Writer
	table   [][]Cell
	Width   int      // of the terminal; 0 means that a table is not cut
	Fields  bool     // print a table of one row as lines of name and value
	Texts   bool     // wrap rows, which are lines of text, and do not shorten them
	Notes   []string // lines above a table, in a warning colour
	count   int
}

// NewRows returns a writer of rows to stdout, in the format of RowFlags.
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

// NewRowWriter returns a writer of rows to w.
func NewRowWriter(w io.Writer, f RowFormat, s *Style, columns []Column) *RowWriter {
	return &RowWriter{Format: f, columns: columns, style: s, out: bufio.NewWriter(w)}
}

// RowFormat returns the format that RowFlags select.
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

// Add prints one row, or keeps it for the table.
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
