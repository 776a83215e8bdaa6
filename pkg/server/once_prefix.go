package server

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gm/pkg/wire"
)

// This file has the uniques that connections with the option once ask for. A server that
// keeps no results keeps the outcomes of the jobs with these uniques all the same.

const (
	// onceTime is the time for which a server without Config.KeepResults keeps such an
	// outcome.
	onceTime = 10 * time.Minute
	// oncePrefixTime is the time for which a prefix counts after its last use.
	oncePrefixTime = 30 * 24 * time.Hour
	// onceRefresh is the age at which a stored date of a use is replaced.
	onceRefresh = 24 * time.Hour
	// maxOncePrefixes is the maximum number of prefixes. The oldest one makes room.
	maxOncePrefixes = 64
)

// onceExtra is the prefix of the keys of prefixes in a store; the hexadecimal digits of
// one follow. The value is the date of its last use in Unix milliseconds.
const onceExtra = "once/"

// oncePrefix is the prefix of the uniques for which a connection has the option once.
type oncePrefix string

// oncePrefixes has the dates of the last uses, in Unix milliseconds. An empty prefix is
// not among them: it needs Config.KeepResults.
type oncePrefixes map[oncePrefix]int64

// match reports whether a unique begins with a prefix.
func (o oncePrefixes) match(unique []byte) bool {
	for prefix := range o {
		if bytes.HasPrefix(unique, []byte(prefix)) {
			return true
		}
	}
	return false
}

// oldest returns the prefix that was not used for the longest time.
func (o oncePrefixes) oldest() (oldest oncePrefix) {
	var date int64
	for prefix, used := range o {
		if oldest == "" || used < date {
			oldest, date = prefix, used
		}
	}
	return oldest
}

// onceName returns the name of the option once without its prefix.
func onceName(option []byte) []byte {
	name, _, _ := bytes.Cut(option, []byte{':'})
	return name
}

// setOnce sets the option once of a connection. It returns an error if it needs
// Config.KeepResults.
func (c *conn) setOnce(option []byte) error {
	_, text, _ := bytes.Cut(option, []byte{':'})
	prefix := oncePrefix(text[:min(len(text), wire.MaxUnique+1)]) // a longer one fits no unique either
	if r := c.s.results; !r.all {
		if prefix == "" {
			return fmt.Errorf("option %q needs a prefix, or a server that keeps results", option)
		}
		r.useOnce(prefix)
	}
	c.once = ptr(prefix)
	return nil
}

// useOnce notes the use of a prefix. The next server on the store must know it before
// the jobs of this one end.
func (r *results) useOnce(prefix oncePrefix) {
	if len(prefix) > wire.MaxUnique {
		return
	}
	wall := r.s.q.Wall()
	date, known := r.once[prefix]
	if known && wall-date < onceRefresh.Milliseconds() {
		return
	}
	if !known && len(r.once) >= maxOncePrefixes {
		r.forgetOnce(r.once.oldest())
	}
	r.once[prefix] = wall
	if r.s.commit != nil {
		r.s.commit.put(prefix.key(), []byte(strconv.FormatInt(wall, 10)))
	}
}

// forgetOnce removes a prefix.
func (r *results) forgetOnce(prefix oncePrefix) {
	delete(r.once, prefix)
	if r.s.commit != nil {
		r.s.commit.delete(prefix.key())
	}
}

// expireOnce removes the prefixes that nobody has used for a long time.
func (r *results) expireOnce(wall int64) {
	for prefix, date := range r.once {
		if date+oncePrefixTime.Milliseconds() <= wall {
			r.forgetOnce(prefix)
		}
	}
}

func (p oncePrefix) key() string { return onceExtra + hex.EncodeToString([]byte(p)) }

// restoreOnce enters a prefix from the store.
func (r *results) restoreOnce(key string, value []byte) error {
	text, err := hex.DecodeString(strings.TrimPrefix(key, onceExtra))
	if err != nil || len(text) == 0 || len(text) > wire.MaxUnique {
		return fmt.Errorf("extra %q: not a prefix", key)
	}
	date, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return fmt.Errorf("extra %q: date: %w", key, err)
	}
	if _, known := r.once[oncePrefix(text)]; !known { // else it was used since the start
		r.once[oncePrefix(text)] = date
	}
	return nil
}
