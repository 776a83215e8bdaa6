package memcached

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// pool has a connection to each server, which is dialled when it is first needed.
type pool struct {
	servers []string
	conns   []*conn // by server; nil without a connection
}

func newPool(servers []string) *pool {
	return &pool{servers: servers, conns: make([]*conn, len(servers))}
}

func (p *pool) close() {
	for i := range p.conns {
		p.drop(i)
	}
}

// drop closes the connection to a server, if there is one.
func (p *pool) drop(i int) {
	if p.conns[i] != nil {
		_ = p.conns[i].net.Close()
		p.conns[i] = nil
	}
}

// serverOf returns the index of the server for a key, as libmemcached does by
// default: the remainder of Jenkins's one-at-a-time hash of signed characters.
func (p *pool) serverOf(key string) int {
	if len(p.servers) == 1 {
		return 0
	}
	var h uint32
	for i := range len(key) {
		h += uint32(int8(key[i]))
		h += h << 10
		h ^= h >> 6
	}
	h += h << 3
	h ^= h >> 11
	h += h << 15
	return int(h % uint32(len(p.servers)))
}

// with calls f with the connection to a server. A read is repeated if the
// connection was lost while it was idle.
func (p *pool) with(ctx context.Context, i int, reads bool, f func(*conn) error) error {
	for {
		idle := p.conns[i] != nil
		if !idle {
			c, err := dial(ctx, p.servers[i])
			if err != nil {
				return err
			}
			p.conns[i] = c
		}
		c := p.conns[i]
		err := c.within(ctx, func() error { return f(c) })
		if err == nil || errors.Is(err, errNotStored) {
			return err
		}
		refusal := new(refusedError)
		if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.text, "SERVER_ERROR ") {
			p.drop(i)
			if reads && idle && ctx.Err() == nil {
				continue
			}
		}
		return fmt.Errorf("%s: %w", p.servers[i], err)
	}
}

// changeItems makes changes, in their order on each server. After an error of one
// server, it still makes the changes on the others.
func (p *pool) changeItems(ctx context.Context, changes []change) error {
	byServer := make([][]change, len(p.servers))
	for _, h := range changes {
		i := p.serverOf(h.key)
		byServer[i] = append(byServer[i], h)
	}
	var first error
	for i, part := range byServer {
		if len(part) == 0 {
			continue
		}
		err := p.with(ctx, i, false, func(c *conn) error { return c.changeItems(part) })
		if first == nil {
			first = err
		}
	}
	return first
}

// fetch returns the items that exist under keys.
func (p *pool) fetch(ctx context.Context, keys []string) (map[string]item, error) {
	items := make(map[string]item, len(keys))
	byServer := make([][]string, len(p.servers))
	for _, key := range keys {
		i := p.serverOf(key)
		byServer[i] = append(byServer[i], key)
	}
	for i, part := range byServer {
		if len(part) == 0 {
			continue
		}
		err := p.with(ctx, i, true, func(c *conn) error {
			return c.getItems(part, func(key string, it item, _ uint64) error {
				items[key] = it
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}

// serverStats returns statistics of a server.
func (p *pool) serverStats(ctx context.Context, i int, name string) (stats map[string]string, err error) {
	err = p.with(ctx, i, true, func(c *conn) error {
		stats, err = c.readStats(name)
		return err
	})
	return stats, err
}

// listServer calls f for the keys of a server, until f returns false.
func (p *pool) listServer(ctx context.Context, i int, f func(key string) bool) error {
	enough := errors.New("enough")
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		// memcached accepts no other command on a connection that lists.
		c, err := dial(ctx, p.servers[i])
		if err != nil {
			return err
		}
		err = c.within(ctx, func() error {
			return c.listKeys(func(escaped []byte) error {
				key, err := url.PathUnescape(string(escaped))
				if err != nil {
					return err
				}
				if !f(key) {
					return enough
				}
				return nil
			})
		})
		_ = c.net.Close()
		switch {
		case err == nil || errors.Is(err, enough):
			return nil
		case !errors.Is(err, errBusy):
			return fmt.Errorf("%s: %w", p.servers[i], err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", p.servers[i], ctx.Err(), err)
		}
	}
}
