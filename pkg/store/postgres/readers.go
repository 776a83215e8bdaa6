package postgres

import (
	"context"
	"errors"
	"fmt"

	"gm/pkg/store"
)

// readers are the connections that read, so that reading does not wait for
// commits. They are dialled when they are needed.
type readers struct {
	connect func(ctx context.Context) (*conn, error)
	slots   chan struct{} // has an element for each connection in use
	idle    chan *conn    // the connections that nobody uses
}

// maxReaders is the maximum number of connections that read at a time.
const maxReaders = 4

func newReaders(connect func(ctx context.Context) (*conn, error)) *readers {
	return &readers{connect: connect, slots: make(chan struct{}, maxReaders), idle: make(chan *conn, maxReaders)}
}

// with calls f with a connection that has answered a ping or is new.
func (r *readers) with(ctx context.Context, f func(*conn) error) error {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.slots }()
	for {
		select {
		case c := <-r.idle:
			if c.ping(ctx) != nil {
				c.close()
				continue
			}
			return r.use(c, f)
		default:
		}
		c, err := r.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return r.use(c, f)
	}
}

// use calls f, and keeps the connection for the next call unless it may be of no
// use any more.
func (r *readers) use(c *conn, f func(*conn) error) error {
	err := f(c)
	if !c.alive() || err != nil && !errors.Is(err, store.ErrNotFound) {
		c.close()
		return err
	}
	r.idle <- c
	return err
}

// close closes all connections. It waits for those in use.
func (r *readers) close() {
	for range maxReaders {
		r.slots <- struct{}{}
	}
	defer func() {
		for range maxReaders {
			<-r.slots
		}
	}()
	for {
		select {
		case c := <-r.idle:
			c.close()
		default:
			return
		}
	}
}
