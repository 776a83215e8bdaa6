// Package redis keeps jobs in Redis, in the keys of gearmand's redis plugin: it
// finds the jobs that gearmand has queued, and gearmand finds the jobs of gm.
//
// gearmand has a key for each job. It is a hash with exactly two fields:
//
//	_gear_-FUNCTION-UNIQUE   data, priority
//
// Other data of gm are under keys that gearmand's listing of _gear_* does not
// match:
//
//	gm:_gear_:jobs       hash: the name of each job and its number, times and attempts
//	gm:_gear_:payloads   hash: payloads of jobs that gearmand would not read back
//	gm:_gear_:extras     hash: dead jobs, results, settings
//	gm:_gear_:last       the highest number that a job ever had
//	gm:_gear_:lock       the holder of the store, while there is one
//	gm:_gear_:fence      the number of the last holder
//
// A job's name in them is FUNCTION-UNIQUE. It is FUNCTION-gm-SEQ if the job has no
// unique, or one that gearmand would cut or use as a pattern.
//
// # To gearmand and back
//
// gm finds all jobs that gearmand 1.1.20 has queued. A key can be split in two ways
// if both function and unique have hyphens: like gearmand, gm ends the function
// at the first hyphen, unless the unique is a UUID. Of the jobs of gm, gearmand
// does not find
//
//   - jobs whose function has a hyphen or a NUL, or more than 511 bytes;
//   - jobs whose payload has a NUL, at which gearmand would cut it;
//   - jobs that were accepted while the store was read, and have the function
//     and unique of another.
//
// gearmand would confuse them with other jobs. So their names are only their
// numbers, their payloads are in the hash of payloads, and they wait until gm uses
// the store again. gearmand has no run times either: it runs a delayed job at once.
//
// A batch is one call of a script, or several in one transaction. The script
// checks that no other server has taken the store before it writes.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// DefaultPrefix is the prefix that gearmand uses by default.
const DefaultPrefix = "_gear_"

const (
	// maxValue is the maximum size in bytes of a string in Redis, by the default
	// of its proto-max-bulk-len.
	maxValue = 512 << 20
	// maxName keeps rows far below any limit: a row has all names of a job.
	maxName = 64 << 10
)

// Config has the options of a Store.
type Config struct {
	Addr     string // HOST:PORT; 127.0.0.1:6379 if it and Socket are empty
	Socket   string // path of a Unix socket, in place of Addr
	TLS      bool
	User     string
	Password string
	DB       int
	// Prefix is the prefix of gearmand's keys. Empty is DefaultPrefix.
	Prefix string
	// AsIs is for programs that only read: nothing in Redis is changed. Replay
	// numbers gearmand's jobs, but does not store the numbers. Commit must not be
	// called.
	AsIs bool

	// Logger is the default logger of package slog if it is nil.
	Logger *slog.Logger
	// Skipped, if not nil, is called for each key that cannot be read.
	Skipped func(what string, err error)

	lease time.Duration // duration of the lock without a renewal; 0 is defaultLease
}

// ParseURL returns the Config for redis://USER:PASSWORD@HOST:PORT/DB?prefix=NAME,
// or rediss:// for TLS. ?socket=PATH replaces the host.
func ParseURL(u *store.URL) (Config, error) {
	if u.Net == nil {
		return Config{}, fmt.Errorf("store %s: not like redis://host:port", u)
	}
	options, err := u.Options("prefix", "socket")
	if err != nil {
		return Config{}, err
	}
	c := Config{TLS: u.Scheme == "rediss", Prefix: options.Get("prefix"), Socket: options.Get("socket")}
	if user := u.Net.User; user != nil {
		c.User = user.Username()
		c.Password, _ = user.Password()
	}
	c.Addr = address(u.Net)
	if c.Socket != "" && u.Net.Host != "" {
		return Config{}, fmt.Errorf("store %s: both a host and a socket", u)
	}
	if db := strings.Trim(u.Net.Path, "/"); db != "" {
		n, err := strconv.Atoi(db)
		if err != nil || n < 0 {
			return Config{}, fmt.Errorf("store %s: database %q is not a number", u, db)
		}
		c.DB = n
	}
	if _, err := newLayout(c.Prefix); err != nil {
		return Config{}, fmt.Errorf("store %s: %w", u, err)
	}
	return c, nil
}

func address(u *url.URL) string {
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "6379"
	}
	return net.JoinHostPort(host, port)
}

// Store is a journal in Redis. It implements [store.Store], [store.Reader],
// [store.Numbered], [store.Locker] and [store.Checker].
type Store struct {
	store.Floor
	config  Config
	layout  layout
	log     *slog.Logger
	token   string       // names this Store among all that use the keys
	limit   atomic.Int64 // maximum size of a string in bytes
	readers *redigo.Pool // for everything except writing

	lease *store.Lease

	// writeMu is locked to write.
	writeMu sync.Mutex
	writer  *client    // the connection that writes; may be nil
	undo    []store.Op // Dones of jobs that may have been stored although their Commit failed
	closed  bool

	mu        sync.Mutex
	held      bool   // TryLock has succeeded
	fence     uint64 // the number of this holder
	keepsLock bool   // Close leaves the lock, as the end of the process does; for tests
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Reader   = (*Store)(nil)
	_ store.Numbered = (*Store)(nil)
	_ store.Locker   = (*Store)(nil)
	_ store.Checker  = (*Store)(nil)
)

// Open connects, and warns of settings with which Redis loses acknowledged
// writes.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Addr == "" {
		c.Addr = "127.0.0.1:6379"
	}
	if c.lease == 0 {
		c.lease = defaultLease
	}
	l, err := newLayout(c.Prefix)
	if err != nil {
		return nil, fmt.Errorf("open Redis store: %w", err)
	}
	s := &Store{config: c, layout: l, log: c.Logger, token: newToken()}
	s.limit.Store(maxValue)
	if s.log == nil {
		s.log = slog.Default()
	}
	s.lease = store.NewLease("Redis", s.log, c.lease, dialTimeout)
	s.readers = &redigo.Pool{
		MaxIdle: idleReaders, MaxActive: maxReaders, Wait: true, IdleTimeout: time.Minute,
		DialContext: func(ctx context.Context) (redigo.Conn, error) { return s.dial(ctx) },
	}
	if err := s.examine(ctx); err != nil {
		_ = s.readers.Close()
		return nil, fmt.Errorf("open Redis store: %w", store.MarkAway(err, isUnavailable(err)))
	}
	return s, nil
}

// examine checks that the keys are unused or have the right types, and warns of
// settings that lose jobs.
func (s *Store) examine(ctx context.Context) error {
	for _, key := range []string{s.layout.jobs, s.layout.payloads, s.layout.extras} {
		kind, err := redigo.String(s.runCommand(ctx, "TYPE", key))
		if err != nil {
			return err
		}
		if kind != "none" && kind != "hash" {
			return fmt.Errorf("key %s is a %s, not a hash", key, kind)
		}
	}
	_, err := s.withReader(ctx, func(c redigo.Conn) (any, error) { return nil, s.readLimit(ctx, c) })
	if err != nil {
		return err
	}
	settings := make(map[string]string)
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory-policy"} {
		pair, err := redigo.Strings(s.runCommand(ctx, "CONFIG", "GET", name))
		if err != nil || len(pair) != 2 {
			s.log.Warn("Redis does not tell its settings; acknowledged jobs are safe only with appendonly yes and appendfsync always")
			return ctx.Err()
		}
		settings[name] = pair[1]
	}
	switch {
	case settings["appendonly"] != "yes":
		s.log.Warn("Redis writes no append-only file: when it ends, acknowledged jobs are lost; set appendonly yes and appendfsync always")
	case settings["appendfsync"] != "always":
		s.log.Warn("Redis does not sync each write: a crash of its machine loses acknowledged jobs; set appendfsync always",
			"appendfsync", settings["appendfsync"])
	}
	if policy := settings["maxmemory-policy"]; strings.HasPrefix(policy, "allkeys-") {
		s.log.Warn("Redis may evict jobs when it is full; set maxmemory-policy noeviction", "maxmemory-policy", policy)
	}
	return nil
}

// Caps implements [store.Store]. A batch is as durable as Redis's settings
// appendonly and appendfsync make it.
func (s *Store) Caps() store.Caps {
	limit := int(s.limit.Load())
	return store.Caps{
		Durable: true, Atomic: true, Lists: true,
		MaxPayload: limit, MaxValue: limit, MaxKey: maxName, MaxName: maxName,
	}
}

// readLimit asks for the maximum size of a string. An administrator may have changed
// it since the last connection.
func (s *Store) readLimit(ctx context.Context, c redigo.Conn) error {
	pair, err := redigo.Strings(redigo.DoContext(c, ctx, "CONFIG", "GET", "proto-max-bulk-len"))
	limit := int64(maxValue)
	switch _, ok := errorAnswer(err); {
	case err != nil && !ok:
		return err
	case len(pair) == 2:
		if n, err := strconv.ParseInt(pair[1], 10, 64); err == nil && n > 0 {
			limit = min(n, math.MaxInt32)
		}
	}
	s.limit.Store(limit)
	return nil
}

// Close implements [store.Store]. It undoes the remaining uncertain jobs, if Redis
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
			s.log.Warn("jobs whose submission failed may still be in Redis", "jobs", len(s.undo), "error", err)
		}
		cancel()
	}
	s.closed = true
	s.dropWriter()
	s.lease.Stop()
	return s.readers.Close()
}

var (
	errClosed = errors.New("store is closed")
	errLost   = errors.New("another server has taken the store")
)

// skip reports a key that cannot be read.
func (s *Store) skip(what string, err error) {
	s.log.Warn("a key in Redis that cannot be read is left out", "what", what, "error", err)
	if s.config.Skipped != nil {
		s.config.Skipped(what, err)
	}
}
