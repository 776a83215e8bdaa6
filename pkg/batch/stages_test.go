package batch

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/gearman"
)

// brackets is a worker whose function f makes f(x) of x, in three pieces. A
// function of one capital letter fails for payloads with that letter.
func brackets(_ int, t *gearman.Task, created func()) error {
	created()
	time.Sleep(rand.N(time.Second))
	if bytes.Contains(t.Payload, []byte(t.Function)) && t.Function == strings.ToUpper(t.Function) {
		t.OnData([]byte("partial"))
		return &gearman.FailError{Handle: "H"}
	}
	t.OnData([]byte(t.Function + "("))
	t.OnData(t.Payload)
	t.OnComplete([]byte(")"))
	return nil
}

// Records go through the stages one after the other, and those of different
// records overlap.
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := &fakeClient{job: brackets}
		b := &Batch{
			Client: c, Window: 10,
			Task:   gearman.Task{Function: "f"},
			Stages: []gearman.Task{{Function: "g"}, {Function: "h"}},
		}
		out := collect(b)
		b.Done = func(r *Record) error {
			if r.Function != "f|g|h" || r.Stage != 2 || r.Attempts != 3 || r.Err != nil || string(r.Payload) != fmt.Sprintf("r%d ", r.Seq-1) {
				t.Errorf("got %+v, want a record after three stages", *r)
			}
			return nil
		}
		sum, err := b.Run(t.Context(), numbered(100))
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for i := range 100 {
			fmt.Fprintf(&want, "h(g(f(r%d )))", i)
		}
		if out.String() != want.String() || sum.Records != 100 {
			t.Errorf("got %+v %q, want %q", sum, out, want.String())
		}
		if c.most != 10 {
			t.Errorf("got %d in flight at most, want 10", c.most)
		}
		// 300 jobs of half a second, ten at a time.
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("it took %v, want about 15s", took)
		}
		if p := b.Progress(); p.Held != 0 || p.Running != 0 || p.Waiting != 0 || p.Done != 100 || p.Read != 100 {
			t.Errorf("got %+v after the end", p)
		}
	})
}

// A failed record has the stage of its failure, and no result of its earlier
// stages is passed on.
func TestStageFails(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := &Batch{
				Client: &fakeClient{job: brackets}, Unordered: unordered,
				Task:   gearman.Task{Function: "A"},
				Stages: []gearman.Task{{Function: "B"}, {Function: "C"}},
			}
			got := map[int]string{}
			b.Data = func(r *Record, piece []byte) error {
				got[r.Seq] += string(piece)
				return nil
			}
			stages := map[int]int{}
			b.Done = func(r *Record) error {
				stages[r.Seq] = r.Stage
				if failed := r.Seq != 1; failed != (r.Err != nil) {
					t.Errorf("record %d: got error %v", r.Seq, r.Err)
				}
				return nil
			}
			records := &Records{{Payload: []byte("x")}, {Payload: []byte("A")}, {Payload: []byte("B")}, {Payload: []byte("C")}}
			sum, err := b.Run(t.Context(), records)
			if want := (Summary{Records: 4, Failed: 3}); err != nil || sum != want {
				t.Errorf("got %+v, %v, want %+v", sum, err, want)
			}
			if want := "map[1:C(B(A(x))) 4:partial]"; fmt.Sprint(got) != want {
				t.Errorf("got %v, want %v", got, want)
			}
			if want := "map[1:2 2:0 3:1 4:2]"; fmt.Sprint(stages) != want {
				t.Errorf("got failures at the stages %v, want %v", stages, want)
			}
			if p := b.Progress(); p.Held != 0 {
				t.Errorf("got %d bytes held after the end", p.Held)
			}
		})
	}
}

// Each stage has its own attempts, and a lost server costs a record one stage.
func TestStageRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		tries := map[string]int{}
		c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
			mu.Lock()
			tries[t.Function]++
			try := tries[t.Function]
			mu.Unlock()
			if try <= 2 {
				created()
				t.OnData([]byte("void"))
				return []error{&gearman.FailError{}, gearman.ErrLost}[try-1]
			}
			return brackets(n, t, created)
		}}
		b := &Batch{Client: c, Retries: 2, Task: gearman.Task{Function: "f"}, Stages: []gearman.Task{{Function: "g"}}}
		out := collect(b)
		retries := 0
		b.Retry = func(*Record, error) { retries++ }
		b.Done = func(r *Record) error {
			if r.Attempts != 6 {
				t.Errorf("got %d attempts, want 6", r.Attempts)
			}
			return nil
		}
		if _, err := b.Run(t.Context(), &Records{{Payload: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), "g(f(x))"; got != want || retries != 4 {
			t.Errorf("got %q after %d retries, want %q after 4", got, retries, want)
		}
	})
}

// Without order, results come as records end, each in one piece.
func TestUnordered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Batch{Client: &fakeClient{job: brackets}, Task: gearman.Task{Function: "f"}, Window: 10, Unordered: true}
		var now string // the part of that record's result so far
		var seqs []int
		b.Data = func(r *Record, piece []byte) error {
			now += string(piece)
			return nil
		}
		b.Done = func(r *Record) error {
			if want := fmt.Sprintf("f(r%d )", r.Seq-1); now != want {
				t.Errorf("got %q, want %q", now, want)
			}
			now = ""
			seqs = append(seqs, r.Seq)
			return nil
		}
		began := time.Now()
		sum, err := b.Run(t.Context(), numbered(200))
		if err != nil || sum.Records != 200 {
			t.Fatalf("got %+v, %v, want 200 records", sum, err)
		}
		sorted, seen := true, map[int]bool{}
		for i, seq := range seqs {
			sorted = sorted && seq == i+1
			seen[seq] = true
		}
		if sorted || len(seen) != 200 {
			t.Errorf("got %d records in the order %v", len(seen), seqs)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %v, want about 10s", took)
		}
	})
}

// One record in a hundred is slow: the results behind it wait, up to Memory, and
// the workers have something to do all the while.
func TestSlowRecords(t *testing.T) {
	const (
		records = 5000
		size    = 1000
		memory  = 400 * (2*size + overhead)
		window  = 20
	)
	run := func(t *testing.T, unordered bool) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			b := &Batch{Window: window, Memory: memory, Unordered: unordered}
			var mu sync.Mutex
			var most int64
			b.Client = &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
				created()
				d := 10 * time.Millisecond
				if n%100 == 50 {
					d = 100 * time.Millisecond
				}
				time.Sleep(d)
				t.OnComplete(make([]byte, size))
				mu.Lock()
				defer mu.Unlock()
				most = max(most, b.Progress().Held)
				return nil
			}}
			var in Records
			for range records {
				in = append(in, Input{Payload: make([]byte, size)})
			}
			began := time.Now()
			sum, err := b.Run(t.Context(), &in)
			took = time.Since(began)
			if err != nil || sum.Records != records {
				t.Errorf("got %+v, %v, want %d records", sum, err, records)
			}
			mu.Lock()
			defer mu.Unlock()
			// Jobs in flight when the limit is reached still add their results.
			if limit := int64(memory + window*(2*size+overhead)); most > limit {
				t.Errorf("held %d bytes, want at most %d", most, limit)
			}
		})
		return took
	}
	ordered, unordered := run(t, false), run(t, true)
	t.Logf("ordered %v, unordered %v", ordered, unordered)
	if ordered > unordered*5/4 {
		t.Errorf("ordered took %v, unordered %v, want at least 80 %% of its rate", ordered, unordered)
	}
}

// A record that can't be read fails in its place without being sent.
func TestUnreadable(t *testing.T) {
	unread := errors.New("no such file")
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := &fakeClient{job: brackets}
			b := &Batch{Client: c, Task: gearman.Task{Function: "f"}, Unordered: unordered}
			var failed []string
			b.Done = func(r *Record) error {
				if r.Err != nil {
					failed = append(failed, fmt.Sprint(r.Seq, r.Name, r.Attempts, r.Err))
				}
				return nil
			}
			sum, err := b.Run(t.Context(), &Records{{Payload: []byte("x")}, {Name: "n", Err: unread}, {Payload: []byte("y")}})
			if want := (Summary{Records: 3, Failed: 1}); err != nil || sum != want {
				t.Errorf("got %+v, %v, want %+v", sum, err, want)
			}
			if got, want := fmt.Sprint(failed), "[2n0no such file]"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("got %v, want %v", got, want)
			}
			if c.started != 2 {
				t.Errorf("got %d records sent, want 2", c.started)
			}
		})
	}
}

// Interleaved results come in pieces as they arrive, whichever record they are
// of, and Done follows the last of each.
func TestInterleaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeClient{job: func(_ int, t *gearman.Task, created func()) error {
			created()
			wait := time.Duration(len(t.Payload)) * time.Second
			for range 3 {
				time.Sleep(wait)
				t.OnData([]byte(strings.TrimSpace(string(t.Payload)) + "."))
			}
			t.OnComplete([]byte("end"))
			return nil
		}}
		var got []string
		b := &Batch{Client: c, Interleaved: true, Window: 2}
		b.Data = func(r *Record, piece []byte) error {
			got = append(got, string(piece))
			return nil
		}
		b.Done = func(r *Record) error {
			got = append(got, fmt.Sprint("done ", r.Seq))
			return r.Err
		}
		sum, err := b.Run(t.Context(), &Records{{Payload: []byte("slow")}, {Payload: []byte("f")}})
		if err != nil || sum != (Summary{Records: 2}) {
			t.Fatalf("got %+v, %v", sum, err)
		}
		want := []string{"f.", "f.", "f.", "end", "done 2", "slow.", "slow.", "slow.", "end", "done 1"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
