package redis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestName(t *testing.T) {
	const long = "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu" // 64
	for _, tc := range []struct {
		prefix, function, unique string
		want                     string
	}{
		{"_gear_", "f", "u", "f-u"},
		{"_gear_", "f", "u-v", "f-u-v"},
		{"_gear_", "f g", "-u", "f g--u"},
		{"_gear_", "f", "", "f-gm-7"},
		{"_gear_", "f", "-", "f-gm-7"},
		{"_gear_", "f", "gm-8", "f-gm-7"},
		{"_gear_", "f", "a*b", "f-gm-7"},
		{"_gear_", "f", "a\x00b", "f-gm-7"},
		{"_gear_", "f", long, "f-gm-7"},
		{"_gear_", "f", long[1:], "f-" + long[1:]},
		{"_gear_", "a-b", "u", ""},
		{"_gear_", "a\x00b", "u", ""},
		{"_gear_", "", "u", ""},
		{"a-b", "f", "u", ""},
	} {
		l, err := newLayout(tc.prefix)
		if err != nil {
			t.Fatal(err)
		}
		got := l.jobName(&store.Record{Seq: 7, Function: tc.function, Unique: tc.unique})
		if got != tc.want {
			t.Errorf("name of %q %q with prefix %q: got %q, want %q", tc.function, tc.unique, tc.prefix, got, tc.want)
		}
	}
}

// TestOwnKeys checks that gearmand's listing never has gm's own keys.
func TestOwnKeys(t *testing.T) {
	for _, prefix := range []string{"_gear_", "g", "gm", "gm:", "gm:g", "~", "~gm:", "a-b", ":"} {
		l, err := newLayout(prefix)
		if err != nil {
			t.Errorf("prefix %q: %v", prefix, err)
		}
		for _, key := range []string{l.jobs, l.payloads, l.extras, l.lock, l.fence} {
			if strings.HasPrefix(key, prefix) {
				t.Errorf("prefix %q: key %q begins with it", prefix, key)
			}
		}
	}
	for _, prefix := range []string{"*", "a?", "a[b]", `\`, "a\x00"} {
		if _, err := newLayout(prefix); err == nil {
			t.Errorf("prefix %q: got no error", prefix)
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want Config
	}{
		{"redis://localhost", Config{Addr: "localhost:6379"}},
		{"redis://[::1]:7000/3?prefix=p", Config{Addr: "[::1]:7000", DB: 3, Prefix: "p"}},
		{"redis://:pass@h", Config{Addr: "h:6379", Password: "pass"}},
		{"rediss://user:pass@h:1/", Config{Addr: "h:1", TLS: true, User: "user", Password: "pass"}},
		{"redis:///2?socket=/run/redis.sock", Config{Addr: "127.0.0.1:6379", Socket: "/run/redis.sock", DB: 2}},
	} {
		u, err := store.ParseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseURL(u)
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tc.want) {
			t.Errorf("%s: got %+v, want %+v", tc.url, got, tc.want)
		}
	}
	for _, url := range []string{"redis:x", "redis://h/x", "redis://h/-1", "redis://h?table=x", "redis://h?prefix=*", "redis://h?socket=/s"} {
		u, err := store.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := ParseURL(u); err == nil {
			t.Errorf("%s: got %+v, want an error", url, c)
		}
	}
}

// dump prints all that Redis has, with rows, the fence and the lock left out.
func dump(t testing.TB, server *storetest.Redis) string {
	t.Helper()
	var b strings.Builder
	keys := strings.Fields(server.Do(t, "KEYS", "*"))
	slices.Sort(keys)
	for _, key := range keys {
		switch key {
		case "gm:_gear_:fence", "gm:_gear_:lock":
			fmt.Fprintln(&b, key)
		case "gm:_gear_:jobs":
			names := strings.Split(server.Do(t, "HKEYS", key), "\n")
			slices.Sort(names)
			fmt.Fprintln(&b, key, names)
		case "gm:_gear_:last":
			fmt.Fprintln(&b, key, server.Do(t, "GET", key))
		default:
			fields := strings.Split(server.Do(t, "HGETALL", key), "\n")
			fmt.Fprintf(&b, "%s %q\n", key, fields)
		}
	}
	return b.String()
}

func TestLayout(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	low := add(2, "resize", "", "without unique")
	low.Record.Priority = 2
	commit(t, s, add(1, "resize", "a", "with unique"), low, add(3, "send-mail", "b", "hyphen"), add(4, "resize", "c", "N\x00L"),
		store.Op{Kind: store.Put, Key: "dead/1", Value: []byte("x")})
	got := dump(t, server)
	const want = `_gear_-resize-a ["data" "with unique" "priority" "1"]
_gear_-resize-gm-2 ["data" "without unique" "priority" "2"]
gm:_gear_:extras ["dead/1" "x"]
gm:_gear_:fence
gm:_gear_:jobs [3 4 resize-a resize-gm-2]
gm:_gear_:last 00000000000000000004
gm:_gear_:lock
gm:_gear_:payloads ["3" "hyphen" "4" "N\x00L"]
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, r := range replay(t, s) {
		commit(t, s, store.Op{Kind: store.Done, Record: &r})
	}
	commit(t, s, store.Op{Kind: store.Delete, Key: "dead/1"})
	if got, want := dump(t, server), "gm:_gear_:fence\ngm:_gear_:last 00000000000000000004\ngm:_gear_:lock\n"; got != want {
		t.Errorf("when all is done: got\n%swant\n%s", got, want)
	}
}

// TestForeign reads keys of all that has ever written them.
func TestForeign(t *testing.T) {
	server := storetest.StartRedis(t)
	first := open(t, server.Addr())
	lock(t, first, "test")
	commit(t, first, add(9_000_000_000_000_000, "f", "ours", "first"), add(3, "f", "drained", "gone"), add(4, "f", "again", "old"))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	id := "5567cb7e-e737-11f1-b42d-02fc00000001"
	for _, args := range [][]string{
		{"DEL", "_gear_-f-drained"},
		{"HSET", "_gear_-f-again", "data", "newer", "priority", "0"},
		{"HSET", "_gear_-f-a", "data", `qu"o'te`, "priority", "0"},
		{"HSET", "_gear_-f-", "data", "no unique", "priority", "2"},
		{"HSET", "_gear_-f--", "data", "dash", "priority", "1"},
		{"HSET", "_gear_-f-gm-1", "data", "like ours", "priority", "1"},
		{"HSET", "_gear_-send-mail-" + id, "data", "hyphen", "priority", "1"},
		{"HSET", "_gear_-g-x-y", "data", "of 2.x", "priority", "1", "function", "g-x", "unique", "y"},
		{"SET", "_gear_-old-string", "of 1.1.15"},
		{"SET", "_gear_other", "not in the layout"},
		{"RPUSH", "_gear_-f-list", "no job"},
		{"HSET", "_gear_-f-nodata", "priority", "1"},
		{"SET", "_gear_-nohyphen", "x"},
	} {
		server.Do(t, args...)
	}
	skipped := make(map[string]bool)
	s := open(t, server.Addr(), func(c *Config) { c.Skipped = func(what string, _ error) { skipped[what] = true } })
	defer func() { s.Close() }()
	lock(t, s, "test")

	want := []string{
		`"f" "again" "newer" 0`, `"f" "ours" "first" 1`,
		`"f" "" "no unique" 2`, `"f" "-" "dash" 1`, `"f" "a" "qu\"o'te" 0`, `"f" "gm-1" "like ours" 1`,
		`"g-x" "y" "of 2.x" 1`, `"old" "string" "of 1.1.15" 1`, `"send-mail" "` + id + `" "hyphen" 1`,
	}
	compare := func(when string) []store.Record {
		t.Helper()
		all := replay(t, s)
		var got []string
		var last uint64
		for _, r := range all {
			got = append(got, fmt.Sprintf("%q %q %q %d", r.Function, r.Unique, r.Payload, r.Priority))
			if r.Seq <= last {
				t.Errorf("%s: number %d after %d", when, r.Seq, last)
			}
			last = r.Seq
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return all
	}
	all := compare("adopted")
	if got := slices.Sorted(maps.Keys(skipped)); !slices.Equal(got, []string{"_gear_-f-list", "_gear_-f-nodata", "_gear_-nohyphen"}) {
		t.Errorf("skipped: got %q", got)
	}
	again := compare("again")
	for i := range all {
		if all[i].Seq != again[i].Seq {
			t.Errorf("number %d has become %d", all[i].Seq, again[i].Seq)
		}
		got, err := s.ReadPayload(t.Context(), &store.Record{Seq: all[i].Seq, Function: all[i].Function, Unique: all[i].Unique})
		if err != nil || string(got) != string(all[i].Payload) {
			t.Errorf("payload of %q %q: got %q, %v", all[i].Function, all[i].Unique, got, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, server.Addr(), func(c *Config) { c.Skipped = nil })
	lock(t, s, "test")
	for _, r := range compare("opened again") {
		commit(t, s, store.Op{Kind: store.Done, Record: &store.Record{Seq: r.Seq, Function: r.Function, Unique: r.Unique}})
	}
	want = nil
	compare("done")
}

// TestForeignOfAnother checks that a store that another server holds is read
// and left as it is.
func TestForeignOfAnother(t *testing.T) {
	server := storetest.StartRedis(t)
	holder := open(t, server.Addr())
	defer holder.Close()
	lock(t, holder, "holder")
	commit(t, holder, add(1, "f", "ours", "one"), add(2, "f", "drained", "gone"))
	server.Do(t, "HSET", "_gear_-f-", "data", "two", "priority", "1")
	server.Do(t, "DEL", "_gear_-f-drained")
	before := dump(t, server)
	s := open(t, server.Addr())
	defer s.Close()
	for range 2 {
		if got := payloads(t, s); got != "one two" {
			t.Errorf("got %q, want one two", got)
		}
	}
	if after := dump(t, server); after != before {
		t.Errorf("reading has changed\n%sto\n%s", before, after)
	}
}

func TestSwap(t *testing.T) {
	server := storetest.StartRedis(t)
	options := []string{"--queue-type=redis", "--redis-server=127.0.0.1", fmt.Sprint("--redis-port=", server.Port())}
	var jobs []storetest.GearmandJob
	for i := range 50 {
		jobs = append(jobs, storetest.GearmandJob{
			Function: fmt.Sprint("function ", i%3), Unique: fmt.Sprint("unique-", i), Payload: fmt.Sprintf(`pay'l"oa\d %d`, i),
		})
	}
	jobs[7].Payload = "with\x00NUL"
	jobs[8].Unique = "-"
	jobs[9].Payload = ""
	inOrder := func(a, b storetest.GearmandJob) int { return strings.Compare(a.Function+a.Unique, b.Function+b.Unique) }
	want := slices.SortedFunc(slices.Values(jobs), inOrder)

	// From gearmand to gm: all.
	g := storetest.StartGearmand(t, options...)
	g.Submit(t, jobs...)
	g.Stop()
	s := open(t, server.Addr())
	lock(t, s, "test")
	var got []storetest.GearmandJob
	var ends []store.Op
	for _, r := range replay(t, s) {
		got = append(got, storetest.GearmandJob{Function: r.Function, Unique: r.Unique, Payload: string(r.Payload)})
		ends = append(ends, store.Op{Kind: store.Done, Record: &r})
	}
	slices.SortFunc(got, inOrder)
	if !slices.Equal(got, want) {
		t.Errorf("from gearmand: got %q\nwant %q", got, want)
	}
	commit(t, s, ends...)

	// Back: all jobs except those that gearmand would cut, which wait for gm.
	var adds []store.Op
	for i, j := range jobs {
		adds = append(adds, add(uint64(i+1), j.Function, j.Unique, j.Payload))
	}
	commit(t, s, adds...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	g = storetest.StartGearmand(t, options...)
	got = g.Drain(t, "function 0", "function 1", "function 2")
	g.Stop()
	for i := range got {
		if got[i].Unique == "gm-9" {
			got[i].Unique = "-"
		}
	}
	slices.SortFunc(got, inOrder)
	want = slices.DeleteFunc(want, func(j storetest.GearmandJob) bool { return j == jobs[7] })
	if !slices.Equal(got, want) {
		t.Errorf("from gm: got %q\nwant %q", got, want)
	}

	s = open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	if got := payloads(t, s); got != jobs[7].Payload {
		t.Errorf("left for gm: got %q, want %q", got, jobs[7].Payload)
	}
}

// TestLastSeqWithoutKey finds the highest number in the jobs, should somebody
// have deleted the key that has it.
func TestLastSeqWithoutKey(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(7, "f", "a", ""), add(3, "f", "b", ""))
	server.Do(t, "DEL", "gm:_gear_:last")
	if got, err := s.LastSeq(t.Context()); got != 7 || err != nil {
		t.Errorf("got %d, %v, want 7", got, err)
	}
}

// TestAsIs checks that a store opened for reading only changes nothing.
func TestAsIs(t *testing.T) {
	server := storetest.StartRedis(t)
	storetest.RunAsIs(t, storetest.Swap{
		Options: []string{"--queue-type=redis", "--redis-server=127.0.0.1", fmt.Sprint("--redis-port=", server.Port())},
		Open:    func(t testing.TB) store.Store { return open(t, server.Addr()) },
		AsIs: func(t testing.TB) store.Store {
			return open(t, server.Addr(), func(c *Config) { c.AsIs = true })
		},
		Dump: func(t testing.TB) string {
			return strings.Replace(dump(t, server), "gm:_gear_:fence\n", "", 1) // it has the number of the last holder
		},
	})
}

// TestPayloadMissing checks that a job that gearmand can't have done is not taken
// for done when its payload is missing.
func TestPayloadMissing(t *testing.T) {
	server := storetest.StartRedis(t)
	var skipped []string
	s := open(t, server.Addr(), func(c *Config) { c.Skipped = func(what string, _ error) { skipped = append(skipped, what) } })
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"), add(2, "f-g", "b", "two"), add(3, "f-g", "c", "three"))
	server.Do(t, "HDEL", "gm:_gear_:payloads", "2")
	for range 2 {
		skipped = nil
		if got := payloads(t, s); got != "one three" || !slices.Equal(skipped, []string{"2"}) {
			t.Errorf("got %q, skipped %q, want one three and 2 skipped", got, skipped)
		}
	}
}

// TestLargePages reads extras and gearmand's jobs that are too large to be read
// together: each part is below a limit of a single read.
func TestLargePages(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	large := strings.Repeat("x", pageBytes/2+1)
	want := map[string]int{}
	for i := range 5 {
		key := fmt.Sprint("dead/", i)
		commit(t, s, store.Op{Kind: store.Put, Key: key, Value: []byte(large)}, store.Op{Kind: store.Put, Key: key + "/small", Value: []byte("v")})
		want[key], want[key+"/small"] = len(large), 1
	}
	pages := 0
	err := s.eachPage(t.Context(), s.layout.extras, slices.Sorted(maps.Keys(want)), func(page []string) error {
		size := 0
		for _, key := range page {
			size += want[key]
		}
		if pages++; size > pageBytes {
			t.Errorf("page of %q: %d bytes, want at most %d", page, size, pageBytes)
		}
		return nil
	})
	if err != nil || pages != 5 {
		t.Errorf("got %d pages, %v, want 5", pages, err)
	}
	err = s.Extras(t.Context(), "", func(key string, value []byte) error {
		if len(value) != want[key] {
			t.Errorf("%s: got %d bytes, want %d", key, len(value), want[key])
		}
		delete(want, key)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("extras: %v, left out %v", err, want)
	}
}
