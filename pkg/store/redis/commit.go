package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, ops []store.Op) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return errClosed
	}
	if err := s.commitOps(ctx, ops); err != nil {
		return fmt.Errorf("commit to Redis: %w", err)
	}
	return nil
}

// commitOps undoes the uncertain jobs and writes ops. writeMu is held.
func (s *Store) commitOps(ctx context.Context, ops []store.Op) error {
	return s.writeBatch(ctx, func(b *batch) error {
		if err := s.Caps().RefuseBatch(ops); err != nil {
			return err
		}
		return b.encodeOps(ops)
	}, ops)
}

// writeBatch undoes the uncertain jobs and writes a batch that encode fills. If the
// outcome is unknown, the Adds among ops are undone before the next batch. writeMu is
// held.
func (s *Store) writeBatch(ctx context.Context, encode func(*batch) error, ops []store.Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.lease.HasPassed() {
		return errLost
	}
	c, err := s.readyWriter(ctx)
	if err != nil {
		return err
	}
	b := &batch{layout: &s.layout, fence: s.fenceText()}
	for _, op := range s.undo {
		b.endJob(op.Record)
	}
	if err := encode(b); err != nil {
		return err
	}
	if len(b.parts) == 0 {
		return nil
	}
	b.finish()
	err = s.sendBatch(ctx, c, b)
	if err == nil {
		s.undo = nil
		return nil
	}
	var uncertain *store.UncertainError
	if errors.As(err, &uncertain) {
		for _, op := range ops {
			if op.Kind == store.Add {
				r := op.Record
				s.undo = append(s.undo, store.Op{Kind: store.Done, Record: &store.Record{
					Seq: r.Seq, Function: strings.Clone(r.Function), Unique: strings.Clone(r.Unique),
				}})
			}
		}
	}
	if _, ok := errorAnswer(err); !ok || c.Err() != nil || mayWorkElsewhere(err) {
		s.dropWriter()
	}
	return s.markCommit(err)
}

// mayWorkElsewhere reports whether another connection may succeed.
func mayWorkElsewhere(err error) bool {
	text, _ := errorAnswer(err)
	code, _, _ := strings.Cut(text, " ")
	return code == "READONLY" || code == "MASTERDOWN" || code == "LOADING"
}

// markCommit wraps the error of a batch as [store.Store] defines it.
func (s *Store) markCommit(err error) error {
	text, _ := errorAnswer(err)
	code, rest, _ := strings.Cut(text, " ")
	switch code {
	case "GMPASSED":
		s.lease.Pass("another server")
		return errLost
	case "GMHELD":
		return &store.HeldError{By: parseHolder(rest).name}
	}
	return markAnswer(err)
}

// readyWriter returns the connection that writes. It dials if there is none.
func (s *Store) readyWriter(ctx context.Context) (*client, error) {
	if s.writer != nil && s.writer.Err() == nil {
		return s.writer, nil
	}
	s.dropWriter()
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	err = c.within(ctx, func() error { return commitScript.get().Load(c.Conn) })
	if err == nil {
		err = s.readLimit(ctx, c)
	}
	if err == nil {
		err = s.raiseFence(ctx, c)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	s.writer = c
	return c, nil
}

// dropWriter closes the connection that writes, if there is one.
func (s *Store) dropWriter() {
	if s.writer != nil {
		_ = s.writer.Close()
		s.writer = nil
	}
}

// sendBatch writes a batch and waits for the answer. A batch that was not sent
// completely, or was refused, has no effect; a batch without an answer is a
// [store.UncertainError].
func (s *Store) sendBatch(ctx context.Context, c *client, b *batch) error {
	for again := false; ; again = true {
		err := s.sendOnce(ctx, c, b)
		if text, ok := errorAnswer(err); !ok || !strings.HasPrefix(text, "NOSCRIPT") || again {
			return err
		}
		// The script is no longer in Redis's cache.
		if err := c.within(ctx, func() error { return commitScript.get().Load(c.Conn) }); err != nil {
			return err
		}
	}
}

func (s *Store) sendOnce(ctx context.Context, c *client, b *batch) error {
	sent := false
	err := c.within(ctx, func() error {
		if len(b.parts) == 1 {
			if err := commitScript.get().SendHash(c.Conn, b.parts[0].args...); err != nil {
				return err
			}
			if err := c.Flush(); err != nil {
				return err
			}
			sent = true
			_, err := c.Receive()
			return err
		}
		if err := sendAll(c.Conn, b.parts); err != nil {
			return err
		}
		sent = true
		return receiveAll(c.Conn, len(b.parts))
	})
	if _, ok := errorAnswer(err); err != nil && !ok && sent {
		return &store.UncertainError{Err: err}
	}
	return err
}

// sendAll sends parts as one transaction.
func sendAll(c redigo.Conn, parts []*part) error {
	if err := c.Send("MULTI"); err != nil {
		return err
	}
	for _, p := range parts {
		if err := commitScript.get().SendHash(c, p.args...); err != nil {
			return err
		}
	}
	if err := c.Send("EXEC"); err != nil {
		return err
	}
	return c.Flush()
}

// receiveAll receives the answer to a transaction of n commands.
func receiveAll(c redigo.Conn, n int) error {
	var first error // the first refusal
	for range n + 1 {
		_, err := c.Receive()
		if _, ok := errorAnswer(err); err != nil && !ok {
			return err
		}
		if first == nil {
			first = err
		}
	}
	results, err := redigo.Values(c.Receive())
	if first != nil && err != nil {
		return first // the error of EXEC does not name the reason
	}
	if err != nil {
		return err
	}
	// Redis does not undo the commands before an error.
	partlyDone := false
	for _, result := range results {
		if err, ok := result.(redigo.Error); ok {
			first = err
		} else {
			partlyDone = true
		}
	}
	if first != nil && partlyDone {
		return fmt.Errorf("transaction done in part: %s", first)
	}
	return first
}
