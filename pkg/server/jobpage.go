package server

import (
	"gm/pkg/queue"
	"gm/pkg/wire"
)

// jobPage collects rows of jobs under the lock and allocates nothing there: an
// allocation may have to help the garbage collector, and everybody would wait for
// that. It keeps the texts of all rows one behind the other, and cuts them up
// without the lock.
type jobPage struct {
	rows  []wire.Job
	ends  [][3]int // where the handle, unique and reducer of a row end in texts
	texts []byte
}

// textsPage is the room for the texts of a page in bytes; most pages need less.
const textsPage = 64 << 10

// newJobPage returns an empty page with room for that many rows, but no more than
// pageSteps; a negative number means pageSteps.
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

// takeRows returns and forgets the collected rows. They are valid until the next
// row is added. The lock is not needed.
func (p *jobPage) takeRows() []wire.Job {
	texts, from := string(p.texts), 0
	for i := range p.rows {
		row := &p.rows[i]
		if ends := p.ends[i]; ends[2] > 0 {
			row.Handle, row.Unique, row.Reducer = texts[from:ends[0]], texts[ends[0]:ends[1]], texts[ends[1]:ends[2]]
			from = ends[2]
		}
	}
	rows := p.rows
	p.rows, p.ends, p.texts = p.rows[:0], p.ends[:0], p.texts[:0]
	return rows
}
