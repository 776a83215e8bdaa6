package storetest

import (
	"errors"
	"fmt"
	"strings"

	"gm/pkg/store"
)

func put(key string, value []byte) store.Op {
	return store.Op{Kind: store.Put, Key: key, Value: value}
}

func forget(key string) store.Op { return store.Op{Kind: store.Delete, Key: key} }

func testExtras(r *fixture) {
	r.commit(put("dead/1", []byte("first")), r.job("f", "u", nil), put("dead/2", []byte{}), put("set/retry", nil))
	r.check()
	r.commit(put("dead/1", []byte("second")), put("dead/1", []byte("third")), forget("dead/2"), forget("never/there"))
	r.check()
	r.commit(put("twice", []byte("gone")), forget("twice"), forget("dead/1"), put("dead/1", []byte("back")))
	r.check()

	for i, value := range awkward {
		r.commit(put(fmt.Sprint("value/", i), []byte(value)))
	}
	r.commit(put("value/large", payload(1<<20)))
	r.check()
	for key := range r.extras {
		r.compareExtra(key)
	}
	r.commit(forget("value/large"), forget("value/1"))
	r.check()
	for _, key := range []string{"value/large", "value/1", "value/2", "value", "value/", "dead/1"} {
		r.compareExtra(key)
	}
	r.commit(put("value/2", []byte("committed a moment ago")), forget("dead/1"), put("value/1", []byte{}))
	for _, key := range []string{"value/1", "value/2", "dead/1"} {
		r.compareExtra(key)
	}
}

func testExtrasPrefix(r *fixture) {
	var all strings.Builder // every character that a key may have
	for c := byte(' '); c <= '~'; c++ {
		all.WriteByte(c)
	}
	keys := []string{
		"a", "A", "a/", "a/b", "A/b", "a/b/c", "aa", "b", "a%", "a_", "a*", "a?", "a[b]", `a\`, "a'b", `a"b`, "a b", " a", "~",
		strings.Repeat("k", 200), strings.Repeat("k", 199), strings.Repeat("K", 200), all.String(), "gm", "_gm",
	}
	for _, key := range keys {
		r.commit(put(key, []byte("under "+key)))
	}
	r.check()
	for _, prefix := range append(keys, "", "a/b/c/d", "x", "[", `\`, "%", "_", "*", "k", strings.Repeat("k", 150)) {
		r.compareExtras(prefix)
	}
	if !r.lists() {
		return
	}
	stop := errors.New("stop")
	n := 0
	err := r.s.Extras(r.ctx, "a", func(string, []byte) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		r.t.Errorf("extras whose f fails: got %v after %d calls, want %v after 1", err, n, stop)
	}
}
