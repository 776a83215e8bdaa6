package cmd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// submitPrinter prints what comes of the records. Its methods are called by a
// Batch, one at a time.
type submitPrinter struct {
	*env
	*submission

	heard map[int]*hearsay // from the workers of records that have not ended, by sequence

	// Of the record whose result is being printed.
	last []byte // its last bytes, as many as end has
	body []byte // its result, for JSON

	lostAt   time.Time // when records in flight were last lost
	printed  int       // JSON objects
	failures int
	code     int   // what the failed records make of the exit code
	first    error // of the first that failed
	told     int   // the first code that a worker has said
}

// hearsay is what a record's worker has said.
type hearsay struct {
	warnings []string   // for JSON
	last     workerText // warning, without its text
}

// workerText is a warning or exception, with gm work's last line taken off.
type workerText struct {
	text   []byte
	code   int    // of the command; 0: not said
	reason string // in words; empty: not said
}

// data prints a piece of a result.
func (p *submitPrinter) data(_ *batch.Record, b []byte) error {
	if p.format != "" {
		p.body = append(p.body, b...)
		return nil
	}
	if n := len(p.end); n > 0 {
		tail := append(p.last, b[max(0, len(b)-n):]...)
		p.last = append(p.last[:0], tail[max(0, len(tail)-n):]...)
	}
	_, err := p.stdout.Write(b)
	return err
}

// done prints the end of a record.
func (p *submitPrinter) done(r *batch.Record) error {
	o := p.outcome(r)
	delete(p.heard, r.Seq)
	if r.Err != nil {
		p.fail(r, o)
	}
	switch {
	case p.format != "":
		err := p.object(r, o)
		p.body = nil
		return err
	case r.Err == nil && p.task.Background && !p.quiet:
		return p.printLine(string(r.Handle))
	case p.end != "" && (r.Err == nil && !p.task.Background || r.Bytes > 0):
		lacks := string(p.last) != p.end
		p.last = p.last[:0]
		if lacks {
			_, err := io.WriteString(p.stdout, p.end)
			return err
		}
	}
	return nil
}

// warning prints a warning, but not what gm work says for programs.
func (p *submitPrinter) warning(r *batch.Record, b []byte) {
	w := parseWorkerText(b)
	heard := p.heard[r.Seq]
	if heard == nil {
		heard = &hearsay{}
		if p.heard == nil {
			p.heard = map[int]*hearsay{}
		}
		p.heard[r.Seq] = heard
	}
	heard.last = w
	if p.format == "" {
		p.tell(w.text)
	} else if len(w.text) > 0 {
		heard.warnings = append(heard.warnings, string(w.text))
	}
	heard.last.text = nil
}

func (p *submitPrinter) progress(r *batch.Record, num, den int64) {
	p.note("%s: %d/%d", p.name(r), num, den)
}

func (p *submitPrinter) retry(r *batch.Record, err error) {
	delete(p.heard, r.Seq)
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
func (p *submitPrinter) name(r *batch.Record) string {
	if p.many {
		return fmt.Sprintf("record %d", r.Seq)
	}
	return "job " + string(r.Handle)
}

// tell prints a worker's text: as it is, but a terminal is not to be steered
// by it.
func (p *submitPrinter) tell(text []byte) {
	if len(text) == 0 {
		return
	}
	if text[len(text)-1] != '\n' {
		text = append(bytes.Clone(text), '\n')
	}
	if isTerminal(p.stderr) {
		text = []byte(printable(string(text), true))
	}
	p.stderr.Write(text)
}

// outcome is the end of a record in words.
type outcome struct {
	state     string
	exit      *int
	warnings  []string
	exception []byte
	err       error // what is wrong; nil: nothing
}

func (p *submitPrinter) outcome(r *batch.Record) outcome {
	var (
		o      = outcome{state: "completed", err: r.Err}
		fail   *gearman.FailError
		raised *gearman.ExceptionError
		said   workerText
	)
	if heard := p.heard[r.Seq]; heard != nil {
		said = heard.last
		o.warnings = heard.warnings
	}
	switch {
	case r.Err == nil:
		if p.task.Background {
			o.state = "queued"
		}
	case errors.As(r.Err, &fail):
		o.state = "failed"
	case errors.As(r.Err, &raised):
		o.state = "exception"
		said = parseWorkerText(raised.Data)
		o.exception = said.text
		o.err = fmt.Errorf("job %s raised an exception", r.Handle)
	case errors.Is(r.Err, gearman.ErrLost):
		o.state = "lost"
	case errors.Is(r.Err, gearman.ErrTimeout):
		o.state = "timeout"
	default:
		o.state = "error"
	}
	if said.reason != "" && (fail != nil || raised != nil) {
		o.exit = &said.code
		o.err = fmt.Errorf("job %s failed: %s", r.Handle, said.reason)
	}
	return o
}

// fail notes a record that failed and, if there are many, says so at once.
func (p *submitPrinter) fail(r *batch.Record, o outcome) {
	code := exitCode(r.Err)
	if p.failures++; p.failures == 1 {
		p.first, p.code = cmp.Or(o.err, r.Err), code
		if o.exit != nil {
			p.told = *o.exit
		}
	}
	switch {
	case code == p.code:
	case code == exitAgain || p.code == exitAgain:
		p.code = exitAgain
	default:
		p.code = exitFailed
	}
	if p.format == "" {
		p.tell(o.exception)
	}
	if p.many {
		p.note("record %d: %v", r.Seq, o.err)
	}
}

// verdict is the end of it all.
func (p *submitPrinter) verdict(sum batch.Summary) error {
	if p.failures == 0 {
		return nil
	}
	code := p.code
	if p.propagate && p.told != 0 {
		code = p.told
	}
	if !p.many {
		return exitWith(code, p.first)
	}
	err := fmt.Errorf("%d of %d records failed", sum.Failed, sum.Records)
	if sum.Lost > 0 {
		err = fmt.Errorf("%d of %d records failed, %d of them lost with their server", sum.Failed, sum.Records, sum.Lost)
	}
	return exitWith(code, err)
}

// exitLine is how gm work says what became of its command: the last line of the
// warning or exception before the job's failure.
var exitLine = regexp.MustCompile(`(?:^|\n)gm-exit: ([0-9]{1,3}) \(([^\n]*)\)\n?$`)

// appendExitLine appends such a line to what the command had to say.
func appendExitLine(text []byte, code int, reason string) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		text = append(text, '\n')
	}
	return fmt.Appendf(text, "gm-exit: %d (%s)\n", code, bytes.ReplaceAll([]byte(reason), []byte("\n"), []byte(" ")))
}

// parseWorkerText takes the exit line off a worker's text. The text is valid
// as long as b is.
func parseWorkerText(b []byte) workerText {
	at := exitLine.FindSubmatchIndex(b)
	if at == nil {
		return workerText{text: b}
	}
	code, err := strconv.Atoi(string(b[at[2]:at[3]]))
	if err != nil || code < 1 || code > 255 {
		return workerText{text: b}
	}
	text := b[:at[0]]
	if b[at[0]] == '\n' {
		text = b[:at[0]+1]
	}
	return workerText{text: text, code: code, reason: string(b[at[4]:at[5]])}
}

// submitObject is a record in JSON.
type submitObject struct {
	Seq        int       `json:"seq"`
	Handle     string    `json:"handle"`
	Function   string    `json:"function"`
	Unique     string    `json:"unique,omitempty"`
	State      string    `json:"state"`
	Exit       *int      `json:"exit,omitempty"`
	Data       *string   `json:"data,omitempty"`
	DataBase64 []byte    `json:"data_base64,omitempty"`
	Warnings   []string  `json:"warnings,omitempty"`
	Exception  string    `json:"exception,omitempty"`
	Error      string    `json:"error,omitempty"`
	Attempts   int       `json:"attempts"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended"`
	MS         float64   `json:"ms"`
}

// object prints a record in JSON.
func (p *submitPrinter) object(r *batch.Record, o outcome) error {
	obj := submitObject{
		Seq: r.Seq, Handle: string(r.Handle), Function: p.task.Function, Unique: p.task.Unique,
		State: o.state, Exit: o.exit, Warnings: o.warnings, Exception: string(o.exception), Attempts: r.Attempts,
		Started: r.Started, Ended: r.Ended,
		MS: float64(r.Ended.Sub(r.Started).Microseconds()) / 1000,
	}
	switch {
	case p.task.Background:
	case utf8.Valid(p.body):
		s := string(p.body)
		obj.Data = &s
	default:
		obj.DataBase64 = p.body
	}
	if o.err != nil {
		obj.Error = o.err.Error()
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	p.printed++
	switch {
	case p.format == formatJSONL || !p.many:
		text = append(text, '\n')
	case p.printed == 1:
		text = append([]byte("[\n"), text...)
	default:
		text = append([]byte(",\n"), text...)
	}
	_, err = p.stdout.Write(text)
	return err
}

// close prints what is left of the document.
func (p *submitPrinter) close() error {
	if p.format != formatJSON || !p.many {
		return nil
	}
	text := "\n]\n"
	if p.printed == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(p.stdout, text)
	return err
}
