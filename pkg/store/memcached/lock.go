package memcached

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gm/pkg/store"
)

// defaultLease is how long the lock outlives a holder that does not free it.
const defaultLease = 10 * time.Second

// TryLock takes the store. The lock is an item that expires and is renewed; it
// says "TOKEN NAME".
func (s *Store) TryLock(ctx context.Context, name string) error {
	s.write.Lock()
	defer s.write.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.lease.HasPassed():
		return errPassed
	case s.ours() != "":
		return nil
	}
	us := s.token + " " + store.Holder(name, time.Now())
	if err := s.take(ctx, us); err != nil {
		return fmt.Errorf("lock memcached store: %w", err)
	}
	s.lease.Start(func(ctx context.Context) {
		if err := s.renew(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("memcached store's lock is not renewed", "error", err)
		}
	}, s.free)
	return nil
}

// Lost is that of [store.Locker].
func (s *Store) Lost() <-chan struct{} { return s.lease.Lost() }

// take sees that the lock is ours for another lease. If it is another's, the
// error is a *store.HeldError.
func (s *Store) take(ctx context.Context, us string) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	start := time.Now()
	h := change{key: s.layout.lock, item: &item{value: []byte(us)}, expire: s.config.lease, verb: "add"}
	server := s.locker.serverOf(h.key)
	for {
		by := ""
		err := s.locker.with(ctx, server, true, func(c *conn) error {
			return c.get([]string{h.key}, func(_ string, it item, cas uint64) error {
				by, h.verb, h.cas = string(it.value), "cas", cas
				return nil
			})
		})
		if err != nil {
			return err
		}
		if by == "" {
			h.verb = "add"
		} else if !strings.HasPrefix(by, s.token+" ") {
			_, name, _ := strings.Cut(by, " ")
			return &store.HeldError{By: name}
		}
		err = s.locker.with(ctx, server, false, func(c *conn) error { return c.change([]change{h}) })
		if errors.Is(err, errNotStored) {
			continue // it has changed meanwhile
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.holder, s.renewed = us, start
		s.mu.Unlock()
		return nil
	}
}

// renew sees that the lock is still ours, or notes that it is not.
func (s *Store) renew(ctx context.Context) error {
	err := s.take(ctx, s.ours())
	if held := new(store.HeldError); errors.As(err, &held) {
		s.lease.Pass(held.By)
		return errPassed
	}
	return err
}

// stillOurs returns an error if another server has the store. A write to
// memcached cannot return the lock's holder, so the store reads the lock before
// a write, unless it has read it a short time ago.
func (s *Store) stillOurs(ctx context.Context) error {
	s.mu.Lock()
	holder, renewed := s.holder, s.renewed
	s.mu.Unlock()
	switch {
	case s.lease.HasPassed():
		return errPassed
	case holder == "":
		items, err := s.pool.fetch(ctx, []string{s.layout.lock})
		if it, ok := items[s.layout.lock]; err == nil && ok {
			_, name, _ := strings.Cut(string(it.value), " ")
			return &store.HeldError{By: name}
		}
		return err
	case time.Since(renewed) > s.config.lease/2:
		return s.renew(ctx)
	}
	return ctx.Err()
}

// free gives up the lock if it is ours.
func (s *Store) free() {
	s.lock.Lock()
	defer s.lock.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	err := s.locker.with(ctx, s.locker.serverOf(s.layout.lock), true, func(c *conn) error {
		ours := false
		err := c.get([]string{s.layout.lock}, func(_ string, it item, _ uint64) error {
			ours = strings.HasPrefix(string(it.value), s.token+" ")
			return nil
		})
		if err != nil || !ours {
			return err
		}
		return c.change([]change{{key: s.layout.lock}})
	})
	if err != nil {
		s.log.Debug("memcached store's lock is left to expire", "error", err)
	}
}

// ours returns the value of our lock, or "" if the store is not ours.
func (s *Store) ours() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder
}
