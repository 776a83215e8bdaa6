package cmd

import (
	"bufio"
	"bytes"
	"strings"

	"github.com/olekukonko/tablewriter"
)

// columnGap is what stands between the columns of a table. Without borders and
// lines, a table can be cut up with awk even when it was meant for eyes.
const columnGap = "  "

// renderTable prints a line of headings, and a line for each row. It is all
// that knows tablewriter, of which this is the 0.0 line: 1.x fills caches when
// a program starts that never prints a table.
func renderTable(w *bufio.Writer, columns []column, rows [][]string, s *style) {
	headings, aligns := make([]string, len(columns)), make([]int, len(columns))
	for i, c := range columns {
		headings[i] = s.bold.Sprint(strings.ToUpper(c.name))
		aligns[i] = tablewriter.ALIGN_LEFT
		if c.right {
			aligns[i] = tablewriter.ALIGN_RIGHT
		}
	}
	var text bytes.Buffer
	table := tablewriter.NewWriter(&text)
	table.SetAutoFormatHeaders(false)
	table.SetAutoWrapText(false)
	table.SetBorder(false)
	table.SetHeaderLine(false)
	table.SetCenterSeparator("")
	table.SetColumnSeparator("")
	table.SetRowSeparator("")
	table.SetNoWhiteSpace(true)
	table.SetTablePadding(columnGap)
	table.SetColumnAlignment(aligns)
	table.AppendBulk(append([][]string{headings}, rows...)) // a heading of its own is always centred or left
	table.Render()
	for line := range bytes.Lines(text.Bytes()) {
		w.Write(bytes.TrimRight(line, " \n")) // the padding of the last column
		w.WriteByte('\n')
	}
}
