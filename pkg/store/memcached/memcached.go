// Package memcached keeps jobs in memcached, under the keys of gearmand's
// libmemcached plugin. It finds the jobs that gearmand has queued. gearmand does
// not find all jobs of gm: it lists keys with stats cachedump, which newer versions
// of memcached answer incompletely (about 70 of 82 jobs), and it ends a function at
// the first hyphen. Jobs that it does not find wait until gm uses the store again.
// gearmand has no run times: it runs a delayed job at once.
//
// gearmand has an item for each job. The item's flags are the priority:
//
//	gear_FUNCTION-UNIQUE    the payload
//
// Other data of gm are in items that gearmand ignores, because their keys begin
// differently. HASH is a hash of the names, which may be longer than keys:
//
//	gm:gear_:j:HASH      a job's row: number, names, times, attempts; one for each job
//	gm:gear_:p:SEQ:N     part N of a payload that does not fit gearmand's key or item
//	gm:gear_:x:HASH      an extra
//	gm:gear_:y:HASH:N    part N of an extra that does not fit an item
//	gm:gear_:last        the highest number that a job ever had
//	gm:gear_:lock        the holder of the store, while there is one
//
// A store in memcached is no more durable than memcached itself: the data end
// with memcached's process, memcached evicts items when it has no room, and
// batches are written item by item. Jobs survive a restart of gm's server. The
// items of a job are written in an order in which an interruption leaves no
// incomplete job.
//
// The package implements the text protocol itself, in order to send a batch
// without waiting for each answer, and to list the keys (lru_crawler metadump).
package memcached

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"gm/pkg/store"
)

// DefaultPrefix is the prefix that gearmand uses by default.
const DefaultPrefix = "gear_"

// Config has the options of a Store.
type Config struct {
	// Servers are HOST:PORT, or paths of Unix sockets. As in libmemcached, the
	// server of an item depends on their order. Empty is 127.0.0.1:11211.
	Servers []string
	// Prefix is the prefix of gearmand's keys. Empty is DefaultPrefix.
	Prefix string
	// AsIs is for programs that only read: nothing in memcached is changed.
	// Replay numbers gearmand's jobs, but does not store the numbers. Commit must
	// not be called.
	AsIs bool

	// Logger is the default logger of package slog if it is nil.
	Logger *slog.Logger
	// Skipped, if not nil, is called for each key that cannot be read.
	Skipped func(what string, err error)

	lease time.Duration // duration of the lock without a renewal, in whole seconds; 0 is defaultLease
}

// ParseURL returns the Config for memcached://HOST:PORT,HOST:PORT?prefix=NAME. The
// two slashes may be missing.
func ParseURL(u *store.URL) (Config, error) {
	options, err := u.Options("prefix")
	if err != nil {
		return Config{}, err
	}
	c := Config{Prefix: options.Get("prefix")}
	list := u.Path
	if u.Net != nil {
		if u.Net.User != nil {
			return Config{}, fmt.Errorf("store %s: a user or password can't be given to memcached", u)
		}
		if strings.Trim(u.Net.Path, "/") != "" {
			return Config{}, fmt.Errorf("store %s: memcached has no databases", u)
		}
		list = u.Net.Host
	}
	c.Servers = ParseServers(list)
	if _, err := newLayout(c.Prefix); err != nil {
		return Config{}, fmt.Errorf("store %s: %w", u, err)
	}
	return c, nil
}

// ParseServers splits a list of servers like that of gearmand's option
// --libmemcached-servers: with commas or spaces between servers, and with the
// default port for a server without one.
func ParseServers(list string) (servers []string) {
	split := func(r rune) bool { return r == ',' || r == ' ' }
	for _, server := range strings.FieldsFunc(list, split) {
		if !strings.HasPrefix(server, "/") {
			if _, _, err := net.SplitHostPort(server); err != nil {
				server = net.JoinHostPort(strings.Trim(server, "[]"), "11211")
			}
		}
		servers = append(servers, server)
	}
	return servers
}

// Store is a journal in memcached. It implements [store.Store],
// [store.Numbered], [store.Locker] and [store.Checker].
type Store struct {
	store.Floor
	config  Config
	layout  layout
	log     *slog.Logger
	token   string // names this Store among all that use the servers
	maxItem int    // maximum size in bytes of an item's value
	lists   bool   // all servers can list their keys

	lease *store.Lease

	// writeMu is locked to write.
	writeMu sync.Mutex
	pool    *pool
	undo    []store.Op // Dones of jobs that may have been stored although their Commit failed
	last    uint64     // the highest number that memcached has; 0 if not known
	closed  bool

	// lockMu is locked to take, renew or free the lock.
	lockMu sync.Mutex
	locker *pool

	mu      sync.Mutex
	holder  string    // value of our lock; empty without the lock
	renewed time.Time // when the lock was last ours for certain
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Numbered = (*Store)(nil)
	_ store.Locker   = (*Store)(nil)
	_ store.Checker  = (*Store)(nil)
)

// Open connects to all servers and reads their settings.
func Open(ctx context.Context, c Config) (*Store, error) {
	if len(c.Servers) == 0 {
		c.Servers = []string{"127.0.0.1:11211"}
	}
	if c.lease == 0 {
		c.lease = defaultLease
	}
	l, err := newLayout(c.Prefix)
	if err != nil {
		return nil, fmt.Errorf("open memcached store: %w", err)
	}
	s := &Store{
		config: c, layout: l, log: c.Logger, token: rand.Text(),
		pool: newPool(c.Servers), locker: newPool(c.Servers),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.lease = store.NewLease("memcached", s.log, c.lease, dialTimeout)
	if err := s.examine(ctx); err != nil {
		s.pool.close()
		return nil, fmt.Errorf("open memcached store: %w", store.MarkAway(err, false))
	}
	return s, nil
}

// itemOverhead is above the number of bytes that an item needs besides its value.
const itemOverhead = 1024

// examine asks the servers for the maximum size of an item, whether they can
// list their keys, and whether they have evicted any item.
func (s *Store) examine(ctx context.Context) error {
	s.lists = true
	for i, server := range s.config.Servers {
		settings, err := s.pool.serverStats(ctx, i, "settings")
		if err != nil {
			return err
		}
		size, err := number(settings, "item_size_max")
		if err != nil || size < 2*itemOverhead {
			return fmt.Errorf("%s: item_size_max is %q", server, settings["item_size_max"])
		}
		if n := size - itemOverhead; s.maxItem == 0 || n < s.maxItem {
			s.maxItem = n
		}
		counters, err := s.pool.serverStats(ctx, i, "")
		if err != nil {
			return err
		}
		if n, _ := number(counters, "evictions"); n > 0 {
			s.log.Warn("memcached has evicted items for lack of room; jobs may be among them", "server", server, "items", n)
		}
		err = s.pool.listServer(ctx, i, func(string) bool { return false })
		if refusal := new(refusedError); errors.As(err, &refusal) {
			s.lists = false
			s.log.Warn("memcached can't list its items: no job is found after a restart", "server", server, "error", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Caps implements [store.Store]. The store promises only to find the items that
// memcached still has. A payload or value that does not fit into one item is stored
// in several; a row or a key must fit into one.
func (s *Store) Caps() store.Caps {
	return store.Caps{Lists: s.lists, MaxKey: s.maxItem - rowRest, MaxName: (s.maxItem - rowRest) / 3}
}

// rowRest is the part of an item that is reserved for the numbers of a row or of an
// extra. A row also has three names.
const rowRest = 128

// Close implements [store.Store]. It undoes the remaining uncertain jobs, if memcached
// can be reached soon, and frees the lock.
func (s *Store) Close() error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return nil
	}
	if len(s.undo) > 0 && !s.lease.HasPassed() {
		ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
		if err := s.commitOps(ctx, nil); err != nil {
			s.log.Warn("jobs whose submission failed may still be in memcached", "jobs", len(s.undo), "error", err)
		}
		cancel()
	}
	s.closed = true
	s.pool.close()
	s.lease.Stop()
	s.lockMu.Lock()
	defer s.lockMu.Unlock()
	s.locker.close()
	return nil
}

var (
	errClosed = errors.New("store is closed")
	errLost   = errors.New("another server has taken the store")
)

// skip reports a key that cannot be read.
func (s *Store) skip(what string, err error) {
	s.log.Warn("an item in memcached that cannot be read is left out", "what", what, "error", err)
	if s.config.Skipped != nil {
		s.config.Skipped(what, err)
	}
}
