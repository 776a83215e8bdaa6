package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"gm/pkg/store"
)

const (
	// maxTried is the maximum size in bytes of a payload or value that the
	// suite stores. Of larger limits it tests only that larger values are
	// refused.
	maxTried = 32 << 20
	// maxWireName is the maximum length of a function that gm's server takes.
	maxWireName = 64<<10 - 8
)

// testLimits checks that the store takes operations of exactly the size of its
// Caps.
func testLimits(r *fixture) {
	if r.caps.MaxKey != 0 && r.caps.MaxKey < 200 {
		r.t.Errorf("largest key: got %d bytes, want at least 200", r.caps.MaxKey)
	}
	if r.caps.MaxName != 0 && r.caps.MaxName < 255 {
		r.t.Errorf("largest name: got %d bytes, want at least 255", r.caps.MaxName)
	}
	name := min(cmp.Or(r.caps.MaxName, maxWireName), maxWireName)
	key := min(cmp.Or(r.caps.MaxKey, 200), maxWireName)
	longest := func(letter string) store.Op {
		op := r.job(strings.Repeat(letter, name), strings.Repeat(letter, name), []byte("p"))
		op.Record.Reducer = strings.Repeat(letter, name)
		return op
	}
	// Names and keys that cannot be compressed are larger in some engines.
	noisy := longest("n")
	noisy.Record.Function, noisy.Record.Unique = noise(name), noise(name)
	full := longest("f")
	full.Record.Payload = payload(min(cmp.Or(r.caps.MaxPayload, maxTried), maxTried))
	large := payload(min(cmp.Or(r.caps.MaxValue, maxTried), maxTried))

	r.commit(longest("a"), noisy, longest("b"), put(noise(key), []byte("v")), put(strings.Repeat("k", key), []byte("v")))
	r.check()
	r.commit(full)
	r.check()
	r.commit(put(noise(key), large))
	r.check()
	// Both are in one batch, between other operations.
	again := longest("g")
	again.Record.Payload = full.Record.Payload
	r.commit(r.job("f", "u", []byte("p")), again, done(full), put("large", large), forget(noise(key)), r.job("f", "v", []byte("p")))
	r.check()
	r.commit(done(again), forget("large"), update(noisy, 3, 5))
	r.check()
}

// noise returns n printable characters without a pattern.
func noise(n int) string {
	b := payload(n)
	for i := range b {
		b[i] = '0' + b[i]%75
	}
	return string(b)
}

// testRefused checks that a store refuses an operation over a limit every time,
// names its index in the batch, accepts the rest of the batch without it, and
// takes the next batch.
func testRefused(r *fixture) {
	type refusal struct {
		limit int
		op    func(size int) store.Op
	}
	job := func(change func(*store.Record, int)) func(int) store.Op {
		return func(size int) store.Op {
			op := r.job("f", "over", []byte("p"))
			change(op.Record, size)
			return op
		}
	}
	for what, over := range map[string]refusal{
		"payload":  {r.caps.MaxPayload, job(func(j *store.Record, n int) { j.Payload = make([]byte, n) })},
		"function": {r.caps.MaxName, job(func(j *store.Record, n int) { j.Function = strings.Repeat("x", n) })},
		"unique":   {r.caps.MaxName, job(func(j *store.Record, n int) { j.Unique = strings.Repeat("x", n) })},
		"reducer":  {r.caps.MaxName, job(func(j *store.Record, n int) { j.Reducer = strings.Repeat("x", n) })},
		"key":      {r.caps.MaxKey, func(n int) store.Op { return put(strings.Repeat("x", n), []byte("v")) }},
		"value":    {r.caps.MaxValue, func(n int) store.Op { return put("over", make([]byte, n)) }},
	} {
		if over.limit == 0 {
			continue
		}
		for range 2 { // the second time like the first
			batch := []store.Op{r.job("f", "with it", []byte("p")), put("with it", []byte("v")), over.op(over.limit + 1), r.job("f", "", nil)}
			err := r.s.Commit(r.ctx, batch)
			refused := new(store.RefusedError)
			if !errors.As(err, &refused) || refused.Index != 2 {
				r.t.Errorf("commit with a %s of %d bytes: got %v, want a RefusedError of operation 2", what, over.limit+1, err)
			}
			if uncertain := new(store.UncertainError); errors.As(err, &uncertain) || err != nil && !strings.Contains(err.Error(), what) {
				r.t.Errorf("commit with a %s of %d bytes: the error is %q", what, over.limit+1, err)
			}
		}
		r.commit(r.job("f", "after "+what, []byte("p")), put("after "+what, []byte("v")))
	}
	r.check()
}

// testSizes commits random batches with sizes near those at which engines and
// drivers change their behaviour: powers of two, halves of them for data sent
// in hexadecimal, and the store's own limits.
func testSizes(r *fixture) {
	const seed, rounds, most = 4730, 40, 20 << 20
	r.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(2026, seed))
	size := func(limit int) int {
		n := 1 << random.IntN(22)
		switch random.IntN(8) {
		case 0:
			n = n * 3 / 4
		case 1:
			n = cmp.Or(min(limit, 4<<20), n) >> random.IntN(3)
		}
		n += random.IntN(9) - 4
		if limit > 0 {
			n = min(n, limit)
		}
		return min(max(n, 0), most)
	}
	var waits []store.Op
	for round := range rounds {
		var batch []store.Op
		for left := size(0); left >= 0 && len(batch) < 40; {
			var n int
			switch random.IntN(4) {
			case 0:
				n = size(r.caps.MaxValue)
				batch = append(batch, put(fmt.Sprint("key/", random.IntN(8)), payload(n)))
			case 1:
				if len(waits) > 0 {
					batch = append(batch, done(waits[0]))
					waits = waits[1:]
				}
			default:
				n = size(r.caps.MaxPayload)
				op := r.job(strings.Repeat("f", 1+random.IntN(255)), fmt.Sprint("u", r.seq), payload(n))
				batch, waits = append(batch, op), append(waits, op)
			}
			left -= n
		}
		for len(waits) > 20 { // some engines in the tests have little memory
			batch, waits = append(batch, done(waits[0])), waits[1:]
		}
		if err := r.s.Commit(r.ctx, batch); err != nil {
			r.t.Fatalf("round %d: commit of %s: %v", round, sizesOf(batch), err)
		}
		r.expect(batch)
		if round%10 == 9 {
			r.check()
		}
	}
	r.check()
}

// sizesOf prints the kinds and sizes of operations.
func sizesOf(batch []store.Op) string {
	var b strings.Builder
	for _, op := range batch {
		size := len(op.Value)
		if op.Kind == store.Add {
			size = len(op.Record.Payload)
		}
		fmt.Fprintf(&b, "%v %d, ", op.Kind, size)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// CheckRefused checks a batch with a job that an engine refuses for a reason of
// its own, such as a constraint: nothing of the batch is stored, the error is
// permanent, and the next batch succeeds.
func CheckRefused(t *testing.T, s store.Store, function string) {
	t.Helper()
	r := &fixture{t: t, ctx: t.Context(), s: s, caps: s.Caps(), seq: 7_000_000_000_000_000, jobs: map[uint64]store.Record{}, extras: map[string][]byte{}}
	for i := range 3 {
		good := r.job("f", fmt.Sprint("u", i), []byte("p"))
		// The job is alone, among others, and among so many that they need
		// several statements.
		batch := []store.Op{r.job(function, "", []byte("p"))}
		for range []int{0, 5, 5000}[i] {
			batch = append(batch, r.job("f", "", []byte("p")))
		}
		refused := new(store.RefusedError)
		if err := s.Commit(r.ctx, batch); !errors.As(err, &refused) {
			t.Errorf("commit of %d operations, one of which is not taken: got %v, want a RefusedError", len(batch), err)
		}
		r.commit(good)
	}
	r.compare()
}
