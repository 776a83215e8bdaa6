package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
)

// progressOptions say how a run tells how far it has come.
type progressOptions struct{ bar, eta, json bool }

func newProgressOptions(c *cli.Context) (progressOptions, error) {
	o := progressOptions{bar: c.Bool("bar"), eta: c.Bool("eta")}
	switch format := c.String("progress"); format {
	case "":
	case "json":
		o.json = true
	default:
		return o, usageErrorf("--progress %q: not json", format)
	}
	if o.json && (o.bar || o.eta) {
		return o, usageErrorf("--progress and --bar or --eta: one of them")
	}
	return o, nil
}

// How often progress is told.
const (
	jsonInterval = time.Second
	barInterval  = 200 * time.Millisecond
)

// showProgress tells how far b has come until stop is called, which has it told
// once more. Until then all else goes to stderr between two drawings of a bar.
func (s *recordRun) showProgress(b *batch.Batch) (stop func()) {
	var tell func(last bool)
	interval := barInterval
	meter := &progressMeter{run: s, batch: b, began: time.Now()}
	switch terminal := terminalOf(s.stderr); {
	case s.progress.json:
		interval = jsonInterval
		tell = func(bool) {
			if line, err := json.Marshal(meter.read(time.Now())); err == nil {
				s.stderr.Write(append(line, '\n'))
			}
		}
	case (s.progress.bar || s.progress.eta) && terminal != nil:
		bar := &barWriter{w: s.stderr}
		outside := *s.env
		s.env = &outside
		s.stderr = bar
		if s.toTerminal {
			s.output.w = &besideBar{bar, s.output.w}
		}
		tell = func(last bool) {
			bar.draw(meter.read(time.Now()).line(terminalWidth(terminal), s.progress.bar), last)
		}
	default:
		return func() {}
	}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				tell(false)
			case <-ending:
				tell(true)
				return
			}
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}

// terminalOf returns the file that w is, if it is a terminal; else nil.
func terminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		return f
	}
	return nil
}

// progressLine is how far a run has come.
type progressLine struct {
	Time    time.Time `json:"time"`
	Elapsed float64   `json:"elapsed_s"`
	Total   *int      `json:"total"` // not known before the input's end
	Read    int       `json:"read"`
	Skipped int       `json:"skipped"`
	Done    int       `json:"done"`
	Failed  int       `json:"failed"`
	Running int       `json:"running"`
	Waiting int       `json:"waiting"` // for the output of an older record
	Held    int64     `json:"held_bytes"`
	Rate    float64   `json:"per_s"`
	Part    *float64  `json:"part"`  // that has ended, from 0 to 1; by bytes as long as the total is not known
	ETA     *float64  `json:"eta_s"` // seconds that are left
}

// line returns the progress in at most width columns.
func (p *progressLine) line(width int, bar bool) string {
	if width < 1 {
		width = helpWidth
	}
	count := fmt.Sprint(p.Done + p.Skipped)
	if p.Total != nil {
		count = fmt.Sprintf("%s/%d", count, *p.Total)
	}
	words := []string{count, fmt.Sprintf("%.3g/s", p.Rate)}
	if p.Rate >= 1000 {
		words[1] = fmt.Sprintf("%.0f/s", p.Rate)
	}
	if p.ETA != nil {
		words = append(words, "eta "+age(int64(*p.ETA)*1000))
	}
	words = append(words, fmt.Sprintf("running %d", p.Running))
	if p.Failed > 0 {
		words = append(words, fmt.Sprintf("failed %d", p.Failed))
	}
	if p.Part != nil {
		words = append([]string{fmt.Sprintf("%3.0f%%", 100**p.Part)}, words...)
	}
	text := strings.Join(words, "  ")
	if room := width - 1 - len(text) - len("[]  "); bar && p.Part != nil && room >= minBar {
		room = min(room, maxBar)
		full := int(*p.Part * float64(room))
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "]  " + text
	}
	return text[:min(len(text), width-1)]
}

// How many columns a bar has.
const (
	minBar = 8
	maxBar = 40
)

// progressMeter measures a run.
type progressMeter struct {
	run   *recordRun
	batch *batch.Batch
	began time.Time
	past  []progressSample // of the last rateSpan, oldest first
}

type progressSample struct {
	at   time.Time
	done int
}

// rateSpan is how far back the rate looks.
const rateSpan = 10 * time.Second

func (m *progressMeter) read(now time.Time) *progressLine {
	b := m.batch.Progress()
	p := &progressLine{
		Time: now.Truncate(time.Millisecond), Elapsed: seconds(now.Sub(m.began)),
		Read: b.Read, Skipped: b.Skipped, Done: b.Done, Failed: b.Failed, Running: b.Running, Waiting: b.Waiting, Held: b.Held,
		Rate: m.rate(now, b.Done),
	}
	left := 0.0 // records
	switch total := m.run.total; {
	case b.All:
		total = b.Read
		fallthrough
	case total > 0:
		p.Total = &total
		left = float64(total - b.Skipped - b.Done)
		p.Part = part(float64(b.Skipped+b.Done), float64(total))
	case m.run.input != nil && b.Read > 0:
		whole := max(m.run.input.guess(), float64(b.Read))
		left = whole - float64(b.Skipped+b.Done)
		p.Part = part(float64(b.Skipped+b.Done), whole)
	}
	if p.Part != nil && (p.Rate > 0 || left == 0) {
		eta := 0.0
		if left > 0 {
			eta = math.Round(left/p.Rate*1000) / 1000
		}
		p.ETA = &eta
	}
	return p
}

// rate returns how many records have ended a second, lately.
func (m *progressMeter) rate(now time.Time, done int) float64 {
	since := progressSample{at: m.began}
	for len(m.past) > 1 && now.Sub(m.past[1].at) >= rateSpan {
		m.past = m.past[1:]
	}
	if len(m.past) > 0 && now.Sub(m.past[0].at) >= rateSpan {
		since = m.past[0]
	}
	m.past = append(m.past, progressSample{now, done})
	d := now.Sub(since.at).Seconds()
	if d <= 0 {
		return 0
	}
	return float64(int(10*float64(done-since.done)/d)) / 10
}

func part(of, whole float64) *float64 {
	p := 1.0
	if whole > 0 {
		p = float64(int(1000*of/whole)) / 1000
	}
	return &p
}

// seconds returns d in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// barWriter is a terminal with a line at its end that is drawn again and again.
// What is written to it goes above that line.
type barWriter struct {
	w io.Writer

	mu    sync.Mutex
	line  string // the progress; empty: none
	drawn bool   // line is
	open  bool   // stdout, which is the same terminal, has begun a line
}

// besideBar is stdout on the terminal of a bar.
type besideBar struct {
	bar *barWriter
	w   io.Writer
}

// Write implements io.Writer. While a line of it has no end, no bar is drawn.
func (o *besideBar) Write(p []byte) (int, error) {
	b := o.bar
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hide()
	n, err := o.w.Write(p)
	if n > 0 {
		b.open = p[n-1] != '\n'
	}
	b.show()
	return n, err
}

// clearLine goes to the beginning of the line and empties it.
const clearLine = "\r\x1b[K"

func (b *barWriter) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hide()
	b.endLine()
	n, err := b.w.Write(p)
	b.show()
	return n, err
}

func (b *barWriter) hide() {
	if b.drawn {
		io.WriteString(b.w, clearLine)
		b.drawn = false
	}
}

func (b *barWriter) show() {
	if b.line != "" && !b.open {
		io.WriteString(b.w, b.line)
		b.drawn = true
	}
}

// endLine ends the line that stdout has begun.
func (b *barWriter) endLine() {
	if b.open {
		io.WriteString(b.w, "\n")
		b.open = false
	}
}

// draw replaces the line. The last one stays.
func (b *barWriter) draw(line string, last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.line = line
	if last {
		b.endLine()
		b.line = ""
		line += "\n"
	}
	if !b.open {
		io.WriteString(b.w, clearLine+line)
		b.drawn = !last
	}
}
