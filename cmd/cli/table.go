package cli

import (
	"bufio"
	"bytes"
	"strings"

	"github.com/olekukonko/tablewriter"
)

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

// columnGap separates the columns of a table. Without borders and lines, awk can read a
// table that was printed for people.
const columnGap = "  "

// A Cell is a text of a table, between the escapes that colour it.
type Cell struct{ before, Text, after string }

// paintedCell returns the cell of a plain text that was painted.
func paintedCell(plain, painted string) Cell {
	if before, after, ok := strings.Cut(painted, plain); ok && plain != "" {
		return Cell{before, plain, after}
	}
	return Cell{Text: plain}
}

// table is a table during its layout. Its columns keep their order.
type table struct {
	columns []Column
	rows    [][]Cell
}

// RenderTable prints a line of headings and a line for each row. If width is not 0, it
// makes the table fit into width columns of a terminal: it leaves out empty columns, then
// columns with their usual value in each row, and then shortens texts.
func RenderTable(w *bufio.Writer, columns []Column, rows [][]Cell, s *Style, width int) {
	t := &table{columns: columns, rows: rows}
	widths := t.columnWidths()
	if width > 0 {
		t.removeColumns(t.isEmpty)
		if widths = t.columnWidths(); lineWidth(widths) > width {
			t.removeColumns(t.isUsual)
			widths = t.fitWidth(width)
		}
	}
	lines := make([][]string, 0, len(t.rows)+1)
	headings := make([]string, len(t.columns))
	for i, c := range t.columns {
		headings[i] = s.bold.Sprint(Shorten(strings.ToUpper(c.Name), widths[i]))
	}
	lines = append(lines, headings) // tablewriter's own headings are centred or left
	for _, r := range t.rows {
		line := make([]string, len(t.columns))
		for i, c := range t.columns {
			text := Shorten(r[i].Text, widths[i])
			if c.Key {
				text = ShortenName(r[i].Text, widths[i])
			}
			line[i] = r[i].before + text + r[i].after
		}
		lines = append(lines, line)
	}
	writeTable(w, t.columns, lines)
}

// writeTable prints lines of cells as columns. It is the only function that uses
// tablewriter, whose version is 0.0 because 1.x fills caches at the start of a program.
func writeTable(w *bufio.Writer, columns []Column, lines [][]string) {
	aligns := make([]int, len(columns))
	for i, c := range columns {
		aligns[i] = tablewriter.ALIGN_LEFT
		if c.Right {
			aligns[i] = tablewriter.ALIGN_RIGHT
		}
	}
	var text bytes.Buffer
	writer := tablewriter.NewWriter(&text)
	writer.SetAutoFormatHeaders(false)
	writer.SetAutoWrapText(false)
	writer.SetBorder(false)
	writer.SetHeaderLine(false)
	writer.SetCenterSeparator("")
	writer.SetColumnSeparator("")
	writer.SetRowSeparator("")
	writer.SetNoWhiteSpace(true)
	writer.SetTablePadding(columnGap)
	writer.SetColumnAlignment(aligns)
	writer.AppendBulk(lines)
	writer.Render()
	for line := range bytes.Lines(text.Bytes()) {
		w.Write(bytes.TrimRight(line, " \n")) // the padding of the last column
		w.WriteByte('\n')
	}
}

// columnWidths returns the width of each column.
func (t *table) columnWidths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = TextWidth(c.Name)
		for _, r := range t.rows {
			widths[i] = max(widths[i], TextWidth(r[i].Text))
		}
	}
	return widths
}

// lineWidth returns the width of a line with columns of these widths.
func lineWidth(widths []int) int {
	sum := len(columnGap) * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// removeColumns removes the columns for which f returns true, but never all columns.
func (t *table) removeColumns(f func(i int) bool) {
	var kept []int
	for i := range t.columns {
		if !f(i) {
			kept = append(kept, i)
		}
	}
	if len(kept) > 0 {
		t.selectColumns(kept)
	}
}

// selectColumns removes all columns except those of the indexes.
func (t *table) selectColumns(kept []int) {
	columns := make([]Column, len(kept))
	for k, i := range kept {
		columns[k] = t.columns[i]
	}
	rows := make([][]Cell, len(t.rows))
	for n, r := range t.rows {
		rows[n] = make([]Cell, len(kept))
		for k, i := range kept {
			rows[n][k] = r[i]
		}
	}
	t.columns, t.rows = columns, rows
}

// isEmpty reports whether no row has a value in the column.
func (t *table) isEmpty(i int) bool {
	for _, r := range t.rows {
		if r[i].Text != "" && r[i].Text != "-" {
			return false
		}
	}
	return len(t.rows) > 0
}

// isUsual reports whether each row has the usual value in the column.
func (t *table) isUsual(i int) bool {
	if t.isEmpty(i) {
		return true
	}
	usual := t.columns[i].Usual
	if usual == "" || len(t.rows) == 0 || len(t.columns) == 1 {
		return false
	}
	if usual == SameValue {
		usual = t.rows[0][i].Text
	}
	for _, r := range t.rows {
		if r[i].Text != usual {
			return false
		}
	}
	return true
}

// The minimum widths of shortened texts. A table that is still too wide loses columns.
// Key columns are shortened last.
const (
	leastText = 8
	leastName = 12
)

// fitWidth shortens texts and then removes columns from the right, until a line fits into
// width columns. It returns the widths of the columns.
func (t *table) fitWidth(width int) []int {
	for {
		widths := t.columnWidths()
		t.shrinkColumns(widths, width, func(c Column) int {
			if c.Right || c.Key {
				return -1
			}
			return leastText
		})
		t.shrinkColumns(widths, width, func(c Column) int {
			if !c.Key {
				return -1
			}
			return leastName
		})
		switch {
		case lineWidth(widths) <= width:
			return widths
		case len(t.columns) == 1:
			return []int{width}
		}
		least := len(t.columns) - 1 // the least important column
		for least > 0 && t.columns[least].Key {
			least--
		}
		if t.columns[least].Key {
			least = len(t.columns) - 1
		}
		t.removeColumns(func(i int) bool { return i == least })
	}
}

// shrinkColumns narrows the widest column step by step, until a line fits into width
// columns. It does not make a column narrower than least, and skips columns whose least is
// negative.
func (t *table) shrinkColumns(widths []int, width int, least func(Column) int) {
	for over := lineWidth(widths) - width; over > 0; over-- {
		widest := -1
		for i, c := range t.columns {
			if l := least(c); l >= 0 && widths[i] > l && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

// renderFields prints one row as lines of name and value, and omits empty values. A value
// that does not fit into width columns continues on the next line.
func renderFields(w *bufio.Writer, columns []Column, cells []Cell, s *Style, width int) {
	longest := 0
	for i, c := range columns {
		if cells[i].Text != "" {
			longest = max(longest, TextWidth(c.Name)+1)
		}
	}
	for i, c := range columns {
		if cells[i].Text == "" {
			continue
		}
		name := c.Name + ":"
		w.WriteString(s.bold.Sprint(name) + strings.Repeat(" ", longest-TextWidth(name)+1))
		for n, line := range foldText(cells[i].Text, width-longest-1) {
			if n > 0 {
				w.WriteString(strings.Repeat(" ", longest+1))
			}
			w.WriteString(cells[i].before + line + cells[i].after + "\n")
		}
	}
}
