// Package tokyocabinet keeps jobs in a database of Tokyo Cabinet, under the keys
// of gearmand's libtokyocabinet queue: one server can be stopped and the other
// started on it. The name of the file says its kind, as it does for gearmand: a
// hash database ends in .tch, a B+ tree database in .tcb. The package needs cgo
// and the C library, and so the build tag tokyocabinet: without it, Open only
// says how to get it.
//
//	FILE.tch          the database, in the last resort the only file
//	FILE.tch.journal  batches that are not in it for good yet
//	FILE.tcb.wal      the library's log of a transaction, see below
//	FILE.tch.lock     who has the store, while somebody has
//	FILE.tch.corrupt  records that were set aside, a JSON object a line
//	FILE.tch.broken-* databases that were broken, as they were found
//
// gearmand reads every record of the database as a job, so all of it has to
// look like one. What gm needs beyond that stands, in spaces, before the digits
// of the run time, where strtoul skips it (see value). Extras are jobs of a
// function of their own that are due in the year 2286.
//
// The two kinds are written in different ways. A change of a hash database
// overwrites one record, so that a journal of batches makes up for a kill. A
// change of a B+ tree may move records between pages, which the library writes
// in any order: a batch is a transaction of the library, whose log has the old
// content of all that it overwrites. That takes seven syncs for a batch of one
// job and more for larger ones, where the journal takes one. A B+ tree database
// that was killed needs no new file, and the library itself can open it, with
// every batch that was committed.
//
// Its parts, from the bottom up:
//
//   - value is what a record holds, key what it is under;
//   - table reads and verifies a database without the library, which trusts
//     every offset it finds; page does so with the pages of a B+ tree database,
//     which is a hash database of pages;
//   - journal makes a batch in a hash database whole and durable;
//   - wal undoes the transaction in which a B+ tree database was left;
//   - hash and tree are the library, which is asked to put, get and remove, and
//     for the transactions of a tree;
//   - salvage makes a new database of the records that can be read of a broken
//     one, whatever their page, or of a hash database that was not closed. When
//     the disk has no room for one, it mends the hash database in place;
//   - [Store] puts batches into the database.
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
	File   string       // ends in .tch or .tcb; its directory must be there
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
		return c, fmt.Errorf("store %v: want tokyocabinet:FILE.tch or tokyocabinet:FILE.tcb", u)
	}
	for key := range u.Query {
		return c, u.UnknownKey(key)
	}
	return c, c.check()
}

// check returns an error unless the name is that of a hash or B+ tree database. The
// library's other kinds can't have such keys, or are no files.
func (c *Config) check() error {
	if !strings.HasSuffix(c.File, ".tch") && !c.isTree() {
		return fmt.Errorf("store tokyocabinet:%s: want a name that ends in .tch (hash database) or .tcb (B+ tree database)", c.File)
	}
	return nil
}

// isTree reports whether the name is that of a B+ tree database. gearmand goes by
// the name too.
func (c *Config) isTree() bool { return strings.HasSuffix(c.File, ".tcb") }
