package batch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/gearman"
)

func TestParseHalt(t *testing.T) {
	for s, want := range map[string]Halt{
		"never":          {},
		"now,fail=1":     {Now: true, Fails: 1},
		"soon,fail=3":    {Fails: 3},
		"soon,fail=10%":  {Percent: 10},
		"now,fail=12.5%": {Now: true, Percent: 12.5},
		"now,fail=100%":  {Now: true, Percent: 100},
	} {
		got, err := ParseHalt(s)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("got %s, want %s", got, s)
		}
	}
	for _, s := range []string{"", "now", "now,fail=", "later,fail=1", "soon,fail=0", "soon,fail=-1", "soon,fail=0%", "soon,fail=101%", "soon,fail=x%", "soon,fail=NaN%", "soon,done=1", "never,fail=1"} {
		if h, err := ParseHalt(s); err == nil {
			t.Errorf("%q: got %+v, want an error", s, h)
		}
	}
}

func TestHalt(t *testing.T) {
	failed := &gearman.FailError{Handle: "H"}
	tests := []struct {
		name    string
		halt    string
		window  int
		fail    func(n int) bool // the record n, whose job takes a second
		records int              // handed on
		failed  int
		sent    int // and at most so many more
		halted  bool
	}{
		{"never", "never", 2, func(int) bool { return true }, 100, 100, 100, false},
		{"soon", "soon,fail=1", 4, func(n int) bool { return n == 5 }, 8, 1, 8, true},
		{"now", "now,fail=1", 1, func(n int) bool { return n == 5 }, 5, 1, 5, true},
		{"third", "soon,fail=3", 1, func(n int) bool { return n%2 == 0 }, 6, 3, 6, true},
		{"percent, not before three", "soon,fail=50%", 1, func(n int) bool { return n < 3 }, 100, 2, 100, false},
		{"percent, at three", "soon,fail=50%", 1, func(n int) bool { return n < 4 }, 3, 3, 3, true},
		{"percent, of many", "soon,fail=10%", 1, func(n int) bool { return n%20 == 0 || n > 70 }, 75, 8, 75, true},
		{"too few", "now,fail=6", 2, func(n int) bool { return n%20 == 0 }, 100, 5, 100, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				halt, err := ParseHalt(tt.halt)
				if err != nil {
					t.Fatal(err)
				}
				c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
					created()
					time.Sleep(time.Second + time.Duration(n)*time.Microsecond)
					if tt.fail(n) {
						return failed
					}
					t.OnComplete(nil)
					return nil
				}}
				b := &Batch{Client: c, Window: tt.window, Halt: halt}
				sum, err := b.Run(t.Context(), numbered(100))
				if errors.Is(err, ErrHalted) != tt.halted || errors.Is(err, failed) != tt.halted || !tt.halted && err != nil {
					t.Errorf("got error %v, want halted %t", err, tt.halted)
				}
				if sum.Records != tt.records || sum.Failed != tt.failed {
					t.Errorf("got %+v, want %d records, %d failed", sum, tt.records, tt.failed)
				}
				if c.started != tt.sent {
					t.Errorf("got %d sent, want %d", c.started, tt.sent)
				}
			})
		})
	}
}

// A batch that halts now does not wait, one that halts soon does, also for
// further stages.
func TestHaltWaits(t *testing.T) {
	for _, tt := range []struct {
		halt    string
		took    time.Duration
		records int
	}{
		{"now,fail=1", time.Second, 0},
		{"soon,fail=1", 2 * time.Minute, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
				created()
				if string(t.Payload) == "fails" {
					time.Sleep(time.Second)
					return &gearman.FailError{}
				}
				time.Sleep(time.Minute)
				t.OnComplete(nil)
				return nil
			}}
			halt, _ := ParseHalt(tt.halt)
			b := &Batch{Client: c, Window: 2, Halt: halt, Task: gearman.Task{Function: "f"}, Stages: []gearman.Task{{Function: "g"}}}
			began := time.Now()
			sum, err := b.Run(t.Context(), &Records{{Payload: []byte("slow")}, {Payload: []byte("fails")}, {Payload: []byte("never sent")}})
			if !errors.Is(err, ErrHalted) || sum.Records != tt.records {
				t.Errorf("%s: got %+v, %v, want %d records", tt.halt, sum, err, tt.records)
			}
			if took := time.Since(began); took != tt.took {
				t.Errorf("%s: returned after %v, want %v", tt.halt, took, tt.took)
			}
			c.tasks.Wait()
		})
	}
}

// Records in flight when the context ends have not failed: they are not passed
// on.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		interrupted := errors.New("interrupted")
		c := &fakeClient{job: func(n int, task *gearman.Task, created func()) error {
			created()
			if n > 5 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			task.OnComplete(nil)
			return nil
		}}
		b := &Batch{Client: c, Window: 5}
		b.Done = func(r *Record) error {
			if r.Err != nil {
				t.Errorf("record %d: %v", r.Seq, r.Err)
			}
			return nil
		}
		time.AfterFunc(time.Second, func() { cancel(interrupted) })
		sum, err := b.Run(ctx, numbered(100))
		if want := (Summary{Records: 5}); !errors.Is(err, interrupted) || sum != want {
			t.Errorf("got %+v, %v, want %+v, %v", sum, err, want, interrupted)
		}
		c.tasks.Wait()
	})
}

// Drain lets the records in flight end, with their further attempts and stages,
// and begins no more, although the source may have more or block for ever.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupted := errors.New("interrupted")
		c := &fakeClient{job: upper}
		b := &Batch{Client: c, Window: 5}
		out := collect(b)
		began := 0
		b.Created = func(*Record) {
			if began++; began == 10 {
				go b.Drain(interrupted)
			}
		}
		sum, err := b.Run(t.Context(), numbered(100))
		if err != interrupted {
			t.Errorf("got %v, want %v", err, interrupted)
		}
		if sum.Records < 10 || sum.Records > 15 || sum.Failed > 0 || out.String() != wantNumbered(sum.Records) {
			t.Errorf("got %+v and %q, want the records that had begun", sum, out.String())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		interrupted := errors.New("interrupted")
		block := make(chan struct{})
		b := &Batch{Client: &fakeClient{job: upper}}
		time.AfterFunc(time.Minute, func() { b.Drain(interrupted) })
		sum, err := b.Run(t.Context(), blockingSource{numbered(3), block})
		if err != interrupted || sum != (Summary{Records: 3}) {
			t.Errorf("got %+v, %v, want 3 records and %v", sum, err, interrupted)
		}
		close(block)
	})
	(&Batch{}).Drain(errors.New("nothing runs"))
}

// blockingSource blocks where its records end.
type blockingSource struct {
	Source
	block chan struct{}
}

func (s blockingSource) Next() (Input, error) {
	in, err := s.Source.Next()
	if err != nil {
		<-s.block
	}
	return in, err
}
