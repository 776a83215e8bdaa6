package results

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gm/pkg/batch"
)

// Progress is the state of a run at a time.
type Progress struct {
	Time    time.Time `json:"time"`
	Elapsed float64   `json:"elapsed_s"`
	Total   *int      `json:"total"` // nil before the end of the input, unless it is known
	Read    int       `json:"read"`
	Skipped int       `json:"skipped"`
	Done    int       `json:"done"`
	Failed  int       `json:"failed"`
	Running int       `json:"running"`
	Waiting int       `json:"waiting"` // for the output of an older record
	Held    int64     `json:"held_bytes"`
	Rate    float64   `json:"per_s"` // records ended per second, in the last 10 seconds
	Part    *float64  `json:"part"`  // the part of the run that has ended, from 0 to 1; by bytes as long as Total is unknown
	ETA     *float64  `json:"eta_s"` // seconds until the end; nil: unknown
}

// LineOptions are the options of Progress.Line.
type LineOptions struct {
	Width int  // columns of the terminal; 0 means 80
	Bar   bool // draw a bar, if there is room
	// Duration formats the time until the end; nil: as time.Duration.String.
	Duration func(d time.Duration) string
}

// Columns of a bar.
const (
	defaultWidth = 80
	minBar       = 8
	maxBar       = 40
)

// Line returns the progress as a line of less than o.Width columns.
func (p *Progress) Line(o LineOptions) string {
	if o.Width < 1 {
		o.Width = defaultWidth
	}
	if o.Duration == nil {
		o.Duration = time.Duration.String
	}
	count := fmt.Sprint(p.Done + p.Skipped)
	if p.Total != nil {
		count = fmt.Sprintf("%s/%d", count, *p.Total)
	}
	words := []string{count, fmt.Sprintf("%.3g/s", p.Rate)}
	if p.Rate >= 999.5 { // %.3g would write 1e+03
		words[1] = fmt.Sprintf("%.0f/s", p.Rate)
	}
	if p.ETA != nil {
		words = append(words, "eta "+o.Duration(time.Duration(*p.ETA)*time.Second))
	}
	words = append(words, fmt.Sprintf("running %d", p.Running))
	if p.Failed > 0 {
		words = append(words, fmt.Sprintf("failed %d", p.Failed))
	}
	if p.Part != nil {
		words = append([]string{fmt.Sprintf("%3.0f%%", 100**p.Part)}, words...)
	}
	text := strings.Join(words, "  ")
	if room := o.Width - 1 - len(text) - len("[]  "); o.Bar && p.Part != nil && room >= minBar {
		room = min(room, maxBar)
		full := int(*p.Part * float64(room))
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", room-full) + "]  " + text
	}
	return text[:min(len(text), o.Width-1)]
}

// Meter measures the progress of a Batch. Its methods are for one goroutine at a
// time, other than those of the Batch.
type Meter struct {
	batch *batch.Batch
	total int          // records; 0: unknown
	sized *SizedSource // nil: the size of the input is unknown
	began time.Time
	past  []sample // of the last rateSpan, oldest first
}

// sample is the number of records that had ended at a time.
type sample struct {
	at   time.Time
	done int
}

// rateSpan is the time over which the rate is measured.
const rateSpan = 10 * time.Second

// NewMeter returns a Meter for a run of b that begins now. total is the number
// of records, or 0 if it is unknown; then sized, which may be nil, estimates it.
func NewMeter(b *batch.Batch, total int, sized *SizedSource) *Meter {
	return &Meter{batch: b, total: total, sized: sized, began: time.Now()}
}

// Read returns the progress.
func (m *Meter) Read(now time.Time) *Progress {
	b := m.batch.Progress()
	p := &Progress{
		Time: now.Truncate(time.Millisecond), Elapsed: seconds(now.Sub(m.began)),
		Read: b.Read, Skipped: b.Skipped, Done: b.Done, Failed: b.Failed, Running: b.Running, Waiting: b.Waiting, Held: b.Held,
		Rate: m.rate(now, b.Done),
	}
	left := 0.0 // records
	switch total := m.total; {
	case b.All:
		total = b.Read
		fallthrough
	case total > 0:
		p.Total = &total
		left = float64(total - b.Skipped - b.Done)
		p.Part = partOf(float64(b.Skipped+b.Done), float64(total))
	case m.sized != nil && b.Read > 0:
		whole := max(m.sized.Estimate(), float64(b.Read))
		left = whole - float64(b.Skipped+b.Done)
		p.Part = partOf(float64(b.Skipped+b.Done), whole)
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

// rate returns the number of records that ended per second within rateSpan.
func (m *Meter) rate(now time.Time, done int) float64 {
	since := sample{at: m.began}
	for len(m.past) > 1 && now.Sub(m.past[1].at) >= rateSpan {
		m.past = m.past[1:]
	}
	if len(m.past) > 0 && now.Sub(m.past[0].at) >= rateSpan {
		since = m.past[0]
	}
	m.past = append(m.past, sample{now, done})
	d := now.Sub(since.at).Seconds()
	if d <= 0 {
		return 0
	}
	return float64(int(10*float64(done-since.done)/d)) / 10
}

// partOf returns the part that n is of whole, to a thousandth.
func partOf(n, whole float64) *float64 {
	p := 1.0
	if whole > 0 {
		p = float64(int(1000*n/whole)) / 1000
	}
	return &p
}

// seconds returns d in seconds, to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// SizedSource is a source of records from a file of known size, so that their
// number can be estimated.
type SizedSource struct {
	batch.Source
	size      int64 // of the file, in bytes
	separator int   // bytes between two records

	records, bytes atomic.Int64 // so far
}

// NewSizedSource returns a source of the records of src, which cuts a file of
// size bytes and removes separator bytes after each record.
func NewSizedSource(src batch.Source, size int64, separator int) *SizedSource {
	return &SizedSource{Source: src, size: size, separator: separator}
}

// Next returns the next record.
func (s *SizedSource) Next() (batch.Input, error) {
	in, err := s.Source.Next()
	if err == nil {
		s.bytes.Add(int64(len(in.Payload) + s.separator))
		s.records.Add(1)
	}
	return in, err
}

// Estimate returns the number of records in the file, if all are as long as
// those so far. It is 0 if there were none. It may be called by any goroutine.
func (s *SizedSource) Estimate() float64 {
	return float64(s.records.Load()) * float64(s.size) / float64(max(1, s.bytes.Load()))
}

// Repeat calls show(false) at each interval, and show(true) once when stop is
// called. stop returns when that call has ended.
func Repeat(interval time.Duration, show func(last bool)) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show(false)
			case <-ending:
				show(true)
				return
			}
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}

// AfterSilence calls f if no record of b has ended within d, unless stop is
// called before. stop cancels the context of the call, and returns when the call
// has ended.
func AfterSilence(ctx context.Context, b *batch.Batch, d time.Duration, f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if b.Progress().Done == 0 {
			f(ctx)
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}
