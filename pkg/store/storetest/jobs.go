package storetest

import (
	"bytes"
	"fmt"
	"strings"

	"gm/pkg/store"
)

func testEmpty(r *fixture) {
	r.compare()
	r.commit()
	r.check()
}

func testOrder(r *fixture) {
	// Within a batch and across batches, jobs are added in their order; but the
	// jobs of one connection may reach a later batch than those of another.
	for range 5 {
		r.commit(r.job("order", fmt.Sprint("u", r.seq), []byte("one")))
		var batch []store.Op
		for i := range 40 {
			batch = append(batch, r.job(fmt.Sprint("order", i%3), fmt.Sprint("u", r.seq), []byte("many")))
		}
		r.commit(batch...)
	}
	late, later := r.job("order", "late", nil), r.job("order", "later", nil)
	r.commit(later)
	r.commit(late)
	r.check()
}

func testFields(r *fixture) {
	var batch []store.Op
	for priority := range uint8(3) {
		for _, runAt := range []int64{0, 1, 999, 1000, 1_795_000_000_001, 1_795_000_000_999, 4_102_444_800_000} {
			op := r.job("fields", fmt.Sprint("u", r.seq), []byte("p"))
			op.Record.Priority, op.Record.RunAt = priority, runAt
			batch = append(batch, op)
		}
	}
	for _, attempts := range []int{0, 1, 10, 1_000_000} {
		op := r.job("fields", fmt.Sprint("u", r.seq), nil)
		op.Record.Attempts, op.Record.Accepted = attempts, int64(attempts)
		batch = append(batch, op)
	}
	for _, reducer := range []string{"", "reducer", "re'du\"cer\\%_*?[a]", "nul\x00byte", "\xff\xfe", strings.Repeat("r", 255)} {
		op := r.job("fields", fmt.Sprint("u", r.seq), []byte("p"))
		op.Record.Reducer = reducer
		batch = append(batch, op)
	}
	for _, seq := range []uint64{1, 255, 256, 1 << 32, 1 << 53, 1<<53 + 1, 1 << 62} {
		op := r.job("fields", fmt.Sprint("seq", seq), []byte("p"))
		op.Record.Seq = seq
		batch = append(batch, op)
	}
	r.commit(batch...)
	r.check()
}

func testDone(r *fixture) {
	var adds []store.Op
	for i := range 100 {
		adds = append(adds, r.job(fmt.Sprint("f", i%7), fmt.Sprint("u", i), []byte{byte(i)}))
	}
	r.commit(adds...)
	for i, op := range adds {
		if i%3 == 0 {
			r.commit(done(op))
		}
	}
	r.check()

	never := r.job("f1", "never added", nil)
	r.commit(done(never), done(adds[0]), update(never, 1, 1))
	r.check()

	var rest []store.Op
	for i := len(adds) - 1; i >= 0; i-- {
		rest = append(rest, done(adds[i]))
	}
	r.commit(rest...)
	r.check()
	r.commit(r.job("f1", "u1", []byte("and again")))
	r.check()
}

func testUpdate(r *fixture) {
	large := bytes.Repeat([]byte("large"), 20_000)
	a, b, c := r.job("f", "a", []byte("a")), r.job("f", "b", large), r.job("f", "c", nil)
	b.Record.Reducer = "kept"
	r.commit(a, b, c)
	r.commit(update(a, 1, 1_795_000_000_777), update(b, 1, 0), update(b, 2, 1_795_000_000_001))
	r.check()
	r.commit(update(b, 3, 0), done(a), update(a, 9, 9), update(c, 300, 5))
	r.check()
	// In the batch of the Add.
	d := r.job("f", "d", []byte("d"))
	r.commit(d, update(d, 1, 1234))
	r.check()
}

func testAddDone(r *fixture) {
	var batch []store.Op
	for i := range 50 {
		op := r.job("f", fmt.Sprint("u", i), []byte("short-lived"))
		batch = append(batch, op)
		if i%2 == 0 {
			batch = append(batch, done(op))
		}
	}
	r.commit(batch...)
	r.check()
}

func testSameUnique(r *fixture) {
	// Job after job of one unique, each after the one before is done.
	for range 5 {
		op := r.job("f", "u", []byte(fmt.Sprint("payload of ", r.seq)))
		r.commit(op)
		r.commit(done(op))
	}
	// The same within one batch.
	var batch []store.Op
	for range 5 {
		op := r.job("f", "u", []byte(fmt.Sprint("payload of ", r.seq)))
		batch = append(batch, op, done(op))
	}
	last := r.job("f", "u", []byte("last"))
	last.Record.RunAt = 1_795_000_000_333
	r.commit(append(batch, last)...)
	r.check()

	// A late end is not the end of the newer job.
	r.commit(done(batch[0]), update(batch[0], 5, 5))
	r.check()

	// A job of another function with that unique is another job.
	other := r.job("g", "u", []byte("other"))
	r.commit(other)
	r.commit(done(last))
	r.check()

	// A job whose predecessor is still stored, because its end was lost, may
	// replace it; the job itself is stored in any case.
	stale, fresh := r.job("h", "u", []byte("stale")), r.job("h", "u", []byte("fresh"))
	r.commit(stale)
	r.commit(fresh)
	r.commit(done(stale))
	r.check()
}

// testApart checks that jobs that are apart do not replace other jobs with
// their unique, nor one another.
func testApart(r *fixture) {
	apart := func(function, unique, payload string) store.Op {
		op := r.job(function, unique, []byte(payload))
		op.Record.Apart = true
		return op
	}
	// The payloads have the same length, so that a mix-up is detected.
	old, second, third := r.job("f", "u", []byte("older")), apart("f", "u", "apart"), apart("f", "u", "third")
	r.commit(old)
	r.commit(second)
	r.commit(third)
	r.check()
	if reader, ok := r.s.(store.Reader); ok {
		for _, op := range []store.Op{old, second, third} {
			if got, err := readPayload(r, reader, op); r.lists() && (err != nil || !bytes.Equal(got, op.Record.Payload)) {
				r.t.Errorf("payload of %s: got %s, %v, want %s", describe(op.Record), brief(got), err, op.Record.Payload)
			}
		}
	}
	r.commit(update(second, 3, 1_795_000_000_001))
	r.check()
	r.commit(done(old))
	r.check()
	r.commit(update(third, 1, 0), done(second))
	r.check()
	// A job that is not apart follows one that was, all in one batch.
	last := r.job("f", "u", []byte("again"))
	r.commit(last, apart("f", "u", "fifth"), apart("f", "", "no unique"), done(third))
	r.check()
	r.commit(done(last))
	r.check()
	// The names are in no layout.
	r.commit(r.job("a-b", "\x00", []byte("old")), apart("a-b", "\x00", "new"), r.job("f", "gm-1", []byte("old")), apart("f", "gm-1", "new"))
	r.check()
}

func testNoUnique(r *fixture) {
	var adds []store.Op
	for i := range 300 {
		unique := ""
		if i%3 == 0 {
			unique = "-"
		}
		adds = append(adds, r.job(fmt.Sprint("f", i%2), unique, fmt.Appendf(nil, "payload %d", i)))
	}
	r.commit(adds[:200]...)
	for _, op := range adds[200:] {
		r.commit(op)
	}
	r.check()
	for i := 0; i < len(adds); i += 2 {
		r.commit(done(adds[i]))
	}
	r.commit(update(adds[1], 4, 44), update(adds[3], 5, 55))
	r.check()

	// These uniques look like the replacements of a driver.
	var alike []store.Op
	for i := range 10 {
		alike = append(alike, r.job("f0", fmt.Sprint("gm-", adds[2*i+1].Record.Seq), []byte("alike")))
	}
	for range 10 {
		alike = append(alike, r.job("f0", fmt.Sprint("gm-", r.seq), []byte("alike")), r.job("f0", "", []byte("none")))
	}
	r.commit(alike...)
	r.check()
	for i := 0; i < len(alike); i += 2 {
		r.commit(done(alike[i]))
	}
	r.check()
}

func testNameLengths(r *fixture) {
	// All have the same beginning.
	var adds []store.Op
	for n := 1; n <= 255; n++ {
		adds = append(adds, r.job("f", strings.Repeat("u", n), fmt.Appendf(nil, "unique of %d", n)))
		adds = append(adds, r.job(strings.Repeat("f", n), "unique", fmt.Appendf(nil, "function of %d", n)))
	}
	long := strings.Repeat("x", 200)
	for i := range 20 {
		adds = append(adds, r.job("f", fmt.Sprint(long, i), []byte("same for 200 bytes")))
		adds = append(adds, r.job(fmt.Sprint(long, i), fmt.Sprint(long, i), []byte("both long")))
	}
	r.commit(adds...)
	r.check()
	for i := 0; i+1 < len(adds); i += 3 {
		r.commit(done(adds[i]), update(adds[i+1], i, int64(i)))
	}
	r.check()
}

// awkward are names that a driver must distinguish and return unchanged: they
// have special characters of SQL, globs, key formats and collations.
var awkward = []string{
	"plain", "Plain", "PLAIN", "plain ", " plain", "plain\t", "plai\u0148", "plai\u006e\u030c", "plain\x00", "plain\x00x",
	"it's", `it"s`, `it\s`, `it\'s`, `\`, `\\`, "'", "''", "`", "$1", "?", "%", "_", "%s", "%d%n", ";--", "*", "[a]", "a", "{a}", "{}",
	"a_b", "a-b", "a:b", "b", "b_c", "c", "a_", "_a", "-", "--", "line\nbreak", "line\r\nbreak", "\r\n", "tab\ttab", " ", "  ",
	"\xff", "\xfe\xff", "caf\xc3", "cafe", "café", "CAFÉ", "ß", "ss", "日本語", "🙂", "\x00", "\x00\x00", "\x01", "\x7f",
	"NULL", "null", "nil", "0", "00", "1", "true", "\\x00", "\\000", "gm", "gm-", "gm-1", "sha256:00", "\ufeff", "\u202e",
}

func testAwkwardNames(r *fixture) {
	var adds []store.Op
	for i, name := range awkward {
		adds = append(adds, r.job(name, "unique", fmt.Appendf(nil, "function %d", i)))
		if name != "-" {
			adds = append(adds, r.job("function", name, fmt.Appendf(nil, "unique %d", i)))
		}
		adds = append(adds, r.job(name, name, fmt.Appendf(nil, "both %d", i)))
		adds = append(adds, r.job(name, "", fmt.Appendf(nil, "no unique %d", i)))
	}
	// These names are equal when they are joined.
	for _, separator := range []string{"", "_", "-", ":", ".", "/", " ", "\t", "\x00", ","} {
		adds = append(adds, r.job("j", "j"+separator+"j", []byte("right")), r.job("j"+separator+"j", "j", []byte("left")))
	}
	for i, op := range adds {
		if i%2 == 0 {
			r.commit(op)
		}
	}
	var batch []store.Op
	for i, op := range adds {
		if i%2 == 1 {
			batch = append(batch, op)
		}
	}
	r.commit(batch...)
	r.check()
	for i, op := range adds {
		switch i % 3 {
		case 0:
			r.commit(done(op))
		case 1:
			r.commit(update(op, i, int64(i)))
		}
	}
	r.check()
}

// payload returns n bytes that contain all byte values.
func payload(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x >> 11)
	}
	return b
}

func testPayloads(r *fixture) {
	var batch []store.Op
	for _, n := range []int{0, 1, 2, 100, 255, 256, 257, 2000, 3999, 4000, 4095, 4096, 4097, 8190, 8191, 8192, 8193, 65535, 65536, 1 << 20} {
		batch = append(batch, r.job("payload", fmt.Sprint("of ", n), payload(n)))
	}
	for i, p := range awkward {
		batch = append(batch, r.job("payload", fmt.Sprint("awkward ", i), []byte(p)))
	}
	r.commit(batch...)
	r.check()

	const large = 16 << 20
	op := r.job("payload", "large", payload(large))
	if r.caps.MaxPayload == 0 || r.caps.MaxPayload >= large {
		r.commit(op)
	} else if err := r.s.Commit(r.ctx, []store.Op{op}); err == nil {
		r.t.Errorf("commit of %d bytes: got nil, want an error: the limit is %d", large, r.caps.MaxPayload)
	}
	r.check()
	r.commit(done(op))
	r.check()
}

func testLargeBatch(r *fixture) {
	const n = 6000
	var adds, ends []store.Op
	for i := range n {
		unique := ""
		if i%4 != 0 {
			unique = fmt.Sprint("unique-", i)
		}
		adds = append(adds, r.job(fmt.Sprint("f", i%10), unique, fmt.Appendf(nil, "payload %d", i)))
	}
	r.commit(adds...)
	r.check()
	for i, op := range adds {
		if i%10 < 8 {
			ends = append(ends, done(op))
		} else if i%10 == 8 {
			ends = append(ends, update(op, i, int64(i)))
		}
		if i%100 == 0 {
			ends = append(ends, r.job("between", fmt.Sprint("u", i), nil), store.Op{Kind: store.Put, Key: fmt.Sprint("key/", i), Value: []byte("v")})
		}
	}
	r.commit(ends...)
	r.check()
}
