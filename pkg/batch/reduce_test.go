package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/gearman"
)

// mapAndSum answers the function map with the payload and a blank, and sum with
// the sum of the payload's numbers and a blank, after up to a second.
func mapAndSum(_ int, t *gearman.Task, created func()) error {
	created()
	time.Sleep(rand.N(time.Second))
	if t.Function == "map" {
		t.OnComplete(append(bytes.Clone(t.Payload), ' '))
		return nil
	}
	sum := 0
	for _, word := range strings.Fields(string(t.Payload)) {
		n, err := strconv.Atoi(word)
		if err != nil {
			panic(err)
		}
		sum += n
	}
	t.OnComplete(fmt.Appendf(nil, "%d ", sum))
	return nil
}

// counting is a source of the numbers from 1 to n.
type counting struct{ i, n int }

func (c *counting) Next() (Input, error) {
	if c.i == c.n {
		return Input{}, io.EOF
	}
	c.i++
	return Input{Payload: []byte(strconv.Itoa(c.i))}, nil
}

// summing is a batch that maps and sums.
func summing(c *fakeClient) *Batch {
	return &Batch{
		Client: c, Task: gearman.Task{Function: "map"},
		Reduce: &Reduction{Task: gearman.Task{Function: "sum"}},
	}
}

func TestReduce(t *testing.T) {
	tests := []struct{ n, arity, window, jobs int }{
		{0, 4, 7, 0},
		{1, 4, 7, 1 + 1},
		{4, 4, 7, 4 + 1},
		{5, 4, 7, 5 + 2},
		{64, 4, 7, 64 + 16 + 4 + 1},
		{64, 4, 1, 64 + 16 + 4 + 1},
		{65, 0, 1, 65 + 4 + 1},
		{1000, 2, 50, 1000 + 999},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &fakeClient{job: mapAndSum}
				b := summing(c)
				b.Window, b.Reduce.Arity = tt.window, tt.arity
				out := collect(b)
				var ends []Record
				b.Done = func(r *Record) error {
					ends = append(ends, *r)
					return nil
				}
				parts := map[int]int{} // by level
				b.Reduce.Part = func(r *Record) error {
					if p := b.Progress(); p.Running > tt.window || p.Done > tt.n {
						t.Errorf("got progress %+v", p)
					}
					parts[r.Stage]++
					return r.Err
				}
				sum, err := b.Run(t.Context(), &counting{n: tt.n})
				if want := (Summary{Records: tt.n}); err != nil || sum != want {
					t.Fatalf("got %+v, %v, want %+v", sum, err, want)
				}
				want := ""
				if tt.n > 0 {
					want = fmt.Sprint(tt.n*(tt.n+1)/2, " ")
					if len(ends) != 1 || ends[0].Seq != 1 || ends[0].Handle == "" || int(ends[0].Bytes) != len(want) || ends[0].Err != nil {
						t.Errorf("got ends %+v, want one", ends)
					}
				}
				if got := out.String(); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if p := b.Progress(); p.Read != tt.n || p.Done != tt.n || !p.All || p.Running > 0 || int(p.Held) != len(want) {
					t.Errorf("got progress %+v at the end", p)
				}
				if c.started != tt.jobs || c.most > tt.window {
					t.Errorf("got %d jobs, up to %d at once, want %d and %d", c.started, c.most, tt.jobs, tt.window)
				}
				all := 0
				for _, n := range parts {
					all += n
				}
				if all != tt.jobs || parts[0] != tt.n {
					t.Errorf("got parts %v", parts)
				}
			})
		})
	}
}

// Results have an end of their own, or are given one.
func TestReduceEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := summing(&fakeClient{job: func(_ int, t *gearman.Task, created func()) error {
			created()
			result := bytes.Clone(t.Payload)
			if string(result) == "2" {
				result = append(result, '.')
			}
			t.OnComplete(result)
			return nil
		}})
		b.Reduce.Arity, b.Reduce.End = 2, []byte(".")
		out := collect(b)
		if _, err := b.Run(t.Context(), &counting{n: 5}); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), "1.2.3.4.5."; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Nothing that is reduced may be larger than the bound on memory allows, and
// nothing may stand still because of it.
func TestReduceInLittleMemory(t *testing.T) {
	const n, size, memory = 300, 100, 2000
	for _, window := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			held, most := 0, 0 // bytes in results that are with the batch, about
			c := &fakeClient{}
			c.job = func(_ int, t *gearman.Task, created func()) error {
				created()
				time.Sleep(rand.N(time.Second))
				c.mu.Lock()
				if t.Function == "map" {
					held += size
					most = max(most, held)
				} else {
					held -= len(t.Payload) - size
				}
				c.mu.Unlock()
				t.OnComplete(bytes.Repeat([]byte("x"), size))
				return nil
			}
			b := summing(c)
			b.Window, b.Memory, b.Reduce.Arity = window, memory, 64
			out := collect(b)
			if _, err := b.Run(t.Context(), &counting{n: n}); err != nil {
				t.Fatal(err)
			}
			if out.Len() != size {
				t.Errorf("got %d bytes, want %d", out.Len(), size)
			}
			if bound := memory + window*size; most > bound {
				t.Errorf("held up to %d bytes of results, want at most %d", most, bound)
			}
		})
	}
}

// A join that makes no room must not keep the rest from going on.
func TestReduceThatDoesNotShrink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeClient{job: func(_ int, t *gearman.Task, created func()) error {
			created()
			t.OnComplete(bytes.Clone(t.Payload))
			return nil
		}}
		b := summing(c)
		b.Memory, b.Reduce.Arity = 64, 8
		out := collect(b)
		if _, err := b.Run(t.Context(), numbered(200)); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), strings.ToLower(wantNumbered(200)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestReduceFails(t *testing.T) {
	tests := []struct {
		name string
		fail func(*gearman.Task) bool
		want string
	}{
		{
			"a record", func(t *gearman.Task) bool { return t.Function == "map" && string(t.Payload) == "7" },
			"record 7: job H:1 failed",
		},
		{
			"a job of the first level", func(t *gearman.Task) bool { return strings.HasPrefix(string(t.Payload), "5 6 ") },
			"reduce records 5 to 8 at level 1: job H:1 failed",
		},
		{
			"a job of the second level", func(t *gearman.Task) bool { return strings.HasPrefix(string(t.Payload), "10 26 ") },
			"reduce records 1 to 16 at level 2: job H:1 failed",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				c := &fakeClient{}
				c.job = func(n int, t *gearman.Task, created func()) error {
					if tt.fail(t) {
						c.mu.Lock()
						attempts++
						c.mu.Unlock()
						created()
						return &gearman.FailError{Handle: "H:1"}
					}
					return mapAndSum(n, t, created)
				}
				b := summing(c)
				b.Retries, b.Reduce.Arity = 2, 4
				out := collect(b)
				_, err := b.Run(t.Context(), &counting{n: 40})
				c.tasks.Wait()
				var part *PartError
				if !errors.As(err, &part) || err.Error() != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				if out.Len() > 0 || attempts != 3 {
					t.Errorf("got output %q after %d attempts, want none after 3", out, attempts)
				}
			})
		})
	}
}

func TestReduceThatCannotBegin(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		change func(*Batch)
		source Source
		want   string
	}{
		{"arity 1", func(b *Batch) { b.Reduce.Arity = 1 }, &counting{n: 9}, "reduce: arity 1 is not from 2 to 65536"},
		{"limit", func(b *Batch) { b.Reduce.MaxPayload = -1 }, &counting{n: 9}, "reduce: largest payload -1 is negative"},
		{"skip", func(b *Batch) { b.Skip = func(*Record) (bool, error) { return true, nil } }, &counting{n: 9}, "reduce: no record can be left out"},
		{"part", func(b *Batch) { b.Reduce.Part = func(*Record) error { return broken } }, &counting{n: 9}, "broken"},
		{"source", func(*Batch) {}, &failing{3, broken}, "broken"},
		{"record", func(*Batch) {}, &Records{{Payload: []byte("1")}, {Name: "f", Err: broken}}, "record 2 (f): broken"},
		{"output", func(b *Batch) { b.Data = func(*Record, []byte) error { return broken } }, &counting{n: 9}, "broken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &fakeClient{job: mapAndSum}
				b := summing(c)
				tt.change(b)
				if _, err := b.Run(t.Context(), tt.source); err == nil || err.Error() != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				c.tasks.Wait()
			})
		})
	}
}

// The records and the jobs of the reduction wait for a server that goes away
// during the run, and its jobs are sent again.
func TestReduceOutlastsAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down, up time.Time
		c := &fakeClient{}
		c.job = func(n int, t *gearman.Task, created func()) error {
			if now := time.Now(); now.After(down) && now.Before(up) {
				return gearman.ErrNoServer
			}
			created()
			time.Sleep(rand.N(time.Second))
			if now := time.Now(); now.After(down) && now.Before(up) {
				return gearman.ErrLost
			}
			return mapAndSum(n, t, func() {})
		}
		b := summing(c)
		b.Repeatable, b.Patience, b.Window = true, time.Minute, 4
		b.Reduce.Arity = 3
		var told []string
		b.Away = func(error) { told = append(told, "away") }
		b.Back = func(time.Duration) { told = append(told, "back") }
		out := collect(b)
		down = time.Now().Add(3 * time.Second)
		up = down.Add(10 * time.Second)
		if _, err := b.Run(t.Context(), &counting{n: 100}); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), "5050 "; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := strings.Join(told, " "), "away back"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

func TestReduceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeClient{job: mapAndSum}
		b := summing(c)
		b.Memory = 1 // most of the time something waits
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := b.Run(ctx, &counting{n: 1 << 30}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
		c.tasks.Wait()
	})
}
