package queue

import (
	"testing"
)

// A payload that the caller gives away is not copied if its slice has room for
// unique and reducer.
func TestGivenPayload(t *testing.T) {
	for _, test := range []struct {
		name  string
		room  int
		where bool // it stayed
	}{
		{"room", 100, true},
		{"no room", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := New(Config{}, silent{})
			payload := append(make([]byte, 0, 7+test.room), "payload"...)
			got, err := q.Submit(0, &Submission{
				Function: []byte("f"), Unique: []byte("unique"), Reducer: []byte("reducer"), Payload: payload, Given: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			j := got.Job
			if string(j.Payload()) != "payload" || string(j.Unique()) != "unique" || string(j.Reducer()) != "reducer" {
				t.Errorf("got %q, %q, %q", j.Payload(), j.Unique(), j.Reducer())
			}
			if where := &j.Payload()[0] == &payload[0]; where != test.where {
				t.Errorf("kept where it was: %v, want %v", where, test.where)
			}
		})
	}
}
