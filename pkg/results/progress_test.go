package results

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/batch"
)

func TestProgressLine(t *testing.T) {
	total, part, eta := 200, 0.25, 90.0
	p := &Progress{Done: 40, Skipped: 10, Rate: 3.25, Running: 7}
	known := *p
	known.Total, known.Part, known.ETA, known.Failed, known.Rate = &total, &part, &eta, 2, 12345
	near := Progress{Rate: 999.7}
	tests := []struct {
		p    *Progress
		o    LineOptions
		want string
	}{
		{p, LineOptions{}, "50  3.25/s  running 7"},
		{p, LineOptions{Bar: true}, "50  3.25/s  running 7"},
		{&near, LineOptions{}, "0  1000/s  running 0"},
		{&known, LineOptions{}, " 25%  50/200  12345/s  eta 1m30s  running 7  failed 2"},
		{&known, LineOptions{Bar: true}, "[#####.................]   25%  50/200  12345/s  eta 1m30s  running 7  failed 2"},
		{&known, LineOptions{Bar: true, Width: 60}, " 25%  50/200  12345/s  eta 1m30s  running 7  failed 2"},
		{&known, LineOptions{Bar: true, Width: 200}, "[##########" + strings.Repeat(".", 30) + "]   25%  50/200  12345/s  eta 1m30s  running 7  failed 2"},
		{&known, LineOptions{Width: 12}, " 25%  50/20"},
		{&known, LineOptions{Duration: func(time.Duration) string { return "soon" }}, " 25%  50/200  12345/s  eta soon  running 7  failed 2"},
	}
	for _, tt := range tests {
		if got := tt.p.Line(tt.o); got != tt.want {
			t.Errorf("%+v:\ngot  %q\nwant %q", tt.o, got, tt.want)
		}
	}
}

func TestSizedSource(t *testing.T) {
	s := NewSizedSource(batch.NewSplitter(strings.NewReader("aaa\nbbb\nccc\nddd\n"), []byte("\n"), false, 100), 16, 1)
	if got := s.Estimate(); got != 0 {
		t.Errorf("before the first record: got %v, want 0", got)
	}
	for range 2 {
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Estimate(); got != 4 {
		t.Errorf("after 2 of 4 records of one size: got %v, want 4", got)
	}
}

func TestMeterRate(t *testing.T) {
	began := time.Now()
	m := &Meter{batch: &batch.Batch{}, began: began}
	for _, tt := range []struct {
		after time.Duration
		done  int
		want  float64
	}{
		{0, 0, 0},
		{time.Second, 10, 10},
		{2 * time.Second, 30, 15},
		{11 * time.Second, 30, 2},
		{12 * time.Second, 130, 10},
	} {
		if got := m.rate(began.Add(tt.after), tt.done); got != tt.want {
			t.Errorf("after %v: got %v records a second, want %v", tt.after, got, tt.want)
		}
	}
}

func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, last := 0, 0
		stop := Repeat(time.Second, func(l bool) {
			calls++
			if l {
				last++
			}
		})
		time.Sleep(3500 * time.Millisecond)
		stop()
		if calls != 4 || last != 1 {
			t.Errorf("got %d calls, %d of them the last, want 4 and 1", calls, last)
		}
	})
}

func TestAfterSilence(t *testing.T) {
	for _, tt := range []struct {
		wait time.Duration
		want int
	}{{time.Second, 0}, {3 * time.Second, 1}} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			stop := AfterSilence(t.Context(), &batch.Batch{}, 2*time.Second, func(ctx context.Context) {
				calls++
				<-ctx.Done() // stop ends it
			})
			time.Sleep(tt.wait)
			stop()
			if calls != tt.want {
				t.Errorf("stopped after %v: got %d calls, want %d", tt.wait, calls, tt.want)
			}
		})
	}
}

func TestBar(t *testing.T) {
	const clear = clearLine
	var term strings.Builder
	b := NewBar(&term)
	out := b.Stdout(&term)
	for _, tt := range []struct {
		do   func()
		want string
	}{
		{func() { b.Write([]byte("note\n")) }, "note\n"},
		{func() { b.Draw("10%") }, clear + "10%"},
		{func() { b.Write([]byte("note\n")) }, clear + "note\n10%"},
		{func() { out.Write([]byte("begun")) }, clear + "begun"},
		{func() { b.Draw("20%") }, ""},
		{func() { out.Write([]byte(" line\n")) }, " line\n20%"},
		{func() { out.Write([]byte("open")) }, clear + "open"},
		{func() { b.Write([]byte("note\n")) }, "\nnote\n20%"},
		{func() { b.Finish("100%") }, clear + "100%\n"},
		{func() { b.Write([]byte("note\n")) }, "note\n"},
	} {
		term.Reset()
		tt.do()
		if got := term.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
