// Package tokyocabinet keeps jobs in a database of Tokyo Cabinet, under the
// keys of gearmand's libtokyocabinet queue: either server can start on the file
// of the other. As in gearmand, the name of the file names its kind: a hash
// database ends in .tch, a B+ tree database in .tcb. The package needs cgo and
// the C library, and therefore the build tag tokyocabinet: without the tag,
// Open returns an error.
//
//	FILE.tch          the database; the only file after Close
//	FILE.tch.journal  batches that the database does not have on the disk yet
//	FILE.tcb.wal      the library's log of a transaction, see below
//	FILE.tch.lock     the holder of the store, while there is one
//	FILE.tch.corrupt  records that were set aside, a JSON object a line
//	FILE.tch.broken-* broken databases, as they were
//
// gearmand reads every record of the database as a job, so every record must look like
// a job. The fields that only gm has are written in spaces before the digits of the run
// time, because strtoul skips spaces (see value). Extras are jobs of a function of
// their own that must run in the year 2286.
//
// The two kinds are written in different ways. A change of a hash database
// overwrites one record, so after a kill the batches of the journal are made again. A
// change of a B+ tree may move records between pages, which the library writes in any
// order. There a batch is a transaction of the library, whose log has the old content
// of everything that it overwrites. A transaction needs seven syncs for a batch of one
// job and more for larger ones; the journal needs one. After a kill, a B+ tree database
// needs no new file: the library itself can open it, with every committed batch.
//
// Its parts, from the bottom up:
//
//   - value encodes and decodes records and their keys;
//   - table and verify read and verify a database without the library, which trusts
//     every offset that it finds; page does so with the pages of a B+ tree database,
//     which is a hash database of pages;
//   - journal makes a batch in a hash database atomic and durable;
//   - wal undoes the unfinished transaction of a B+ tree database;
//   - hash and tree call the library to put, get and remove, and for the
//     transactions of a tree;
//   - salvage makes a new database from the readable records of a broken one, or of a
//     hash database that was not closed. If the disk has no room for it, mend closes
//     the hash database in place;
//   - [Store] writes batches into the database.
//
// Goroutines: one watches whether the files are in their place. Close ends it.
package tokyocabinet

import (
	"fmt"
	"log/slog"
	"strings"

	"gm/pkg/store"
)

// Config has the options of a Store.
type Config struct {
	File   string       // ends in .tch or .tcb; its directory must exist
	Logger *slog.Logger // nil logs nothing
	// Skipped is called for each record, or other part of the file, that cannot
	// be read and is set aside. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config for tokyocabinet:FILE.
func ParseURL(u *store.URL) (Config, error) {
	c := Config{File: u.File()}
	if c.File == "" {
		return c, fmt.Errorf("store %v: want tokyocabinet:FILE.tch or tokyocabinet:FILE.tcb", u)
	}
	if _, err := u.Options(); err != nil {
		return c, err
	}
	return c, c.check()
}

// check returns an error unless the name is that of a hash or B+ tree database. The
// library's other kinds of databases cannot have such keys, or are not files.
func (c *Config) check() error {
	if !strings.HasSuffix(c.File, ".tch") && !c.isTree() {
		return fmt.Errorf("store tokyocabinet:%s: want a name that ends in .tch (hash database) or .tcb (B+ tree database)", c.File)
	}
	return nil
}

// isTree reports whether the name is that of a B+ tree database, also for gearmand.
func (c *Config) isTree() bool { return strings.HasSuffix(c.File, ".tcb") }
