package cmd

import (
	"bufio"
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"github.com/olekukonko/tablewriter"
)

// columnGap is what stands between the columns of a table. Without borders and
// lines, a table can be cut up with awk even when it was meant for eyes.
const columnGap = "  "

// ellipsis ends a cell that was shortened.
const ellipsis = "…"

// runeWidths knows how many columns of a terminal a rune takes. Ambiguous ones
// take one, whatever the locale.
var runeWidths = &runewidth.Condition{ZeroWidthJoiner: true}

// textWidth returns how many columns of a terminal text takes.
func textWidth(text string) int { return runeWidths.StringWidth(text) }

// shorten cuts text to at most width columns, with an ellipsis where something is
// missing.
func shorten(text string, width int) string {
	if textWidth(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	used := 0
	for i, r := range text {
		if used += runeWidths.RuneWidth(r); used > width-1 {
			return text[:i] + ellipsis
		}
	}
	return text
}

// shortenName cuts a name to at most width columns, with the ellipsis in its middle:
// what differs between names is often at their end.
func shortenName(name string, width int) string {
	if textWidth(name) <= width || width < 3 {
		return shorten(name, width)
	}
	tail, used := len(name), 0
	for tail > 0 {
		r, n := utf8.DecodeLastRuneInString(name[:tail])
		if used += runeWidths.RuneWidth(r); used > (width-1)/2 {
			break
		}
		tail -= n
	}
	head := shorten(name, width-textWidth(name[tail:]))
	return head + name[tail:]
}

// A cell is text of a table, with what colours it around it.
type cell struct{ before, text, after string }

// paintedCell finds text in what a painter has made of it.
func paintedCell(plain, painted string) cell {
	if before, after, ok := strings.Cut(painted, plain); ok && plain != "" {
		return cell{before, plain, after}
	}
	return cell{text: plain}
}

// table is a table as it is laid out. Its columns are never reordered.
type table struct {
	columns []column
	rows    [][]cell
}

// renderTable prints a line of headings, and a line for each row. On a terminal of
// width columns the table is made to fit: columns that are empty everywhere are
// left out, and if that is not enough those that say the same of each row, and
// texts are shortened. A width of 0 prints everything.
func renderTable(w *bufio.Writer, columns []column, rows [][]cell, s *style, width int) {
	t := &table{columns: columns, rows: rows}
	widths := t.widths()
	if width > 0 {
		t.leaveOut(t.isEmpty)
		if widths = t.widths(); lineWidth(widths) > width {
			t.leaveOut(t.isUsual)
			widths = t.fit(width)
		}
	}
	lines := make([][]string, 0, len(t.rows)+1)
	headings := make([]string, len(t.columns))
	for i, c := range t.columns {
		headings[i] = s.bold.Sprint(shorten(strings.ToUpper(c.name), widths[i]))
	}
	lines = append(lines, headings) // tablewriter's own headings are centred or left
	for _, r := range t.rows {
		line := make([]string, len(t.columns))
		for i, c := range t.columns {
			text := shorten(r[i].text, widths[i])
			if nameColumns[c.name] {
				text = shortenName(r[i].text, widths[i])
			}
			line[i] = r[i].before + text + r[i].after
		}
		lines = append(lines, line)
	}
	writeTable(w, t.columns, lines)
}

// writeTable prints lines of cells as columns. It is all that uses tablewriter, of
// which this is the 0.0 line: 1.x fills caches when a program starts that never
// prints a table.
func writeTable(w *bufio.Writer, columns []column, lines [][]string) {
	aligns := make([]int, len(columns))
	for i, c := range columns {
		aligns[i] = tablewriter.ALIGN_LEFT
		if c.right {
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

// widths returns how wide each column is.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for i, c := range t.columns {
		widths[i] = textWidth(c.name)
		for _, r := range t.rows {
			widths[i] = max(widths[i], textWidth(r[i].text))
		}
	}
	return widths
}

// lineWidth returns how wide a line is.
func lineWidth(widths []int) int {
	sum := len(columnGap) * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// leaveOut removes the columns of which f reports true, but never all of them.
func (t *table) leaveOut(f func(i int) bool) {
	var kept []int
	for i := range t.columns {
		if !f(i) {
			kept = append(kept, i)
		}
	}
	if len(kept) > 0 {
		t.keep(kept)
	}
}

// keep removes all columns except those of the indexes.
func (t *table) keep(kept []int) {
	columns := make([]column, len(kept))
	for k, i := range kept {
		columns[k] = t.columns[i]
	}
	rows := make([][]cell, len(t.rows))
	for n, r := range t.rows {
		rows[n] = make([]cell, len(kept))
		for k, i := range kept {
			rows[n][k] = r[i]
		}
	}
	t.columns, t.rows = columns, rows
}

// isEmpty reports whether nothing is known in a column.
func (t *table) isEmpty(i int) bool {
	for _, r := range t.rows {
		if r[i].text != "" && r[i].text != "-" {
			return false
		}
	}
	return len(t.rows) > 0
}

// isUsual reports whether a column says what goes without saying: the same server
// in each row, normal priority, no attempts.
func (t *table) isUsual(i int) bool {
	if t.isEmpty(i) {
		return true
	}
	name := t.columns[i].name
	usual := map[string]string{"priority": "normal", "attempts": "0", "delayed": "0", "dead": "0"}[name]
	for _, r := range t.rows {
		switch {
		case name == "server" && r[i].text == t.rows[0][i].text:
		case usual != "" && r[i].text == usual:
		default:
			return false
		}
	}
	return len(t.rows) > 0 && len(t.columns) > 1
}

// The widths to which a text may be shortened before columns are left out. A name
// that is needed for the next command is shortened last.
const (
	leastText = 8
	leastName = 12
)

// nameColumns have what other commands take as arguments.
var nameColumns = map[string]bool{"handle": true, "function": true}

// fit shortens texts, and then leaves out columns from the right, until a line has
// at most width columns. It returns the widths.
func (t *table) fit(width int) []int {
	for {
		widths := t.widths()
		t.shrink(widths, width, func(c column) int {
			if c.right || nameColumns[c.name] {
				return -1
			}
			return leastText
		})
		t.shrink(widths, width, func(c column) int {
			if !nameColumns[c.name] {
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
		for least > 0 && nameColumns[t.columns[least].name] {
			least--
		}
		if nameColumns[t.columns[least].name] {
			least = len(t.columns) - 1
		}
		t.leaveOut(func(i int) bool { return i == least })
	}
}

// shrink narrows the widest of the columns for which least is not negative, a
// column of the terminal at a time, down to that.
func (t *table) shrink(widths []int, width int, least func(column) int) {
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

// renderFields prints one row as lines of name and value, without those that are
// empty. Values that do not fit into width columns go on in the next line.
func renderFields(w *bufio.Writer, columns []column, cells []cell, s *style, width int) {
	longest := 0
	for i, c := range columns {
		if cells[i].text != "" {
			longest = max(longest, textWidth(c.name)+1)
		}
	}
	for i, c := range columns {
		if cells[i].text == "" {
			continue
		}
		name := c.name + ":"
		w.WriteString(s.bold.Sprint(name) + strings.Repeat(" ", longest-textWidth(name)+1))
		for n, line := range foldText(cells[i].text, width-longest-1) {
			if n > 0 {
				w.WriteString(strings.Repeat(" ", longest+1))
			}
			w.WriteString(cells[i].before + line + cells[i].after + "\n")
		}
	}
}

// foldText cuts text into lines of at most width columns. A width below 1 is no
// bound.
func foldText(text string, width int) []string {
	if width < 1 || textWidth(text) <= width {
		return []string{text}
	}
	var lines []string
	start, used := 0, 0
	for i, r := range text {
		n := runeWidths.RuneWidth(r)
		if used+n > width && used > 0 {
			lines = append(lines, text[start:i])
			start, used = i, 0
		}
		used += n
	}
	return append(lines, text[start:])
}

// foldHelpLine folds the text of a line of help at blanks, so that no line has
// more than width columns. Two blanks or more are between the command
// and the text.
func foldHelpLine(line string, width int) string {
	name, text, _ := strings.Cut(line, "  ")
	text = strings.TrimSpace(text)
	if textWidth(line) <= width || text == "" {
		return line + "\n"
	}
	indent := len(line) - len(text)
	if width-indent < 20 {
		return name + "\n" + wrap(text, "    ", "    ", width)
	}
	return wrap(text, line[:indent], strings.Repeat(" ", indent), width)
}
