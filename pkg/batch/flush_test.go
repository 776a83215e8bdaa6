package batch

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/gearman"
)

// slowly is a source of one record after each of the pauses.
type slowly []time.Duration

func (s *slowly) Next() (Input, error) {
	if len(*s) == 0 {
		return Input{}, io.EOF
	}
	time.Sleep((*s)[0])
	*s = (*s)[1:]
	return Input{Payload: []byte("x")}, nil
}

// Flush follows Data and Done: at once if nothing more will come, otherwise
// after a moment.
func TestFlush(t *testing.T) {
	tests := []struct {
		name  string
		src   slowly
		job   time.Duration // that of record n is n times as long
		waits time.Duration // Flush after Done, at most
		calls int
	}{
		{"nothing in flight", slowly{0, time.Second, time.Second}, 0, 0, 3},
		{"more in flight", slowly{0, 0, 0}, time.Second, flushDelay, 3},
		{"at once", slowly{0, 0, 0, 0}, 0, flushDelay, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var handed time.Time
				calls := 0
				b := &Batch{
					Client: &fakeClient{job: func(n int, task *gearman.Task, created func()) error {
						created()
						time.Sleep(time.Duration(n) * tt.job)
						task.OnComplete([]byte("x"))
						return nil
					}},
					Data: func(*Record, []byte) error {
						if handed.IsZero() {
							handed = time.Now()
						}
						return nil
					},
					Flush: func() error {
						calls++
						if waited := time.Since(handed); handed.IsZero() || waited > tt.waits {
							t.Errorf("Flush %v after the data, want %v at most", waited, tt.waits)
						}
						handed = time.Time{}
						return nil
					},
				}
				if _, err := b.Run(t.Context(), &tt.src); err != nil {
					t.Fatal(err)
				}
				if !handed.IsZero() || calls < tt.calls {
					t.Errorf("got %d calls of Flush, want %d", calls, tt.calls)
				}
			})
		})
	}
}

// The first pieces of a result are flushed while the record goes on.
func TestFlushInMidRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flushed []time.Duration
		began := time.Now()
		b := &Batch{
			Client: &fakeClient{job: func(_ int, task *gearman.Task, created func()) error {
				created()
				for range 3 {
					time.Sleep(time.Minute)
					task.OnData([]byte("x"))
				}
				time.Sleep(time.Minute)
				task.OnComplete(nil)
				return nil
			}},
			Data: func(*Record, []byte) error { return nil },
			Flush: func() error {
				flushed = append(flushed, time.Since(began).Round(time.Second))
				return nil
			},
		}
		if _, err := b.Run(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}; !slices.Equal(flushed, want) {
			t.Errorf("got Flush at %v, want %v", flushed, want)
		}
	})
}

// Output is flushed also when the source fails, but not when writing has
// failed. An error of Flush ends the batch.
func TestFlushAtTheEnd(t *testing.T) {
	full, broken := errors.New("disk full"), errors.New("broken")
	tests := []struct {
		name        string
		src         Source
		done, flush error
		want        error
		calls       int
	}{
		{"well", numbered(1), nil, nil, nil, 1},
		{"read error", &failing{1, broken}, nil, nil, broken, 1},
		{"write error", numbered(1), full, nil, full, 0},
		{"flush error", numbered(1), nil, full, full, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				b := &Batch{
					Client: &fakeClient{job: upper},
					Done:   func(*Record) error { return tt.done },
					Flush: func() error {
						calls++
						return tt.flush
					},
				}
				if _, err := b.Run(t.Context(), tt.src); !errors.Is(err, tt.want) {
					t.Errorf("got error %v, want %v", err, tt.want)
				}
				if calls != tt.calls {
					t.Errorf("got %d calls of Flush, want %d", calls, tt.calls)
				}
			})
		})
	}
}
