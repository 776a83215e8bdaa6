// Package tokyocabinet keeps jobs in a hash database of Tokyo Cabinet, under
// the keys of gearmand's libtokyocabinet queue: one server can be stopped and
// the other started on it. It needs cgo and the C library, and so the build
// tag tokyocabinet: without it, Open only says how to get it.
//
//	FILE.tch          the database, in the last resort the only file
//	FILE.tch.journal  batches that are not in it for good yet
//	FILE.tch.lock     who has the store, while somebody has
//	FILE.tch.corrupt  records that were set aside, a JSON object a line
//	FILE.tch.broken-* databases that were broken, as they were found
//
// gearmand reads every record of the database as a job, so all of it has to
// look like one. What gm needs beyond that stands, in spaces, before the digits
// of the run time, where strtoul skips it (see value). Extras are jobs of a
// function of their own that are due in the year 2286.
//
// Its parts, from the bottom up:
//
//   - value is what a record holds, key what it is under;
//   - table reads and verifies a database without the library, which trusts
//     every offset it finds;
//   - journal is what makes a batch whole and durable: the library's own
//     transactions sync every write of theirs;
//   - hash is the library, of which nothing is asked but to put, get and
//     remove;
//   - salvage makes a new database of what can be read of a broken one, or of
//     one that was not closed;
//   - [Store] puts batches into the journal and then into the database.
//
// Goroutines: one that watches whether the files are still there. Close ends it.
package tokyocabinet

import (
	"fmt"
	"log/slog"
	"strings"

	"gm/pkg/store"
)

// Config is how a Store is opened.
type Config struct {
	File   string       // ends in .tch; its directory must be there
	Logger *slog.Logger // nil logs nothing
	// Skipped is told of each thing that can't be read and is set aside: a
	// record, or a part of the file. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config of tokyocabinet:FILE.
func ParseURL(u *store.URL) (Config, error) {
	c := Config{File: u.Path}
	if u.Net != nil && u.Net.Host == "" { // tokyocabinet:///FILE
		c.File = u.Net.Path
	}
	if c.File == "" {
		return c, fmt.Errorf("store %v: want tokyocabinet:FILE.tch", u)
	}
	for key := range u.Query {
		return c, u.UnknownKey(key)
	}
	return c, c.check()
}

// check sees that the file is to be a hash database, as its name tells the
// library. Of the others, one can't have such keys, and none was of use here.
func (c *Config) check() error {
	if !strings.HasSuffix(c.File, ".tch") {
		return fmt.Errorf("store tokyocabinet:%s: want a hash database, whose name ends in .tch", c.File)
	}
	return nil
}
