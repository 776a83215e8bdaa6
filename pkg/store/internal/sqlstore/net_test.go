package sqlstore

import (
	"fmt"
	"testing"

	"gm/pkg/store"
)

func add(seq uint64, function, unique string) store.Op {
	return store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: function, Unique: unique}}
}

func end(seq uint64) store.Op {
	return store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}}
}

func retry(seq uint64, attempts int) store.Op {
	return store.Op{Kind: store.Update, Record: &store.Record{Seq: seq, Attempts: attempts, RunAt: int64(attempts) * 1000}}
}

func put(key, value string) store.Op {
	return store.Op{Kind: store.Put, Key: key, Value: []byte(value)}
}

func forget(key string) store.Op { return store.Op{Kind: store.Delete, Key: key} }

// print writes a Net as the tests have it.
func print(n *Net) string {
	s := fmt.Sprint("done", n.Dones, " update")
	for _, r := range n.Updates {
		s += fmt.Sprintf(" %d:%d", r.Seq, r.Attempts)
	}
	s += " add"
	for _, r := range n.Adds {
		s += fmt.Sprintf(" %d:%d", r.Seq, r.Attempts)
	}
	s += fmt.Sprint(" delete", n.Deletes, " put")
	for _, op := range n.Puts {
		s += fmt.Sprintf(" %s=%s", op.Key, op.Value)
	}
	return s
}

func TestNet(t *testing.T) {
	for _, tc := range []struct {
		name  string
		batch []store.Op
		want  string
	}{
		{"nothing", nil, "done[] update add delete[] put"},
		{
			"one of each",
			[]store.Op{add(1, "f", "u"), end(2), retry(3, 1), put("k", "v"), forget("x")},
			"done[2] update 3:1 add 1:0 delete[x] put k=v",
		},
		{"one add", []store.Op{add(1, "f", "u")}, "done[] update add 1:0 delete[] put"},
		{"one end", []store.Op{end(1)}, "done[1] update add delete[] put"},
		{"one update", []store.Op{retry(1, 7)}, "done[] update 1:7 add delete[] put"},
		{"one put", []store.Op{put("k", "v")}, "done[] update add delete[] put k=v"},
		{"one delete", []store.Op{forget("k")}, "done[] update add delete[k] put"},
		{"added and done", []store.Op{add(1, "f", "u"), end(1)}, "done[1] update add delete[] put"},
		{"added and tried", []store.Op{add(1, "f", "u"), retry(1, 2)}, "done[] update add 1:2 delete[] put"},
		{"tried twice", []store.Op{retry(1, 2), retry(1, 3)}, "done[] update 1:3 add delete[] put"},
		{"tried after the end", []store.Op{end(1), retry(1, 3)}, "done[1] update add delete[] put"},
		{"unique again", []store.Op{add(1, "f", "u"), end(1), add(2, "f", "u")}, "done[1] update add 2:0 delete[] put"},
		{"unique taken over", []store.Op{add(1, "f", "u"), add(2, "f", "u")}, "done[1] update add 2:0 delete[] put"},
		{"late end", []store.Op{add(1, "f", "u"), add(2, "f", "u"), end(1)}, "done[1] update add 2:0 delete[] put"},
		{"unique of two functions", []store.Op{add(1, "f", "u"), add(2, "g", "u")}, "done[] update add 1:0 2:0 delete[] put"},
		{
			"no uniques",
			[]store.Op{add(1, "f", ""), add(2, "f", ""), add(3, "f", "-"), add(4, "f", "-")},
			"done[] update add 1:0 2:0 3:0 4:0 delete[] put",
		},
		{"put twice", []store.Op{put("k", "1"), put("k", "2")}, "done[] update add delete[] put k=2"},
		{"put and deleted", []store.Op{put("k", "1"), forget("k")}, "done[] update add delete[k] put"},
		{"deleted and put", []store.Op{forget("k"), put("k", "1")}, "done[] update add delete[] put k=1"},
	} {
		if got := print(NewNet(tc.batch)); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

func TestNetChangesNoRecord(t *testing.T) {
	op := add(1, "f", "u")
	NewNet([]store.Op{op, retry(1, 5)})
	if op.Record.Attempts != 0 {
		t.Errorf("attempts of the batch's record: got %d, want 0", op.Record.Attempts)
	}
}

func TestChunks(t *testing.T) {
	for _, tc := range []struct {
		sizes       []int
		count, room int
		want        string
	}{
		{nil, 3, 10, ""},
		{[]int{1, 1, 1, 1}, 3, 10, "[1 1 1][1]"},
		{[]int{4, 4, 4}, 10, 10, "[4 4][4]"},
		{[]int{50, 1, 60}, 10, 10, "[50][1][60]"},
		{[]int{5, 5, 1}, 10, 10, "[5 5][1]"},
	} {
		got := ""
		for part := range Chunks(tc.sizes, tc.count, tc.room, func(n int) int { return n }) {
			got += fmt.Sprint(part)
		}
		if got != tc.want {
			t.Errorf("%v in %d and %d: got %s, want %s", tc.sizes, tc.count, tc.room, got, tc.want)
		}
	}
	for part := range Chunks([]int{1, 2, 3}, 1, 1, func(int) int { return 0 }) {
		if part[0] > 1 {
			t.Errorf("after the loop's end: got %v", part)
		}
		break
	}
}
