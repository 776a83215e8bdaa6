package fleet

import (
	"bufio"
	"io"
	"strings"

	"gm/pkg/gearman"
)

// ReadHandles reads handles from lines: each line is a handle, or a row of cells
// separated by tabs, of which the second is a handle, as gm jobs -o tsv prints them. It
// ignores empty lines.
func ReadHandles(r io.Reader) ([]gearman.Handle, error) {
	var handles []gearman.Handle
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if cells := strings.Split(line, "\t"); len(cells) > 1 {
			line = cells[1]
		}
		if h := strings.TrimSpace(line); h != "" {
			handles = append(handles, gearman.Handle(h))
		}
	}
	return handles, lines.Err()
}
