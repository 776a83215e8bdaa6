package server

import (
	"gm/pkg/queue"
	"gm/pkg/wire"
)

// jobPage collects rows of jobs under the lock, where it allocates nothing: the
// collector would have it help, and everybody wait for that. The texts of all
// rows stand behind each other, and are cut up without the lock.
type jobPage struct {
	rows  []wire.Job
	ends  [][3]int // where the handle, unique and reducer of a row end in texts
	texts []byte
}

// textsPage is the room for texts of a page, which most need.
const textsPage = 64 << 10

// newJobPage returns a page for that many rows, or for as many as a page has if
// that is negative.
func newJobPage(rows int) *jobPage {
	if rows < 0 || rows > pageSteps {
		rows = pageSteps
	}
	return &jobPage{
		rows: make([]wire.Job, 0, rows), ends: make([][3]int, 0, rows), texts: make([]byte, 0, rows*textsPage/pageSteps),
	}
}

// addJob adds the row of a job. The lock is held.
func (p *jobPage) addJob(now, wall int64, j *queue.Job) {
	var ends [3]int
	p.texts = j.AppendHandle(p.texts)
	ends[0] = len(p.texts)
	p.texts = append(p.texts, j.Unique()...)
	ends[1] = len(p.texts)
	p.texts = append(p.texts, j.Reducer()...)
	ends[2] = len(p.texts)
	p.rows = append(p.rows, jobRow(now, wall, j))
	p.ends = append(p.ends, ends)
}

// addRow adds a row that is complete. The lock is held.
func (p *jobPage) addRow(row wire.Job) {
	p.rows = append(p.rows, row)
	p.ends = append(p.ends, [3]int{})
}

// appendRows appends the rows as JSON to dst, and forgets them.
func (p *jobPage) appendRows(dst []byte) []byte {
	out, texts, from := rows{dst}, string(p.texts), 0
	for i := range p.rows {
		row := &p.rows[i]
		if ends := p.ends[i]; ends[2] > 0 {
			row.Handle, row.Unique, row.Reducer = texts[from:ends[0]], texts[ends[0]:ends[1]], texts[ends[1]:ends[2]]
			from = ends[2]
		}
		out.add(row)
	}
	clear(p.rows)
	p.rows, p.ends, p.texts = p.rows[:0], p.ends[:0], p.texts[:0]
	return out.b
}
