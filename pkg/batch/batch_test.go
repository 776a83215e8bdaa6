package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/gearman"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeClient answers tasks in goroutines of its own, one for each.
type fakeClient struct {
	// job is the server and its worker. An error before created is called is
	// that of a server that has not taken the job.
	job func(n int, t *gearman.Task, created func()) error

	mu       sync.Mutex
	started  int
	inFlight int
	most     int // in flight at once
	tasks    sync.WaitGroup
}

func (c *fakeClient) StartAsync(ctx context.Context, t *gearman.Task) (*gearman.Running, error) {
	task := *t
	complete := t.OnComplete
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started++
	n := c.started
	c.inFlight++
	c.most = max(c.most, c.inFlight)
	ended := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight--
	}
	task.OnComplete = func(b []byte) {
		ended()
		complete(b)
	}
	c.tasks.Go(func() {
		err := c.job(n, &task, func() { task.OnCreated(gearman.Handle("H:fake:" + strconv.Itoa(n))) })
		if err != nil {
			ended()
			task.OnFail(err)
		}
	})
	return nil, nil
}

// upper answers with the payload in capitals, after up to a second.
func upper(_ int, t *gearman.Task, created func()) error {
	created()
	time.Sleep(rand.N(time.Second))
	t.OnComplete(bytes.ToUpper(t.Payload))
	return nil
}

func numbered(n int) *Records {
	var r Records
	for i := range n {
		r = append(r, Input{Payload: fmt.Appendf(nil, "r%d ", i)})
	}
	return &r
}

func wantNumbered(n int) string {
	var want strings.Builder
	for i := range n {
		fmt.Fprintf(&want, "R%d ", i)
	}
	return want.String()
}

// collect gives b a Data that collects.
func collect(b *Batch) *strings.Builder {
	var out strings.Builder
	b.Data = func(_ *Record, piece []byte) error {
		out.Write(piece)
		return nil
	}
	return &out
}

func TestOrderAndWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeClient{job: upper}
		b := &Batch{Client: c, Window: 7}
		out := collect(b)
		var seqs []int
		b.Done = func(r *Record) error {
			seqs = append(seqs, r.Seq)
			if r.Err != nil || r.Handle == "" || r.Attempts != 1 || r.Bytes != int64(len(r.Payload)) {
				t.Errorf("got %+v, want a completed record", *r)
			}
			return nil
		}
		sum, err := b.Run(t.Context(), numbered(100))
		if err != nil {
			t.Fatal(err)
		}
		if want := (Summary{Records: 100}); sum != want {
			t.Errorf("got %+v, want %+v", sum, want)
		}
		if got, want := out.String(), wantNumbered(100); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		for i, seq := range seqs {
			if seq != i+1 {
				t.Fatalf("got Done in the order %v", seqs)
			}
		}
		if c.most != 7 {
			t.Errorf("got %d in flight at most, want 7", c.most)
		}
	})
}

// The oldest record's pieces are handed on as they come, those of others
// wait for their turn.
func TestStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var firstPiece time.Duration
		began := time.Now()
		b := &Batch{Client: &fakeClient{job: func(_ int, t *gearman.Task, created func()) error {
			created()
			for range 3 {
				time.Sleep(time.Second)
				t.OnData(t.Payload)
			}
			t.OnComplete([]byte("."))
			return nil
		}}}
		var out strings.Builder
		b.Data = func(_ *Record, piece []byte) error {
			if out.Len() == 0 {
				firstPiece = time.Since(began)
			}
			out.Write(piece)
			return nil
		}
		if _, err := b.Run(t.Context(), &Records{{Payload: []byte("a")}, {Payload: []byte("b")}}); err != nil {
			t.Fatal(err)
		}
		if got, want := out.String(), "aaa.bbb."; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if firstPiece != time.Second {
			t.Errorf("first piece after %v, want 1s", firstPiece)
		}
	})
}

// A slow first job stops the intake once the results behind it fill Memory.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
			created()
			if n == 1 {
				<-release
			}
			t.OnComplete(make([]byte, 1000))
			return nil
		}}
		const memory = 20 * (1000 + 1000 + overhead)
		b := &Batch{Client: c, Window: 4, Memory: memory}
		var records Records
		for range 500 {
			records = append(records, Input{Payload: make([]byte, 1000)})
		}
		got := make(chan Summary)
		go func() {
			sum, err := b.Run(t.Context(), &records)
			if err != nil {
				t.Error(err)
			}
			got <- sum
		}()
		synctest.Wait()
		if c.started < 15 || c.started > 25 {
			t.Errorf("got %d records sent behind a slow one, want about 20", c.started)
		}
		close(release)
		if sum := <-got; sum.Records != 500 {
			t.Errorf("got %d records, want 500", sum.Records)
		}
	})
}

func TestFailures(t *testing.T) {
	failed := &gearman.FailError{Handle: "H:fake:1"}
	lost := fmt.Errorf("wait: %w", gearman.ErrLost)
	tests := []struct {
		name     string
		unique   string
		retries  int
		errs     []error // of the first, second.. attempt; then it completes
		partial  bool    // some data is sent before each end
		want     string
		sum      Summary
		attempts int
	}{
		{name: "fails", errs: []error{failed}, sum: Summary{1, 1, 0, 0}, attempts: 1},
		{name: "fails with some data", errs: []error{failed}, partial: true, want: "x", sum: Summary{1, 1, 0, 0}, attempts: 1},
		{name: "lost", errs: []error{lost}, sum: Summary{1, 1, 1, 0}, attempts: 1},
		{name: "lost, unique", unique: "k", errs: []error{lost, lost, lost}, want: "R", sum: Summary{1, 0, 0, 0}, attempts: 4},
		{name: "lost after some data, unique", unique: "k", errs: []error{lost}, partial: true, want: "x", sum: Summary{1, 1, 1, 0}, attempts: 1},
		{name: "fails, unique", unique: "k", errs: []error{failed}, sum: Summary{1, 1, 0, 0}, attempts: 1},
		{name: "retried", retries: 2, errs: []error{failed, lost}, partial: true, want: "xR", sum: Summary{1, 0, 0, 0}, attempts: 3},
		{name: "retried in vain", retries: 1, errs: []error{failed, failed}, sum: Summary{1, 1, 0, 0}, attempts: 2},
		{name: "refused by the server", retries: 5, errs: []error{&gearman.ServerError{Code: "EINVAL"}}, sum: Summary{1, 1, 0, 0}, attempts: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
					created()
					if tt.partial {
						t.OnData([]byte("x"))
					}
					if n <= len(tt.errs) {
						return tt.errs[n-1]
					}
					t.OnComplete(bytes.ToUpper(t.Payload))
					return nil
				}}
				b := &Batch{Client: c, Task: gearman.Task{Unique: tt.unique}, Retries: tt.retries}
				out := collect(b)
				b.Done = func(r *Record) error {
					if r.Attempts != tt.attempts {
						t.Errorf("got %d attempts, want %d", r.Attempts, tt.attempts)
					}
					if n := len(tt.errs); tt.sum.Failed > 0 && !errors.Is(r.Err, tt.errs[n-1]) {
						t.Errorf("got error %v, want %v", r.Err, tt.errs[n-1])
					}
					return nil
				}
				sum, err := b.Run(t.Context(), &Records{{Payload: []byte("r")}})
				if err != nil {
					t.Fatal(err)
				}
				if sum != tt.sum {
					t.Errorf("got %+v, want %+v", sum, tt.sum)
				}
				if out.String() != tt.want {
					t.Errorf("got %q, want %q", out.String(), tt.want)
				}
			})
		})
	}
}

// The batch waits for a server that goes away after some records; when it is
// back, the records that it had not taken are sent once.
func TestServerAway(t *testing.T) {
	for _, refusal := range []error{
		fmt.Errorf("dial: %w", gearman.ErrNoServer),
		&gearman.ServerError{Code: "QUEUE_ERROR", Text: "Job queue is full"},
		&gearman.ServerError{Code: "SHUTDOWN", Text: "the server is shutting down"},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var probes int
			runs := make(map[string]int)
			var mu sync.Mutex
			c := &fakeClient{job: func(_ int, t *gearman.Task, created func()) error {
				if d := time.Since(began); d > 2*time.Second && d < 30*time.Second {
					mu.Lock()
					probes++
					mu.Unlock()
					return refusal
				}
				mu.Lock()
				runs[string(t.Payload)]++
				mu.Unlock()
				return upper(0, t, created)
			}}
			b := &Batch{Client: c, Window: 10, Patience: time.Minute}
			out := collect(b)
			var away, back int
			b.Away = func(error) { away++ }
			b.Back = func(time.Duration) { back++ }
			sum, err := b.Run(t.Context(), numbered(200))
			if err != nil {
				t.Fatal(err)
			}
			if want := (Summary{Records: 200}); sum != want {
				t.Errorf("got %+v, want %+v", sum, want)
			}
			if got, want := out.String(), wantNumbered(200); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			for r, n := range runs {
				if n != 1 {
					t.Errorf("record %q ran %d times", r, n)
				}
			}
			if away != 1 || back != 1 {
				t.Errorf("got %d Away and %d Back, want one each", away, back)
			}
			if probes > 60 {
				t.Errorf("got %d records sent while the server was away", probes)
			}
		})
	}
}

// A server that dies takes the window with it, but not one window after the
// other: after a loss, one record at a time is sent until a server takes it.
func TestServerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
			switch d := time.Since(began); {
			case d < time.Second:
				created()
				time.Sleep(time.Second - d)
				return gearman.ErrLost
			case d < 3*time.Second: // accepts connections, and dies
				return gearman.ErrLost
			case d < 6*time.Second:
				return gearman.ErrNoServer
			}
			return upper(n, t, created)
		}}
		b := &Batch{Client: c, Window: 20, Patience: time.Minute, Data: func(*Record, []byte) error { return nil }}
		sum, err := b.Run(t.Context(), numbered(200))
		if err != nil {
			t.Fatal(err)
		}
		if sum.Records != 200 || sum.Lost < 20 || sum.Lost > 20+10 {
			t.Errorf("got %+v, want 200 records, 20 of them lost and some probes", sum)
		}
	})
}

// A server that is shutting down at the first record has been reached: its next
// start is waited for, as long as Patience allows.
func TestServerShutsDownAtFirst(t *testing.T) {
	refusal := fmt.Errorf("%w: %w", gearman.ErrNoServer, gearman.ServerErrors{
		{Network: "tcp", Addr: "a:1"}: &gearman.ServerError{Code: "SHUTDOWN", Text: "the server is shutting down"},
	})
	for _, tt := range []struct {
		patience time.Duration
		want     Summary
		err      error
	}{
		{time.Minute, Summary{Records: 20}, nil},
		{time.Second, Summary{}, gearman.ErrNoServer},
		{0, Summary{}, gearman.ErrNoServer},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
				if time.Since(began) < 5*time.Second {
					return refusal
				}
				return upper(n, t, created)
			}}
			sum, err := (&Batch{Client: c, Patience: tt.patience}).Run(t.Context(), numbered(20))
			if sum != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("patience %v: got %+v, %v, want %+v, %v", tt.patience, sum, err, tt.want, tt.err)
			}
		})
	}
}

func TestNoServer(t *testing.T) {
	tests := []struct {
		name     string
		taken    int
		patience time.Duration
		want     time.Duration // at most twice that
	}{
		{"never there", 0, time.Minute, 0},
		{"gone, no patience", 1, 0, 0},
		{"gone for good", 1, 20 * time.Second, 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &fakeClient{job: func(n int, t *gearman.Task, created func()) error {
					if n > tt.taken {
						return gearman.ErrNoServer
					}
					created()
					t.OnComplete(nil)
					return nil
				}}
				b := &Batch{Client: c, Window: 1, Patience: tt.patience}
				began := time.Now()
				sum, err := b.Run(t.Context(), numbered(10))
				if !errors.Is(err, gearman.ErrNoServer) {
					t.Errorf("got error %v, want %v", err, gearman.ErrNoServer)
				}
				if sum.Records != tt.taken {
					t.Errorf("got %d records, want %d", sum.Records, tt.taken)
				}
				if d := time.Since(began); d < tt.want || d > tt.want+2*maxPause {
					t.Errorf("gave up after %v, want %v", d, tt.want)
				}
				synctest.Wait()
			})
		})
	}
}

// None of a batch's functions is called after its early end, for any reason.
func TestEarlyEnd(t *testing.T) {
	full := errors.New("disk full")
	broken := errors.New("broken")
	tests := []struct {
		name string
		src  Source
		data error
		ctx  error
		want error
	}{
		{"write error", numbered(50), full, nil, full},
		{"read error", &failing{5, broken}, nil, nil, broken},
		{"cancelled", numbered(50), nil, context.Canceled, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				over := false
				c := &fakeClient{job: upper}
				b := &Batch{Client: c, Window: 4}
				b.Data = func(r *Record, _ []byte) error {
					if over {
						t.Error("Data called after the end of Run")
					}
					if r.Seq == 5 && tt.ctx != nil {
						cancel()
					}
					if r.Seq == 5 {
						return tt.data
					}
					return nil
				}
				_, err := b.Run(ctx, tt.src)
				over = true
				if !errors.Is(err, tt.want) {
					t.Errorf("got error %v, want %v", err, tt.want)
				}
				c.tasks.Wait()
			})
		})
	}
}

// failing is a source of n records and an error.
type failing struct {
	n   int
	err error
}

func (f *failing) Next() (Input, error) {
	if f.n == 0 {
		return Input{}, f.err
	}
	f.n--
	return Input{Payload: []byte("r")}, nil
}

// A record that Done finds impossible fails, counts, and may be the one that ends
// the batch. The others go on.
func TestDoneFailsARecord(t *testing.T) {
	impossible := errors.New("no such folder")
	for _, unordered := range []bool{false, true} {
		for halt, want := range map[Halt]Summary{{}: {Records: 20, Failed: 4}, {Fails: 2, Now: true}: {Records: 10, Failed: 2}} {
			synctest.Test(t, func(t *testing.T) {
				b := &Batch{Client: &fakeClient{job: upper}, Window: 1, Unordered: unordered, Halt: halt, Done: func(r *Record) error {
					if r.Seq%5 == 0 {
						r.Err = impossible
					}
					return nil
				}}
				sum, err := b.Run(t.Context(), numbered(20))
				if sum != want || b.Progress().Failed != want.Failed {
					t.Errorf("got %+v and %d failed, want %+v", sum, b.Progress().Failed, want)
				}
				if halt.Fails > 0 && (!errors.Is(err, ErrHalted) || !errors.Is(err, impossible)) || halt.Fails == 0 && err != nil {
					t.Errorf("halt %v: got %v", halt, err)
				}
			})
		}
	}
}
