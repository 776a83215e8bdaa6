package memcached

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gm/pkg/store"
)

// defaultLease is the time after which the lock of a holder expires that has ended
// without freeing it.
const defaultLease = 10 * time.Second

// TryLock implements [store.Locker]. The lock is an item that expires and is renewed; it
// says "TOKEN NAME".
func (s *Store) TryLock(ctx context.Context, name string) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.lease.HasPassed():
		return errLost
	case s.lockValue() != "":
		return nil
	}
	us := s.token + " " + store.Holder(name, time.Now())
	if err := s.takeLock(ctx, us); err != nil {
		return fmt.Errorf("lock memcached store: %w", err)
	}
	s.lease.Start(func(ctx context.Context) {
		if err := s.renewLock(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("lock of the memcached store is not renewed", "error", err)
		}
	}, s.freeLock)
	return nil
}

// Lost implements [store.Locker].
func (s *Store) Lost() <-chan struct{} { return s.lease.Lost() }

// takeLock takes or renews the lock for another lease. If another holder has it, the
// error is a *store.HeldError.
func (s *Store) takeLock(ctx context.Context, us string) error {
	s.lockMu.Lock()
	defer s.lockMu.Unlock()
	start := time.Now()
	h := change{key: s.layout.lock, item: &item{value: []byte(us)}, expire: s.config.lease, verb: "add"}
	server := s.locker.serverOf(h.key)
	for {
		by := ""
		err := s.locker.with(ctx, server, true, func(c *conn) error {
			return c.getItems([]string{h.key}, func(_ string, it item, cas uint64) error {
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
		err = s.locker.with(ctx, server, false, func(c *conn) error { return c.changeItems([]change{h}) })
		if errors.Is(err, errNotStored) {
			continue // the lock has changed meanwhile
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

// renewLock renews the lock, or records that another server has the store.
func (s *Store) renewLock(ctx context.Context) error {
	err := s.takeLock(ctx, s.lockValue())
	if held := new(store.HeldError); errors.As(err, &held) {
		s.lease.Pass(held.By)
		return errLost
	}
	return err
}

// checkLock returns an error if another server has the store. A write to
// memcached cannot return the lock's holder, so the store reads the lock before
// a write, unless it has read it a short time ago.
func (s *Store) checkLock(ctx context.Context) error {
	s.mu.Lock()
	holder, renewed := s.holder, s.renewed
	s.mu.Unlock()
	switch {
	case s.lease.HasPassed():
		return errLost
	case holder == "":
		items, err := s.pool.fetch(ctx, []string{s.layout.lock})
		if it, ok := items[s.layout.lock]; err == nil && ok {
			_, name, _ := strings.Cut(string(it.value), " ")
			return &store.HeldError{By: name}
		}
		return err
	case time.Since(renewed) > s.config.lease/2:
		return s.renewLock(ctx)
	}
	return ctx.Err()
}

// freeLock frees the lock if it is ours.
func (s *Store) freeLock() {
	s.lockMu.Lock()
	defer s.lockMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	err := s.locker.with(ctx, s.locker.serverOf(s.layout.lock), true, func(c *conn) error {
		ours := false
		err := c.getItems([]string{s.layout.lock}, func(_ string, it item, _ uint64) error {
			ours = strings.HasPrefix(string(it.value), s.token+" ")
			return nil
		})
		if err != nil || !ours {
			return err
		}
		return c.changeItems([]change{{key: s.layout.lock}})
	})
	if err != nil {
		s.log.Debug("lock of the memcached store will expire", "error", err)
	}
}

// lockValue returns the value of our lock, or "" without the lock.
func (s *Store) lockValue() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder
}
