package transport

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// failingListener is a listener whose Accepts fail, except some.
type failingListener struct {
	accepts int
	good    map[int]bool // numbers of the Accepts that return a connection
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.accepts++
	if l.good[l.accepts] {
		return nil, nil
	}
	return nil, errors.New("no descriptors")
}

func (l *failingListener) Close() error   { return nil }
func (l *failingListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestAcceptAllPauses after some failures in a row, longer each time, and ends with the
// error of failed.
func TestAcceptAllPauses(t *testing.T) {
	over := errors.New("over")
	for _, tc := range []struct {
		failures int
		good     []int
		want     time.Duration
	}{
		{failures: acceptAtOnce, want: 0},
		{failures: acceptAtOnce + 1, want: leastAcceptPause},
		{failures: acceptAtOnce + 3, want: 7 * leastAcceptPause},
		{failures: acceptAtOnce + 8, want: 255 * leastAcceptPause},
		{failures: acceptAtOnce + 10, want: 255*leastAcceptPause + 2*mostAcceptPause},
		{failures: 2 * acceptAtOnce, good: []int{acceptAtOnce + 1}, want: 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &failingListener{good: make(map[int]bool)}
			for _, n := range tc.good {
				l.good[n] = true
			}
			failures, served := 0, 0
			began := time.Now()
			err := AcceptAll(l, func(net.Conn) { served++ }, func(error) error {
				if failures++; failures > tc.failures {
					return over
				}
				return nil
			}, nil)
			if took := time.Since(began); err != over || took != tc.want || served != len(tc.good) {
				t.Errorf("%d failures: %v after %v, %d served, want %v after %v, %d served",
					tc.failures, err, took, served, over, tc.want, len(tc.good))
			}
		})
	}
}

// TestAcceptAllEndsItsPause when the server ends.
func TestAcceptAllEndsItsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, over := make(chan struct{}), errors.New("over")
		returned := make(chan error)
		go func() {
			returned <- AcceptAll(&failingListener{}, nil, func(error) error {
				select {
				case <-ended:
					return over
				default:
					return nil
				}
			}, ended)
		}()
		time.Sleep(time.Minute + mostAcceptPause/4)
		began := time.Now()
		close(ended)
		if err := <-returned; err != over || time.Since(began) != 0 {
			t.Errorf("%v after %v, want %v at once", err, time.Since(began), over)
		}
	})
}
