package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

const (
	dialTimeout = 5 * time.Second
	// answerTimeout is the maximum wait for an answer of Redis, even with a
	// longer context.
	answerTimeout = 20 * time.Second
)

// client is a connection. The end of a context ends it while it is in use.
type client struct {
	redigo.Conn
	net net.Conn
}

func (s *Store) dial(ctx context.Context) (*client, error) {
	c := new(client)
	network, addr := "tcp", s.config.Addr
	if s.config.Socket != "" {
		network, addr = "unix", s.config.Socket
	}
	var dialer net.Dialer
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var err error
	c.Conn, err = redigo.DialContext(ctx, network, addr,
		redigo.DialContextFunc(func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
			conn, err = dialer.DialContext(ctx, network, addr)
			c.net = conn
			return conn, err
		}),
		redigo.DialUseTLS(s.config.TLS), redigo.DialTLSHandshakeTimeout(dialTimeout),
		redigo.DialReadTimeout(answerTimeout), redigo.DialWriteTimeout(answerTimeout),
		redigo.DialUsername(s.config.User), redigo.DialPassword(s.config.Password), redigo.DialDatabase(s.config.DB))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return c, nil
}

// within calls f and ends the connection if ctx ends before f does.
func (c *client) within(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	err := f()
	if !stop() {
		if err == nil {
			_ = c.Close() // f has its answer, but the connection is closed
			return nil
		}
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// DoContext is like Do, but ends with ctx.
func (c *client) DoContext(ctx context.Context, command string, args ...any) (reply any, err error) {
	err = c.within(ctx, func() error {
		reply, err = c.Do(command, args...)
		return err
	})
	return reply, err
}

// ReceiveContext is like Receive, but ends with ctx.
func (c *client) ReceiveContext(ctx context.Context) (reply any, err error) {
	err = c.within(ctx, func() error {
		reply, err = c.Receive()
		return err
	})
	return reply, err
}

// errorAnswer returns the text of err if it is an answer of Redis.
func errorAnswer(err error) (text string, ok bool) {
	var answer redigo.Error
	if errors.As(err, &answer) {
		return string(answer), true
	}
	return "", false
}

// isUnavailable reports whether Redis accepts no commands or no connections for now.
func isUnavailable(err error) bool {
	text, _ := errorAnswer(err)
	code, rest, _ := strings.Cut(text, " ")
	return code == "LOADING" || code == "MASTERDOWN" || code == "CLUSTERDOWN" || strings.HasPrefix(rest, "max number of clients reached")
}

// markAnswer wraps an answer of Redis that reports that it has no room or that it
// can never take the data.
func markAnswer(err error) error {
	text, _ := errorAnswer(err)
	switch {
	case strings.Contains(text, "OOM command not allowed"), strings.Contains(text, "No space left on device"):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case strings.Contains(text, "string exceeds maximum allowed size"), strings.Contains(text, "invalid bulk length"):
		return &store.RefusedError{Index: -1, Err: err}
	}
	return err
}

var _ redigo.ConnWithContext = (*client)(nil)

// newToken returns a name for one Store.
func newToken() string { return rand.Text() }
