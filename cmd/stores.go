package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/disk"
	"gm/pkg/store/memcached"
	"gm/pkg/store/mysql"
	"gm/pkg/store/postgres"
	"gm/pkg/store/redis"
	"gm/pkg/store/sqlite"
	"gm/pkg/store/tokyocabinet"
)

// storeForms is what help says of the URLs that openStore takes.
const storeForms = `  disk:DIR
  sqlite:FILE[?table=NAME]
  postgres://USER:PASSWORD@HOST:PORT/DB[?table=NAME]
  mysql://USER:PASSWORD@HOST:PORT/DB[?table=NAME]
  redis://:PASSWORD@HOST:PORT/DB[?prefix=NAME]
  memcached://HOST:PORT,HOST:PORT[?prefix=NAME]
  tokyocabinet:FILE.tch or FILE.tcb                (if built with it)`

// storePlace is a store that is to be opened.
type storePlace struct {
	standingBy func() error // called once when another server has the store; may be nil

	url  *store.URL
	sync string        // always, interval or never; empty is what the URL says
	asIs bool          // it is only read: a server elsewhere is not to make or change anything
	wait time.Duration // how long a server waits for the store at its start

	logger  *slog.Logger
	skipped func(what string, err error) // may be nil
}

// parseStore parses the URL of a store.
func parseStore(url string) (*storePlace, error) {
	u, err := store.ParseURL(url)
	if err != nil {
		return nil, usageErrorf("%w", err)
	}
	return &storePlace{url: u, logger: slog.New(slog.DiscardHandler)}, nil
}

// name returns what the store is called: its URL without what may be secret.
func (p *storePlace) name() string {
	u := p.url
	switch {
	case u.Net != nil:
		return store.Redact(u.Scheme + "://" + u.Net.Host + u.Net.Path)
	case u.Scheme == "disk", u.Scheme == "sqlite", u.Scheme == "tokyocabinet", u.Scheme == "memcached":
		return u.Scheme + ":" + u.Path
	}
	return u.Scheme // words, or a mistake, with a password perhaps
}

// open opens the store. It is the only place that knows the drivers. What is
// wrong with the URL is an error of usage.
func (p *storePlace) open(ctx context.Context) (store.Store, error) {
	if p.sync != "" {
		switch p.url.Scheme {
		case "disk", "sqlite":
		default:
			return nil, usageErrorf("--sync is for disk and sqlite: when %s syncs is for its own settings to say", p.url.Scheme)
		}
	}
	switch p.url.Scheme {
	case "disk":
		c, err := disk.ParseURL(p.url)
		if p.sync != "" {
			c.Sync = disk.Sync(p.sync)
		}
		c.Logger, c.Skipped = p.logger, p.skipped
		return opened(ctx, disk.Open, c, err)
	case "sqlite":
		c, err := sqlite.ParseURL(p.url)
		if p.sync != "" {
			c.Sync = sqlite.Sync(p.sync)
		}
		c.Logger, c.Skipped = p.logger, p.skipped
		return opened(ctx, sqlite.Open, c, err)
	case "postgres", "postgresql":
		c, err := postgresConfig(p.url)
		c.Logger, c.Skipped, c.AsIs = p.logger, p.skipped, p.asIs
		return opened(ctx, postgres.Open, c, err)
	case "mysql", "mariadb":
		c, err := mysql.ParseURL(p.url)
		c.Logger, c.Skipped, c.AsIs = p.logger, p.skipped, p.asIs
		return opened(ctx, mysql.Open, c, err)
	case "memcached":
		c, err := memcached.ParseURL(p.url)
		c.Logger, c.Skipped, c.AsIs = p.logger, p.skipped, p.asIs
		return opened(ctx, memcached.Open, c, err)
	case "tokyocabinet":
		c, err := tokyocabinet.ParseURL(p.url)
		c.Logger, c.Skipped = p.logger, p.skipped
		return opened(ctx, tokyocabinet.Open, c, err)
	case "redis", "rediss":
		c, err := redis.ParseURL(p.url)
		c.Logger, c.Skipped, c.AsIs = p.logger, p.skipped, p.asIs
		return opened(ctx, redis.Open, c, err)
	}
	return nil, withHint(usageErrorf("store %s: unknown kind of store", p.name()),
		"one of disk:, sqlite:, postgres://, mysql://, redis://, memcached://, tokyocabinet:")
}

// opened opens a store by its driver, if the URL had no error.
func opened[C any, S store.Store](ctx context.Context, open func(context.Context, C) (S, error), c C, err error) (store.Store, error) {
	if err != nil {
		return nil, usageErrorf("%w", err)
	}
	s, err := open(ctx, c)
	if errors.Is(err, store.ErrAbsent) {
		return nil, withHint(exitWith(exitIO, err), "gm serve, gm store load and gearmand make what they need")
	}
	if away := new(store.AwayError); errors.As(err, &away) {
		return nil, withHint(exitWith(exitIO, err), "gm serve --store-wait 5m waits for a store that starts later")
	}
	if err != nil {
		return nil, exitWith(exitIO, err)
	}
	return s, nil
}

// postgresConfig takes libpq's words too, as gearmand has them:
// postgres:host=db dbname=gearman.
func postgresConfig(u *store.URL) (postgres.Config, error) {
	if u.Net != nil {
		return postgres.ParseURL(u)
	}
	return postgres.Config{Conninfo: u.Path, Table: u.Query.Get("table")}, nil
}

// mustExist returns an error if the place is on this machine and there is
// nothing.
func (p *storePlace) mustExist() error {
	file := p.url.Path
	switch p.url.Scheme {
	case "disk":
		file = filepath.Join(file, "queue.db")
	case "sqlite", "tokyocabinet":
		if file == "" && p.url.Net != nil {
			file = p.url.Net.Path
		}
	default:
		return nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return exitWith(exitIO, fmt.Errorf("store %s: no such file", strings.TrimSuffix(p.name(), "/")))
	}
	return nil
}

// holderName is what others are told of who holds a store.
func holderName(what string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("%s on %s, pid %d", what, host, os.Getpid())
}

// lockStore takes the store, if it is one that several can reach. One that
// another holds is a *store.HeldError.
func lockStore(ctx context.Context, s store.Store, name string) error {
	l, ok := s.(store.Locker)
	if !ok {
		return nil
	}
	return l.TryLock(ctx, name)
}
