package tune

import (
	"net"
	"testing"
	"time"
)

// TestAwaitEndsWithItsConnection: a connection can be closed while Await waits for
// it.
func TestAwaitEndsWithItsConnection(t *testing.T) {
	defer Disable(0)()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	s := NewSocket(ours)
	closed := make(chan error, 1)
	go func() { closed <- ours.Close() }()
	s.Await()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the connection does not close")
	}
	if n := waiters.Load(); n != 0 {
		t.Errorf("got %d waiters after all, want 0", n)
	}
}

// TestNoSocketDoesNotWait: memory is no socket, and without the trick nothing is.
func TestNoSocketDoesNotWait(t *testing.T) {
	none, other := net.Pipe()
	defer other.Close()
	defer none.Close()
	if got := NewSocket(none); got != nil {
		t.Errorf("got %v for a pipe, want nil", got)
	}
	NewSocket(none).Await()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	defer Disable(PollTrick)()
	if got := NewSocket(nc); got != nil {
		t.Errorf("got %v without the trick, want nil", got)
	}
}
