package gearman

import (
	"io"
	"net"
	"testing"
	"time"

	"gm/internal/tune"
)

// TestQuickWait waits for bytes, for the end of a connection, and for bytes that come
// late.
func TestQuickWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair := func() (ours, theirs net.Conn) {
		ours, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ours.Close() })
		if theirs, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { theirs.Close() })
		return ours, theirs
	}
	for _, tc := range []struct {
		what string
		do   func(ours, theirs net.Conn)
		read string
		err  error
	}{
		{"bytes", func(_, theirs net.Conn) { theirs.Write([]byte("answer")) }, "answer", nil},
		{"the end", func(_, theirs net.Conn) { theirs.Close() }, "", io.EOF},
		{"nothing", func(_, theirs net.Conn) { time.AfterFunc(5*tune.QuickAnswer, func() { theirs.Write([]byte("late")) }) }, "late", nil},
	} {
		ours, theirs := pair()
		st := &stream{nc: ours, quick: tune.NewSocket(ours), prompt: true}
		tc.do(ours, theirs)
		b := make([]byte, 10)
		n, err := st.Read(b)
		if string(b[:n]) != tc.read || err != tc.err {
			t.Errorf("%s: got %q, %v, want %q, %v", tc.what, b[:n], err, tc.read, tc.err)
		}
		if st.prompt {
			t.Errorf("%s: still to be waited for", tc.what)
		}
	}
}
