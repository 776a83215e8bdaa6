package queue

import "testing"

// A tag is the server's, and leaves the queue's own marks alone.
func TestTag(t *testing.T) {
	q := New(Config{}, silent{})
	got, err := q.Submit(0, &Submission{Function: []byte("f"), Background: true, Hold: true})
	if err != nil {
		t.Fatal(err)
	}
	j := got.Job
	for _, n := range []uint8{1, 3, 2, 0} {
		j.SetTag(n)
		if j.Tag() != n || !j.Background() || j.Journaled() {
			t.Errorf("tag %d: got %d, background %v, journaled %v", n, j.Tag(), j.Background(), j.Journaled())
		}
	}
}
