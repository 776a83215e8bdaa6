package cmd

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"gm/internal/exitline"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// recordPrinter tells what comes of the records: results to its sink, failures
// and warnings to stderr, the end of each to the log. Its methods are called by
// a Batch, one at a time.
type recordPrinter struct {
	*recordRun
	sink  sink
	log   *runLog // nil: none
	awake awake
	heard map[mapPlace]*hearsay // from the workers of records that have not ended

	lostAt   time.Time // when records in flight were last lost
	failures int
	code     int   // what the failed records make of the exit code
	first    error // of the first that failed
	told     int   // the first code that a worker has said
}

func (p *recordPrinter) data(r *batch.Record, b []byte) error { return p.sink.data(r, b) }

// done tells the end of a record.
func (p *recordPrinter) done(r *batch.Record) error {
	p.awake.note()
	o := p.outcome(r)
	switch {
	case p.many && errors.Is(r.Err, gearman.ErrTooLarge):
		o.failure = exitFailed // it is the record that is wrong, not the run
	case p.many && errors.Is(r.Err, gearman.ErrLost):
		o.failure = exitAgain // whatever the reason, it has not come to its end
	}
	if o.err != nil && len(p.tasks) > 1 && r.Attempts > 0 {
		o.err = fmt.Errorf("stage %d, %s: %w", r.Stage+1, p.taskOf(r).Function, o.err)
	}
	err := p.sink.end(r, o)
	if one := (*recordError)(nil); r.Err == nil && errors.As(err, &one) {
		r.Err, err = one.err, nil
		o.state, o.err, o.failure = "error", one.err, exitCode(one.err)
	}
	if err == nil && p.toTerminal {
		err = p.sink.flush() // before anything is said of it
	}
	if r.Err != nil {
		p.fail(r, o)
	}
	if err != nil {
		return err
	}
	if p.log != nil {
		return p.log.add(r, o)
	}
	return nil
}

// part tells the end of a job whose result goes into a reduction.
func (p *recordPrinter) part(r *batch.Record) error {
	p.awake.note()
	if o := p.outcome(r); r.Err != nil {
		p.fail(r, o)
	}
	return nil
}

// outcome tells the end of a record, and forgets what was heard of it.
func (p *recordPrinter) outcome(r *batch.Record) *outcome {
	place := p.placeOf(r)
	heard := p.heard[place]
	delete(p.heard, place)
	return newOutcome(r, p.taskOf(r), heard)
}

// placeOf is what a record is known by. In a reduction, each stage has records
// of its own.
func (p *recordPrinter) placeOf(r *batch.Record) mapPlace {
	if p.reduction != nil {
		return mapPlace{r.Stage, r.Seq}
	}
	return mapPlace{seq: r.Seq}
}

// flush hands on what is buffered, results before the log.
func (p *recordPrinter) flush() error {
	if p.log != nil {
		return p.log.Flush()
	}
	return p.sink.flush()
}

// warning prints a warning, but not what gm work says for programs.
func (p *recordPrinter) warning(r *batch.Record, b []byte) {
	w := exitline.Parse(b)
	place := p.placeOf(r)
	heard := p.heard[place]
	if heard == nil {
		heard = &hearsay{}
		if p.heard == nil {
			p.heard = map[mapPlace]*hearsay{}
		}
		p.heard[place] = heard
	}
	heard.last = w
	heard.last.Body = nil
	switch {
	case len(w.Body) == 0:
	case p.keepsWarnings():
		heard.warnings = append(heard.warnings, string(w.Body))
	default:
		p.tell(w.Body)
	}
}

func (p *recordPrinter) progress(r *batch.Record, num, den int64) {
	p.note("%s: %d/%d", p.name(r), num, den)
}

func (p *recordPrinter) retry(r *batch.Record, err error) {
	delete(p.heard, p.placeOf(r))
	if p.many && errors.Is(err, gearman.ErrLost) {
		// All that is in flight is lost at once: a line for all.
		if now := time.Now(); now.Sub(p.lostAt) > time.Second {
			p.lostAt = now
			p.note("what was in flight is submitted again: %v", err)
		}
		return
	}
	p.note("%s: submitted again: %v", p.name(r), err)
}

// name returns what a record is called in messages.
func (p *recordPrinter) name(r *batch.Record) string {
	switch {
	case !p.many:
		return "job " + string(r.Handle)
	case p.files:
		return fmt.Sprintf("record %d, %s", r.Seq, r.Name)
	}
	return fmt.Sprintf("record %d", r.Seq)
}

// tell prints a worker's text: as it is, but a terminal is not to be steered
// by it.
func (p *recordPrinter) tell(text []byte) {
	if len(text) == 0 {
		return
	}
	text = wholeLine(text)
	if p.terminal {
		text = []byte(printable(string(text), true))
	}
	p.stderr.Write(text)
}

// wholeLine returns text with a newline at its end, if there is any text.
func wholeLine(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		return append(bytes.Clone(text), '\n')
	}
	return text
}

// fail notes a record that failed and, if there are many, says so at once.
func (p *recordPrinter) fail(r *batch.Record, o *outcome) {
	if p.failures++; p.failures == 1 {
		p.first, p.code = cmp.Or(o.err, r.Err), o.failure
		if o.exit != nil {
			p.told = *o.exit
		}
	}
	switch {
	case o.failure == p.code:
	case o.failure == exitAgain || p.code == exitAgain:
		p.code = exitAgain
	default:
		p.code = exitFailed
	}
	if !p.keepsWarnings() {
		p.tell(o.exception)
	}
	if p.many && p.reduction == nil {
		p.note("%s: %v", p.name(r), o.err)
	}
}

// unreduced is the end of a reduction of which a part has failed.
func (p *recordPrinter) unreduced(err *batch.PartError) error {
	said := *err
	said.Err = cmp.Or(p.first, err.Err)
	code := p.code
	if p.propagate && p.told != 0 {
		code = p.told
	}
	return exitWith(cmp.Or(code, exitCode(err.Err)), &said)
}

// verdict is the end of it all. A run that goes on answers for the failures that
// it leaves out, too.
func (p *recordPrinter) verdict(sum batch.Summary) error {
	before := 0
	if p.log != nil && p.resume && !p.retryFailed {
		before = p.log.Failed()
	}
	code := p.code
	switch {
	case p.failures+before == 0:
		return nil
	case p.propagate && p.told != 0:
		code = p.told
	case p.failures == 0:
		code = exitFailed
	}
	if !p.many {
		return exitWith(code, p.first)
	}
	text := fmt.Sprintf("%d of %d records failed", sum.Failed+before, sum.Records+sum.Skipped)
	if sum.Lost > 0 {
		text += fmt.Sprintf(", %d of them lost with their server", sum.Lost)
	}
	if before > 0 {
		return withHint(exitWith(code, fmt.Errorf("%s, %d of them before", text, before)), "--retry-failed does them again")
	}
	return withHint(exitWith(code, errors.New(text)), hintFor(p.first))
}

// mapPlace identifies a job of a Batch.
type mapPlace struct{ stage, seq int }
