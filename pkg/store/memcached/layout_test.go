package memcached

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestName(t *testing.T) {
	long := strings.Repeat("u", 64)
	for _, tc := range []struct{ function, unique, want string }{
		{"f", "u", "f-u"},
		{"f", "u-v*", "f-u-v*"},
		{"f", "é", "f-é"},
		{"f", "", "f-gm-7"},
		{"f", "-", "f-gm-7"},
		{"f", "gm-8", "f-gm-7"},
		{"f", "a b", "f-gm-7"},
		{"f", "a\x00b", "f-gm-7"},
		{"f", long, "f-gm-7"},
		{"f", long[1:], "f-" + long[1:]},
		{strings.Repeat("f", 243), "u", strings.Repeat("f", 243) + "-u"},
		{strings.Repeat("f", 244), "u", ""},
		{"a b", "u", ""},
		{"a-b", "u", ""},
		{"", "u", ""},
	} {
		l, err := newLayout("")
		if err != nil {
			t.Fatal(err)
		}
		got := l.jobName(&store.Record{Seq: 7, Function: tc.function, Unique: tc.unique})
		if got != tc.want {
			t.Errorf("name of %q %q: got %q, want %q", tc.function, tc.unique, got, tc.want)
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		url, servers, prefix string
	}{
		{"memcached://localhost", "localhost:11211", ""},
		{"memcached://h1:1,h2:2?prefix=p_", "h1:1 h2:2", "p_"},
		{"memcached:h1:1,h2,[::1]:3,/run/m.sock?prefix=p", "h1:1 h2:11211 [::1]:3 /run/m.sock", "p"},
	} {
		u, err := store.ParseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseURL(u)
		if got := strings.Join(c.Servers, " "); err != nil || got != tc.servers || c.Prefix != tc.prefix {
			t.Errorf("%s: got %q %q, %v", tc.url, got, c.Prefix, err)
		}
	}
	for _, url := range []string{"memcached://u:p@h", "memcached://h/1", "memcached://h?table=x", "memcached://h?prefix=a+b"} {
		u, err := store.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := ParseURL(u); err == nil {
			t.Errorf("%s: got %+v, want an error", url, c)
		}
	}
}

func TestLayout(t *testing.T) {
	server := storetest.StartMemcached(t)
	s := open(t, []string{server.Addr()})
	defer s.Close()
	lock(t, s, "test")
	low := add(2, "resize", "", "without unique")
	low.Record.Priority = 2
	commit(t, s, add(1, "resize", "a", "with unique"), low, add(3, "send-mail", "b", "hyphen"), add(4, "resize", "c", "N\x00L"),
		store.Op{Kind: store.Put, Key: "dead/1", Value: []byte("x")})
	want := []string{
		"gear_resize-a", "gear_resize-c", "gear_resize-gm-2",
		"gm:gear_:j:" + hash("3"), "gm:gear_:j:" + hash("resize-a"), "gm:gear_:j:" + hash("resize-c"), "gm:gear_:j:" + hash("resize-gm-2"),
		"gm:gear_:last", "gm:gear_:lock", "gm:gear_:p:3:0", "gm:gear_:x:" + hash("dead/1"),
	}
	slices.Sort(want)
	if got := keys(t, server); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got := server.Do(t, "get gear_resize-gm-2\r\nget gear_resize-c")
	if want := "VALUE gear_resize-gm-2 2 14\r\nwithout unique\r\nEND\r\nVALUE gear_resize-c 1 3\r\nN\x00L\r\nEND\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, r := range replay(t, s) {
		commit(t, s, store.Op{Kind: store.Done, Record: &r})
	}
	commit(t, s, store.Op{Kind: store.Delete, Key: "dead/1"})
	if got := keys(t, server); !slices.Equal(got, []string{"gm:gear_:last", "gm:gear_:lock"}) {
		t.Errorf("when all is done: got %q", got)
	}
}

// TestParts stores values that do not fit into one item.
func TestParts(t *testing.T) {
	server := storetest.StartMemcached(t, "-m", "256")
	s := open(t, []string{server.Addr()})
	defer func() { s.Close() }()
	for _, size := range []int{s.maxItem - 1, s.maxItem, s.maxItem + 1, 2 * s.maxItem, 2*s.maxItem + 1} {
		text := strings.Repeat("0123456789", size/10+1)[:size]
		op := add(uint64(size), "f", "u", text)
		commit(t, s, op, store.Op{Kind: store.Put, Key: "k", Value: []byte(text)})
		s.Close()
		s = open(t, []string{server.Addr()})
		if got := payloads(t, s); got != text {
			t.Errorf("payload of %d bytes: got %d", size, len(got))
		}
		found := -1
		err := s.Extras(t.Context(), "k", func(_ string, value []byte) error {
			if string(value) == text {
				found = len(value)
			}
			return nil
		})
		if err != nil || found != size {
			t.Errorf("extra of %d bytes: got %d, %v", size, found, err)
		}
		commit(t, s, done(op), store.Op{Kind: store.Delete, Key: "k"})
		if got := keys(t, server); !slices.Equal(got, []string{"gm:gear_:last"}) {
			t.Errorf("after a payload of %d bytes: left are %q", size, got)
		}
	}
}

func TestForeign(t *testing.T) {
	server := storetest.StartMemcached(t)
	first := open(t, []string{server.Addr()})
	lock(t, first, "test")
	commit(t, first, add(9_000_000_000_000_000, "f", "ours", "first"), add(3, "f", "drained", "gone"), add(4, "f", "again", "old"))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	id := "5567cb7e-e737-11f1-b42d-02fc00000001"
	commands := []string{"delete gear_f-drained"}
	for _, item := range []struct {
		key   string
		flags int
		value string
	}{
		{"gear_f-again", 0, "newer"},
		{"gear_f-a", 0, `qu"o'te`},
		{"gear_f-", 2, "no unique"},
		{"gear_f--", 1, "dash"},
		{"gear_f-gm-1", 1, "like ours"},
		{"gear_send-mail-" + id, 1, "hyphen"},
		{"gear_f-é", 7, "N\x00L"},
		{"gear_nohyphen", 1, "x"},
		{"other_f-u", 1, "x"},
	} {
		commands = append(commands, fmt.Sprintf("set %s %d 0 %d\r\n%s", item.key, item.flags, len(item.value), item.value))
	}
	server.Do(t, strings.Join(commands, "\r\n"))

	want := []string{
		`"f" "again" "newer" 0`, `"f" "ours" "first" 1`,
		`"f" "" "no unique" 2`, `"f" "-" "dash" 1`, `"f" "a" "qu\"o'te" 0`, `"f" "gm-1" "like ours" 1`,
		`"f" "é" "N\x00L" 1`, `"send-mail" "` + id + `" "hyphen" 1`,
	}
	var seqs []uint64
	for round := range 3 {
		var skipped []string
		s := open(t, []string{server.Addr()}, func(c *Config) { c.Skipped = func(what string, _ error) { skipped = append(skipped, what) } })
		if round > 0 { // without the lock it does the same while nobody has it
			lock(t, s, "test")
		}
		var got []string
		var now []uint64
		for _, r := range replay(t, s) {
			got = append(got, fmt.Sprintf("%q %q %q %d", r.Function, r.Unique, r.Payload, r.Priority))
			now = append(now, r.Seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("round %d: got\n%s\nwant\n%s", round, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !slices.Equal(skipped, []string{"gear_nohyphen"}) {
			t.Errorf("round %d: skipped %q", round, skipped)
		}
		if !slices.IsSorted(now) || round > 0 && !slices.Equal(now, seqs) {
			t.Errorf("round %d: numbers %d, before %d", round, now, seqs)
		}
		seqs = now
		if round == 2 {
			for _, r := range replay(t, s) {
				commit(t, s, store.Op{Kind: store.Done, Record: &r})
			}
			if got := replay(t, s); len(got) > 0 {
				t.Errorf("when all is done: got %d jobs", len(got))
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSwap exchanges jobs with gearmand, over one server and over three.
func TestSwap(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) { testSwap(t, n) })
	}
}

func testSwap(t *testing.T, n int) {
	var addrs []string
	for range n {
		addrs = append(addrs, storetest.StartMemcached(t).Addr())
	}
	options := []string{"--queue-type=libmemcached", "--libmemcached-servers=" + strings.Join(addrs, ",")}
	var jobs []storetest.GearmandJob
	for i := range 50 {
		jobs = append(jobs, storetest.GearmandJob{
			Function: fmt.Sprint("function", i%3), Unique: fmt.Sprint("unique-", i), Payload: fmt.Sprintf(`pay'l"oa\d`+" %d\x00", i),
		})
	}
	inOrder := func(a, b storetest.GearmandJob) int { return strings.Compare(a.Function+a.Unique, b.Function+b.Unique) }
	want := slices.SortedFunc(slices.Values(jobs), inOrder)

	g := storetest.StartGearmand(t, options...)
	g.Submit(t, jobs...)
	g.Stop()
	s := open(t, addrs)
	lock(t, s, "test")
	var got []storetest.GearmandJob
	var ends, adds []store.Op
	for _, r := range replay(t, s) {
		got = append(got, storetest.GearmandJob{Function: r.Function, Unique: r.Unique, Payload: string(r.Payload)})
		ends = append(ends, store.Op{Kind: store.Done, Record: &r})
		adds = append(adds, store.Op{Kind: store.Add, Record: &r})
	}
	slices.SortFunc(got, inOrder)
	if !slices.Equal(got, want) {
		t.Errorf("from gearmand: got %q\nwant %q", got, want)
	}

	// Back. gearmand finds only the keys that stats cachedump lists, but each
	// key is on the server where gearmand searches for it.
	commit(t, s, ends...)
	commit(t, s, adds...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	g = storetest.StartGearmand(t, options...)
	found := g.Drain(t, "function0", "function1", "function2")
	g.Stop()
	t.Logf("gearmand has found %d of %d jobs", len(found), len(jobs))
	for _, j := range found {
		if !slices.Contains(want, j) {
			t.Errorf("from gm: got %q", j)
		}
	}

	s = open(t, addrs)
	defer s.Close()
	lock(t, s, "test")
	for _, r := range replay(t, s) {
		found = append(found, storetest.GearmandJob{Function: r.Function, Unique: r.Unique, Payload: string(r.Payload)})
	}
	slices.SortFunc(found, inOrder)
	if !slices.Equal(found, want) {
		t.Errorf("from gm, with what is left: got %q\nwant %q", found, want)
	}
}

// TestServerOf compares with where gearmand 1.1.20 puts its items.
func TestServerOf(t *testing.T) {
	p := newPool([]string{"a", "b", "c"})
	for key, want := range map[string]int{
		"gear_multi-uni1": 1, "gear_multi-uni5": 1, "gear_multi-uni6": 0, "gear_multi-uni9": 0,
		"gear_multi-unié": 2, "gear_multi-uniü": 0,
	} {
		if got := p.serverOf(key); got != want {
			t.Errorf("%s: got server %d, want %d", key, got, want)
		}
	}
}

// TestAsIs checks that a store opened for reading only changes nothing.
func TestAsIs(t *testing.T) {
	server := storetest.StartMemcached(t)
	storetest.RunAsIs(t, storetest.Swap{
		Options: []string{"--queue-type=libmemcached", "--libmemcached-servers=" + server.Addr()},
		Open:    func(t testing.TB) store.Store { return open(t, []string{server.Addr()}) },
		AsIs: func(t testing.TB) store.Store {
			return open(t, []string{server.Addr()}, func(c *Config) { c.AsIs = true })
		},
		Dump: func(t testing.TB) string {
			all := ""
			for _, key := range keys(t, server) {
				all += server.Do(t, "get "+key)
			}
			return all
		},
	})
}

// TestPartMissing checks that a payload and an extra of which memcached has thrown
// a part away are reported.
func TestPartMissing(t *testing.T) {
	server := storetest.StartMemcached(t)
	var skipped []string
	s := open(t, []string{server.Addr()}, func(c *Config) { c.Skipped = func(_ string, err error) { skipped = append(skipped, err.Error()) } })
	defer s.Close()
	large := strings.Repeat("x", 3<<20)
	commit(t, s, add(1, "f", "a", "one"), add(2, "f", "b", large), store.Op{Kind: store.Put, Key: "dead/1", Value: []byte(large)})
	server.Do(t, "delete gm:gear_:p:2:1\r\ndelete "+s.layout.extraPart("dead/1")+"1")
	if got := replay(t, s); len(got) != 1 || got[0].Seq != 1 {
		t.Errorf("got %d jobs, want the first", len(got))
	}
	if err := s.Extras(t.Context(), "", func(string, []byte) error { return errors.New("an extra") }); err != nil {
		t.Error(err)
	}
	if got := strings.Join(skipped, "; "); len(skipped) != 2 || !strings.Contains(got, `job 2 of "f"`) || !strings.Contains(got, `extra "dead/1"`) {
		t.Errorf("skipped: got %q, want the job and the extra", got)
	}
}

// TestPagesOf checks that jobs are not read together that are large together.
func TestPagesOf(t *testing.T) {
	var rows []*row
	for i := range 600 {
		size := 10
		if i%100 == 0 {
			size = pageBytes - 5
		}
		rows = append(rows, &row{size: size})
	}
	n := 0
	for page := range pagesOf(rows) {
		size := 0
		for _, w := range page {
			size += w.size
		}
		if n += len(page); len(page) == 0 || len(page) > pageJobs || len(page) > 1 && size > pageBytes {
			t.Errorf("page of %d rows and %d bytes", len(page), size)
		}
	}
	if n != len(rows) {
		t.Errorf("got %d rows, want %d", n, len(rows))
	}
}
