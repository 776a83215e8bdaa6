// Package memcached keeps jobs in memcached, under the keys of gearmand's
// libmemcached plugin: it finds the jobs that gearmand has queued, and the
// other way round, as far as gearmand finds any: gearmand lists keys with stats
// cachedump, which newer versions of memcached answer incompletely, about 70 of
// 82 jobs. The others wait for gm, as do those whose function has a hyphen,
// where gearmand takes it to end. gearmand knows no times: it runs a delayed
// job at once.
//
// gearmand has an item for each job, with its priority as the item's flags:
//
//	gear_FUNCTION-UNIQUE    the payload
//
// Other data of gm are in items that gearmand ignores, because their keys begin
// differently. HASH is a hash of the names, because names may be longer than
// keys:
//
//	gm:gear_:j:HASH      a job's row: number, names, times, attempts; one for each job
//	gm:gear_:p:SEQ:N     part N of a payload that does not fit gearmand's key or item
//	gm:gear_:x:HASH      an extra
//	gm:gear_:y:HASH:N    part N of an extra that does not fit an item
//	gm:gear_:last        the highest number that a job ever had
//	gm:gear_:lock        who holds the store, while it does
//
// A store in memcached is no more durable than memcached itself: the data end
// with memcached's process, memcached evicts items when it has no room, and
// batches are written item by item. It carries jobs over a restart of the
// server. Items of one job are written in such an order that an interruption
// leaves none that is half there.
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

// DefaultPrefix is gearmand's.
const DefaultPrefix = "gear_"

// Config says where the jobs are.
type Config struct {
	// Servers are HOST:PORT, or paths of Unix sockets. Which of them has an
	// item is as libmemcached has it, so their order matters. If there is
	// none, it is 127.0.0.1:11211.
	Servers []string
	// Prefix begins gearmand's keys. It is DefaultPrefix if empty.
	Prefix string
	// AsIs changes nothing in memcached, for programs that only read: Replay
	// still numbers gearmand's jobs, but the numbers are not stored. It is not
	// for Commit.
	AsIs bool

	// Logger is slog's default if nil.
	Logger *slog.Logger
	// Skipped, if not nil, is called for each key that cannot be read.
	Skipped func(what string, err error)

	lease time.Duration // how long a lock lasts that is not renewed: whole seconds
}

// ParseURL makes a Config of memcached://HOST:PORT,HOST:PORT?prefix=NAME. The
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

// ParseServers splits a list as gearmand's --libmemcached-servers has it:
// servers with a comma or spaces between them, of which each may lack a port.
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
	token   string // of this Store among all
	maxItem int    // bytes of a value that fits an item
	lists   bool   // all servers can list their keys

	lease *store.Lease

	write  sync.Mutex
	pool   *pool      // under write
	undo   []store.Op // under write: Dones of jobs that may have been stored although their Commit failed
	last   uint64     // under write: the highest number that memcached was told; 0 if not known
	closed bool       // under write

	lock   sync.Mutex // one renewal at a time
	locker *pool      // under lock

	mu      sync.Mutex
	holder  string    // value of our lock; empty if the store is not ours
	renewed time.Time // when the lock was last seen to be ours
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Numbered = (*Store)(nil)
	_ store.Locker   = (*Store)(nil)
	_ store.Checker  = (*Store)(nil)
)

// Open connects to all servers and asks them how they are set.
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

// itemOverhead is an upper limit of the bytes that an item needs besides its
// value.
const itemOverhead = 1024

// examine asks the servers for the maximum size of an item, whether they can
// list their keys, and whether they have evicted any item.
func (s *Store) examine(ctx context.Context) error {
	s.lists = true
	for i, server := range s.config.Servers {
		settings, err := s.pool.stats(ctx, i, "settings")
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
		counters, err := s.pool.stats(ctx, i, "")
		if err != nil {
			return err
		}
		if n, _ := number(counters, "evictions"); n > 0 {
			s.log.Warn("memcached has thrown items away for lack of room; jobs may be among them", "server", server, "items", n)
		}
		err = s.pool.list(ctx, i, func(string) bool { return false })
		if refused := new(refusedError); errors.As(err, &refused) {
			s.lists = false
			s.log.Warn("memcached can't list what it has, so no job is found after a restart", "server", server, "error", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Caps promises only that the store finds its existing items. Payloads and
// values that do not fit an item are kept in several; rows and keys are not.
func (s *Store) Caps() store.Caps {
	return store.Caps{Lists: s.lists, MaxKey: s.maxItem - rowRest, MaxName: (s.maxItem - rowRest) / 3}
}

// rowRest is the part of an item that is left to the numbers of a row, which
// also has three names, or of an extra.
const rowRest = 128

// Close undoes the remaining uncertain jobs, if memcached can be reached soon,
// and frees the lock.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return nil
	}
	if len(s.undo) > 0 && !s.lease.HasPassed() {
		ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
		if err := s.commit(ctx, nil); err != nil {
			s.log.Warn("jobs whose submission failed may still be in memcached", "jobs", len(s.undo), "error", err)
		}
		cancel()
	}
	s.closed = true
	s.pool.close()
	s.lease.Stop()
	s.lock.Lock()
	defer s.lock.Unlock()
	s.locker.close()
	return nil
}

var (
	errClosed = errors.New("store is closed")
	errPassed = errors.New("store has passed to another server")
)

// skip reports a key that cannot be read.
func (s *Store) skip(what string, err error) {
	s.log.Warn("set aside what can't be read in memcached", "what", what, "error", err)
	if s.config.Skipped != nil {
		s.config.Skipped(what, err)
	}
}
