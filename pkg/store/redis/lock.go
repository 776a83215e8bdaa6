package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// defaultLease is the time after which the lock of a holder expires that has ended
// without a sign to Redis.
const defaultLease = 10 * time.Second

// holder is the lock's description of its holder:
//
//	RUN CLIENT TOKEN NAME
//
// RUN is Redis's run_id and CLIENT the number of the holder's connection: once that
// connection has ended in the same run, the holder has ended. Both are - if Redis
// does not report them.
type holder struct{ run, client, token, name string }

func (h holder) String() string {
	return strings.Join([]string{h.run, h.client, h.token, h.name}, " ")
}

func parseHolder(text string) holder {
	f := strings.SplitN(text, " ", 4)
	if len(f) < 4 {
		return holder{name: text}
	}
	return holder{run: f[0], client: f[1], token: f[2], name: f[3]}
}

// TryLock implements [store.Locker]. The lock belongs to a connection of its own.
// Each commit carries the holder's fence, so that a server that has lost the store
// cannot write.
func (s *Store) TryLock(ctx context.Context, name string) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.lease.HasPassed():
		return errLost
	case held:
		return nil
	}
	c, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("lock Redis store: %w", err)
	}
	us := holder{token: s.token, name: store.Holder(name, time.Now())}
	s.identify(ctx, c, &us)
	if err := s.takeLock(ctx, c, us); err != nil {
		_ = c.Close()
		return fmt.Errorf("lock Redis store: %w", err)
	}
	s.dropWriter() // the next one raises the fence
	s.lease.Start(func(ctx context.Context) { c = s.renewLock(ctx, c, &us) }, func() { s.freeLock(c) })
	return nil
}

// Lost implements [store.Locker].
func (s *Store) Lost() <-chan struct{} { return s.lease.Lost() }

// identify fills in the connection of a holder, by which Redis can report its end.
func (s *Store) identify(ctx context.Context, c *client, h *holder) {
	h.run, h.client = "-", "-"
	err := c.within(ctx, func() error {
		id, err := redigo.Int64(c.Do("CLIENT", "ID"))
		if err != nil {
			return err
		}
		info, err := redigo.String(c.Do("INFO", "server"))
		if err != nil {
			return err
		}
		if _, rest, ok := strings.Cut(info, "run_id:"); ok {
			h.run, _, _ = strings.Cut(rest, "\r\n")
			h.client = strconv.FormatInt(id, 10)
		}
		return nil
	})
	if err != nil {
		s.log.Debug("Redis does not name the connection", "error", err)
	}
}

// takeLock takes the lock, unless another holder has it.
func (s *Store) takeLock(ctx context.Context, c *client, us holder) error {
	fence, ended := store.FirstSeq(time.Now()), "" // ended is the text of a holder that has ended
	for {
		s.mu.Lock()
		fence = max(fence, s.fence+1)
		s.mu.Unlock()
		reply, err := takeScript.get().DoContext(ctx, c, s.layout.lock, s.layout.fence, us.String(), ended, s.formatFence(fence), s.config.lease.Milliseconds())
		if text, ok := errorAnswer(err); ok && strings.HasPrefix(text, "GMFENCE ") {
			last, err := parseFence(strings.TrimPrefix(text, "GMFENCE "))
			if err != nil {
				return err
			}
			fence = last + 1
			continue
		}
		if err != nil {
			return markAnswer(err)
		}
		if reply == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.held, s.fence = true, fence
			return nil
		}
		text, err := redigo.String(reply, nil)
		if err != nil {
			return err
		}
		if ended == text || !s.hasEnded(ctx, c, parseHolder(text), us) {
			return &store.HeldError{By: parseHolder(text).name}
		}
		ended = text
	}
}

// hasEnded reports whether the connection of h has ended.
func (s *Store) hasEnded(ctx context.Context, c *client, h, us holder) bool {
	if h.run != us.run || h.run == "-" {
		return false
	}
	ended := false
	err := c.within(ctx, func() error {
		list, err := redigo.String(c.Do("CLIENT", "LIST", "ID", h.client))
		ended = err == nil && !strings.Contains(list, "id="+h.client+" ")
		return err
	})
	return err == nil && ended
}

// renewLock renews the lock once, on c or on a new connection, and returns the
// connection for the next time.
func (s *Store) renewLock(ctx context.Context, c *client, us *holder) *client {
	if c == nil || c.Err() != nil {
		if c != nil {
			_ = c.Close()
		}
		var err error
		if c, err = s.dial(ctx); err != nil {
			s.log.Debug("lock of the Redis store is not renewed", "error", err)
			return nil
		}
		s.identify(ctx, c, us)
	}
	reply, err := renewScript.get().DoContext(ctx, c, s.layout.lock, s.layout.fence, us.String(), s.token, s.fenceText(), s.config.lease.Milliseconds())
	switch by, _ := redigo.String(reply, err); {
	case err == nil && reply != nil:
		s.lease.Pass(parseHolder(by).name)
	case err != nil && ctx.Err() == nil:
		s.log.Debug("lock of the Redis store is not renewed", "error", err)
	}
	return c
}

// freeLock frees the lock and closes c.
func (s *Store) freeLock(c *client) {
	if c == nil {
		return
	}
	defer c.Close()
	s.mu.Lock()
	keepsLock := s.keepsLock
	s.mu.Unlock()
	if keepsLock {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if _, err := freeScript.get().DoContext(ctx, c, s.layout.lock, s.token); err != nil {
		s.log.Debug("lock of the Redis store will expire", "error", err)
	}
}

// raiseFence makes sure that commands that were sent earlier on other connections
// have no effect any more.
func (s *Store) raiseFence(ctx context.Context, c *client) error {
	s.mu.Lock()
	held, old := s.held, s.fence
	if held {
		s.fence++ // even without an answer, Redis may have the new number
	}
	raised := s.fence
	s.mu.Unlock()
	if !held {
		return nil
	}
	reply, err := fenceScript.get().DoContext(ctx, c, s.layout.fence, s.formatFence(old), s.token, s.formatFence(raised))
	if err != nil {
		return markAnswer(err)
	}
	if reply != nil {
		s.lease.Pass("another server")
		return errLost
	}
	return nil
}

// fenceText returns the fence of this holder as Redis has it, or "" without the
// lock.
func (s *Store) fenceText() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return ""
	}
	return s.formatFence(s.fence)
}

// formatFence returns a fence as Redis has it: the number with a fixed width,
// because scripts compare fences as text, and the token of its holder.
func (s *Store) formatFence(fence uint64) string { return formatSeq(fence) + " " + s.token }

func parseFence(text string) (uint64, error) {
	number, _, _ := strings.Cut(text, " ")
	fence, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("fence %q is not a number", text)
	}
	return fence, nil
}
