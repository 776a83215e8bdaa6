package redis

import (
	"fmt"
	"strconv"
	"strings"

	"gm/internal/codec"
	"gm/pkg/store"
)

// layout has the names of keys.
type layout struct {
	prefix string // of gearmand's keys, with the hyphen
	plain  bool   // gearmand can separate the prefix from the rest

	jobs, payloads, extras, last, lock, fence string
}

// newLayout returns the layout for gearmand's prefix.
func newLayout(prefix string) (layout, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if strings.ContainsAny(prefix, "*?[\\\x00") {
		return layout{}, fmt.Errorf("prefix %q contains one of * ? [ \\, which gearmand uses as a pattern", prefix)
	}
	own := "gm:" + prefix + ":"
	if strings.HasPrefix(own, prefix) { // gearmand would list it
		own = "~" + own
	}
	return layout{
		prefix: prefix + "-", plain: !strings.Contains(prefix, "-"),
		jobs: own + "jobs", payloads: own + "payloads", extras: own + "extras", last: own + "last", lock: own + "lock", fence: own + "fence",
	}, nil
}

// maxFunction is the maximum length of a function in gearmand, without the NUL.
const maxFunction = 511

// jobName returns the name under which gearmand reads the same job back. It is "" if
// there is no such name, or if it may be another job's.
func (l *layout) jobName(r *store.Record) string {
	if r.Apart || !l.plain || r.Function == "" || len(r.Function) > maxFunction || strings.ContainsAny(r.Function, "-\x00") {
		return ""
	}
	unique := r.Unique
	if !codec.FitsGearmand(unique) || strings.Contains(unique, "*") {
		unique = string(codec.AppendUnique(nil, r.Seq))
	}
	return r.Function + "-" + unique
}

// hiddenName returns the name of a job that gearmand does not find. Unlike all other
// names, it has no hyphen.
func hiddenName(seq uint64) string { return strconv.FormatUint(seq, 10) }

// prefixPattern returns the pattern for keys that begin with s.
func prefixPattern(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`*?[]\^-`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String() + "*"
}
