package cmd

import (
	"bufio"
	"slices"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// columnGap is what stands between the columns of a table. Without borders and
// lines, a table can be cut up with awk even when it was meant for eyes.
const columnGap = 2

// table is rows whose columns are to stand one below the other.
type table struct {
	rows   [][]string // cells, perhaps coloured
	widths [][]int    // of the cells on a terminal
}

// widths returns how wide texts stand on a terminal. They have no colours yet.
func widths(cells []string) []int {
	widths := make([]int, len(cells))
	for i, cell := range cells {
		widths[i] = displaywidth.String(cell)
	}
	return widths
}

// add adds a row; widths are those of its cells.
func (t *table) add(cells []string, widths []int) {
	t.rows, t.widths = append(t.rows, cells), append(t.widths, widths)
}

// print prints a line of headings, and a line for each row.
func (t *table) print(w *bufio.Writer, columns []column, s *style) {
	headings := make([]string, len(columns))
	for i, c := range columns {
		headings[i] = strings.ToUpper(c.name)
	}
	wide := widths(headings)
	widest := slices.Clone(wide)
	for _, row := range t.widths {
		for i, n := range row {
			widest[i] = max(widest[i], n)
		}
	}
	for i, heading := range headings {
		headings[i] = s.bold.Sprint(heading)
	}
	line := func(cells []string, wide []int) {
		gap := 0 // blanks that are only written if something follows
		for i, cell := range cells {
			blanks := widest[i] - wide[i]
			if columns[i].right {
				gap, blanks = gap+blanks, 0
			}
			if wide[i] > 0 {
				w.WriteString(strings.Repeat(" ", gap))
				w.WriteString(cell)
				gap = 0
			}
			gap += blanks + columnGap
		}
		w.WriteByte('\n')
	}
	line(headings, wide)
	for i, cells := range t.rows {
		line(cells, t.widths[i])
	}
}
