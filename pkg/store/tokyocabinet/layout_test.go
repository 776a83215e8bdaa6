//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gm/pkg/store"
)

func add(seq uint64, function, unique, payload string) store.Op {
	return store.Op{Kind: store.Add, Record: &store.Record{
		Seq: seq, Function: function, Unique: unique, Payload: []byte(payload), Priority: 1, Accepted: 1_795_000_000_123,
	}}
}

func storeDone(j store.Record) store.Op {
	return store.Op{Kind: store.Done, Record: &store.Record{Seq: j.Seq, Function: j.Function, Unique: j.Unique}}
}

func commit(t *testing.T, s *Store, batch ...store.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func jobsIn(t *testing.T, s *Store) (jobs []string) {
	t.Helper()
	err := s.Replay(t.Context(), func(j *store.Record) error {
		jobs = append(jobs, fmt.Sprintf("%s %q %q p%d at %d tried %d", j.Function, j.Unique, j.Payload, j.Priority, j.RunAt, j.Attempts))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// gearmandPut writes a job as gearmand does.
func gearmandPut(t *testing.T, d database, function, unique, priority string, when int64, payload string) {
	t.Helper()
	if err := d.put(function+"-"+unique, fmt.Appendf(nil, "%s\x00%s\x00%s%d\x00%s", function, unique, priority, when, payload)); err != nil {
		t.Fatal(err)
	}
}

// gearmandRead reads a value as gearmand does: names to the next NUL, a
// priority, a number by strtoul's rules, one byte, and the rest.
func gearmandRead(t *testing.T, v []byte) string {
	t.Helper()
	function, rest, _ := bytes.Cut(v, []byte{0})
	unique, rest, _ := bytes.Cut(rest, []byte{0})
	digits := bytes.TrimLeft(rest[1:], " \t\n\v\f\r")
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	when, err := strconv.ParseInt(string(digits[:n]), 10, 64)
	if err != nil {
		t.Errorf("time of %q: %v", v, err)
	}
	return fmt.Sprintf("%s %s p%c at %d %q", function, unique, rest[0], when, digits[n+1:])
}

// records returns all of a database that is closed.
func records(t *testing.T, file string, f func(key, value []byte) string) (all []string) {
	t.Helper()
	x, err := openTable(file)
	if err != nil {
		t.Fatal(err)
	}
	defer x.closeFile()
	if err := x.verify(func(r *record, _ *entry) { all = append(all, f(r.key, r.value)) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestLayout compares the content of the file byte by byte, in the form that
// gearmand reads.
func TestLayout(t *testing.T) { eachKind(t, testLayout) }

func testLayout(t *testing.T, name string) {
	file := filepath.Join(t.TempDir(), name)
	s := open(t, file)
	delayed := add(3, "resize", "u3", "later")
	delayed.Record.RunAt, delayed.Record.Priority = 1_795_000_000_001, 0
	commit(t, s, add(1, "resize", "u1", "nul\x00'\""), add(2, "resize", "", ""), delayed,
		add(4, "resize", "-", "dash"), add(5, "two-words", "u", "ambiguous"), add(6, "resize", strings.Repeat("x", 64), "long"),
		store.Op{Kind: store.Put, Key: "dead/1", Value: []byte("value")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	compare(t, "as gearmand reads it", records(t, file, func(key, v []byte) string {
		return string(key) + ": " + gearmandRead(t, v)
	}), []string{
		`gm:extras-k:dead/1: gm:extras k:dead/1 p2 at 9999999999 "value"`,
		`gm:extras-k:gm:last-number: gm:extras k:gm:last-number p2 at 9999999999 "\x01\x00\x01\x00\x00\x00\x00\x00"`,
		`resize-gm-2: resize gm-2 p1 at 0 ""`,
		`resize-gm-4: resize gm-4 p1 at 0 "dash"`,
		`resize-gm-6: resize gm-6 p1 at 0 "long"`,
		`resize-u1: resize u1 p1 at 0 "nul\x00'\""`,
		`resize-u3: resize u3 p0 at 1795000001 "later"`,
		`two-words-gm-5: two-words gm-5 p1 at 0 "ambiguous"`,
	})
	compare(t, "byte by byte", records(t, file, func(key, v []byte) string {
		if string(key) != "resize-u1" {
			return ""
		}
		return fmt.Sprintf("%q", v)
	})[7:], []string{
		`"resize\x00u1\x001` +
			`\f\f\t\v\t\t\v\t\t\t\f\t\t\f\t    \v   \t    \f\f\v\f\v\f\f \f\t\v\t\f\f \v\v\t\f\v \f\t        \t              \t\v\t\f\t \t\f\t\f\t\v\v\v\t\t\f\f` +
			`0\x00nul\x00'\""`,
	})
}

// TestGearmandRecords reads records as gearmand writes them.
func TestGearmandRecords(t *testing.T) { eachKind(t, testGearmandRecords) }

func testGearmandRecords(t *testing.T, name string) {
	file := filepath.Join(t.TempDir(), name)
	write := func(f func(d database)) {
		t.Helper()
		d, err := (&Store{isTree: filepath.Ext(name) == ".tcb"}).openDatabase(file, 0)
		if err != nil {
			t.Fatal(err)
		}
		f(d)
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	}
	write(func(d database) {
		gearmandPut(t, d, "f", "z", "1", 0, "z\x00z")
		gearmandPut(t, d, "f", "", "0", 0, "none")
		gearmandPut(t, d, "f", "-", "2", 0, "")
		gearmandPut(t, d, "a-b", "c", "1", 1795000001, "later")
	})
	var want []string
	for range 2 {
		s := open(t, file)
		got := jobsIn(t, s)
		if want == nil { // gearmand's have no order
			want = slices.Clone(got)
			sorted := slices.Sorted(slices.Values(got))
			compare(t, "gearmand's jobs", sorted, []string{
				`a-b "c" "later" p1 at 1795000001000 tried 0`, `f "" "none" p0 at 0 tried 0`, `f "-" "" p2 at 0 tried 0`, `f "z" "z\x00z" p1 at 0 tried 0`,
			})
		}
		compare(t, "jobs that were gearmand's", got, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// It does one, and takes others, one of them of the same name.
	write(func(d database) {
		if err := d.remove("f-z"); err != nil {
			t.Fatal(err)
		}
		gearmandPut(t, d, "f", "z", "1", 0, "another")
	})
	s := open(t, file)
	want = append(slices.DeleteFunc(want, func(j string) bool { return strings.Contains(j, `"z"`) }), `f "z" "another" p1 at 0 tried 0`)
	compare(t, "jobs after gearmand's turn", jobsIn(t, s), want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	verifyFile(t, file)
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct{ url, file, err string }{
		{"tokyocabinet:queue.tch", "queue.tch", ""},
		{"tokyocabinet:///var/lib/q.tch", "/var/lib/q.tch", ""},
		{"tokyocabinet:queue.tcb", "queue.tcb", ""},
		{"tokyocabinet:queue.tcf", "", "ends in .tch"},
		{"tokyocabinet:*", "", "ends in .tch"},
		{"tokyocabinet:q.tch?sync=never", "", `unknown option "sync"`},
		{"tokyocabinet://host/q.tch", "", "want tokyocabinet:FILE.tch"},
	} {
		u, err := store.ParseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseURL(u)
		switch {
		case tc.err == "" && (err != nil || got.File != tc.file):
			t.Errorf("%s: got %+v, %v, want %s", tc.url, got, err, tc.file)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: got %v, want %q in it", tc.url, err, tc.err)
		}
	}
}
