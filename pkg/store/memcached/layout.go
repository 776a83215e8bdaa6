package memcached

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"gm/internal/codec"
	"gm/pkg/store"
)

const (
	// maxKey is the maximum length of a key in memcached.
	maxKey = 250
	// maxPrefix leaves room in a key for the part after the prefix.
	maxPrefix = 100
)

// layout has the names of keys.
type layout struct {
	prefix string // of gearmand's keys
	own    string // of gm's
	lock   string
	last   string
}

// newLayout returns the layout for gearmand's prefix.
func newLayout(prefix string) (layout, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if len(prefix) > maxPrefix || !fitsKey(prefix) {
		return layout{}, fmt.Errorf("prefix %q cannot be the beginning of a key in memcached", prefix)
	}
	own := "gm:" + prefix + ":"
	if strings.HasPrefix(own, prefix) { // gearmand would read it as a job
		own = "~" + own
	}
	return layout{prefix: prefix, own: own, lock: own + "lock", last: own + "last"}, nil
}

// fitsKey reports whether s can be in a key.
func fitsKey(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// jobName returns the name under which gearmand reads the same job back. It is "" if
// there is no such name, or if it may be another job's.
func (l *layout) jobName(r *store.Record) string {
	if r.Apart || r.Function == "" || strings.Contains(r.Function, "-") || !fitsKey(r.Function) {
		return ""
	}
	unique := r.Unique
	if !codec.FitsGearmand(unique) || !fitsKey(unique) {
		unique = string(codec.AppendUnique(nil, r.Seq))
	}
	name := r.Function + "-" + unique
	if len(l.prefix)+len(name) > maxKey {
		return ""
	}
	return name
}

// hiddenName returns the name of a job that gearmand does not find. Unlike all other
// names, it has no hyphen.
func hiddenName(seq uint64) string { return strconv.FormatUint(seq, 10) }

// rowKey returns the key of the row of a job with that name.
func (l *layout) rowKey(name string) string { return l.own + "j:" + hash(name) }

// extraKey returns the key of an extra.
func (l *layout) extraKey(key string) string { return l.own + "x:" + hash(key) }

// payloadPart returns the prefix of the keys of a payload's parts.
func (l *layout) payloadPart(seq uint64) string { return l.own + "p:" + hiddenName(seq) + ":" }

// extraPart returns the prefix of the keys of an extra's parts.
func (l *layout) extraPart(key string) string { return l.own + "y:" + hash(key) + ":" }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// partKeys returns the keys of the parts of a value.
func partKeys(begin string, size, part int) []string {
	var keys []string
	for n := 0; n == 0 || n*part < size; n++ {
		keys = append(keys, begin+strconv.Itoa(n))
	}
	return keys
}

// row has the fields of a job's row. Its item's flags are the size of its
// payload's parts, or 0 if the payload is under gearmand's key.
type row struct {
	*store.Record // without payload
	size          int
	part          int
}

func (w *row) encode() *item {
	r := *w.Record
	r.Payload = binary.AppendUvarint(nil, uint64(w.size))
	return &item{codec.AppendRecord(nil, &r), uint32(w.part)}
}

// decodeRow decodes a row. The error of a damaged row is a *store.CorruptError.
func decodeRow(it item) (*row, error) {
	r, err := codec.DecodeRecord(it.value)
	if err != nil {
		return nil, err
	}
	size, n := binary.Uvarint(r.Payload)
	if n <= 0 {
		return nil, &store.CorruptError{Why: "no size of the payload"}
	}
	r.Payload = nil
	return &row{r, int(size), int(it.flags)}, nil
}

// encodeLast returns the item of the highest number: in decimal.
func encodeLast(seq uint64) *item { return &item{value: strconv.AppendUint(nil, seq, 10)} }

func decodeLast(it item) (uint64, error) { return strconv.ParseUint(string(it.value), 10, 64) }

// extraHead has the fields of an extra's item. Its flags are the size of its
// parts, or 0 if the value is in the item itself.
type extraHead struct {
	key   string
	value []byte // of an extra without parts
	size  int
	part  int
}

func (e *extraHead) encode() *item {
	b := codec.AppendField(nil, e.key)
	if e.part == 0 {
		b = append(b, e.value...)
	} else {
		b = binary.AppendUvarint(b, uint64(e.size))
	}
	return &item{b, uint32(e.part)}
}

func decodeExtra(it item) (*extraHead, bool) {
	key, rest, ok := codec.CutField(it.value)
	if !ok {
		return nil, false
	}
	e := &extraHead{key: string(key), part: int(it.flags)}
	if e.part == 0 {
		e.value, e.size = rest, len(rest)
		return e, true
	}
	size, w := binary.Uvarint(rest)
	e.size = int(size)
	return e, w > 0
}
