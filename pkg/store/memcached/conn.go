package memcached

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"gm/pkg/store"
)

const (
	dialTimeout = 5 * time.Second
	// answerTimeout is the maximum wait for an answer of memcached, even with a
	// longer context.
	answerTimeout = 20 * time.Second
	// window is how many commands, or bytes of them, are sent before their
	// answers are read.
	window      = 512
	windowBytes = 1 << 20
	// maxGet is how many items are asked for at a time.
	maxGet = 64
	// maxLine bounds an answer's line.
	maxLine = 4096
)

// item is a value and its flags.
type item struct {
	value []byte
	flags uint32
}

// change is the new state of a key: an item, or none.
type change struct {
	key    string
	item   *item // nil to delete
	expire time.Duration
	verb   string // of an item: set, add or cas
	cas    uint64
}

// refusedError is memcached's answer to a command that it refuses.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// errNotStored is the answer to an add of an existing item, or to a cas of a
// changed one.
var errNotStored = errors.New("not stored")

// conn is a connection. After any error but errNotStored and a SERVER_ERROR it
// is of no use.
type conn struct {
	net net.Conn
	r   *bufio.Reader
	w   *bufio.Writer
}

func dial(ctx context.Context, server string) (*conn, error) {
	network := "tcp"
	if strings.HasPrefix(server, "/") {
		network = "unix"
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	n, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	return &conn{net: n, r: bufio.NewReaderSize(n, maxLine), w: bufio.NewWriterSize(n, 32<<10)}, nil
}

// within calls f and ends the connection if ctx ends before f does.
func (c *conn) within(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	err := f()
	if !stop() && err != nil {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

// change makes changes, in their order. If memcached refuses one, the others
// are made all the same, and the first refusal is returned.
func (c *conn) change(changes []change) error {
	var first error
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && n < window && size < windowBytes {
			size += c.send(&changes[n])
			n++
		}
		if err := c.w.Flush(); err != nil {
			return err
		}
		if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		for range n {
			line, err := c.line()
			if err != nil {
				return err
			}
			if err := answer(line); first == nil {
				first = err
			}
		}
		changes = changes[n:]
	}
	return first
}

// send writes a change into the buffer and returns the size of its value. The
// buffer keeps an error for Flush.
func (c *conn) send(h *change) int {
	if h.item == nil {
		fmt.Fprintf(c.w, "delete %s\r\n", h.key)
		return 0
	}
	verb, cas := h.verb, ""
	if verb == "" {
		verb = "set"
	}
	if verb == "cas" {
		cas = " " + strconv.FormatUint(h.cas, 10)
	}
	fmt.Fprintf(c.w, "%s %s %d %d %d%s\r\n", verb, h.key, h.item.flags, int(h.expire/time.Second), len(h.item.value), cas)
	_, _ = c.w.Write(h.item.value)
	_, _ = c.w.WriteString("\r\n")
	return len(h.item.value)
}

// answer parses the answer to a change.
func answer(line string) error {
	switch line {
	case "STORED", "DELETED", "NOT_FOUND":
		return nil
	case "NOT_STORED", "EXISTS":
		return errNotStored
	}
	return refusal(line)
}

// refusal makes an error of a line that is not the one expected.
func refusal(line string) error {
	err := &refusedError{line}
	if strings.HasPrefix(line, "SERVER_ERROR out of memory") {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// line reads a line without its end.
func (c *conn) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// get calls f for each of the keys that is there.
func (c *conn) get(keys []string, f func(key string, it item, cas uint64) error) error {
	for len(keys) > 0 {
		n := min(len(keys), maxGet)
		_, _ = c.w.WriteString("gets")
		for _, key := range keys[:n] {
			_ = c.w.WriteByte(' ')
			_, _ = c.w.WriteString(key)
		}
		_, _ = c.w.WriteString("\r\n")
		if err := c.w.Flush(); err != nil {
			return err
		}
		if err := c.values(f); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// values reads the answer to one get.
func (c *conn) values(f func(string, item, uint64) error) error {
	for {
		if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "END" {
			return nil
		}
		words := strings.Fields(line)
		if len(words) != 5 || words[0] != "VALUE" {
			return refusal(line)
		}
		flags, err1 := strconv.ParseUint(words[2], 10, 32)
		size, err2 := strconv.Atoi(words[3])
		cas, err3 := strconv.ParseUint(words[4], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil || size < 0 {
			return fmt.Errorf("answer %q: %w", line, err)
		}
		value := make([]byte, size+2)
		if _, err := io.ReadFull(c.r, value); err != nil {
			return err
		}
		if err := f(words[1], item{value[:size:size], uint32(flags)}, cas); err != nil {
			return err
		}
	}
}

// stats returns memcached's statistics under a name.
func (c *conn) stats(name string) (map[string]string, error) {
	fmt.Fprintf(c.w, "%s\r\n", strings.TrimSpace("stats "+name))
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	stats := make(map[string]string)
	for {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		words := strings.SplitN(line, " ", 3)
		switch {
		case line == "END":
			return stats, nil
		case words[0] != "STAT" || len(words) < 2:
			return nil, refusal(line)
		case len(words) == 3:
			stats[words[1]] = words[2]
		}
	}
}

// number returns a statistic that is a number.
func number(stats map[string]string, name string) (int, error) {
	return strconv.Atoi(stats[name])
}

// errBusy is the answer of a memcached that lists for someone else already.
var errBusy = errors.New("busy with another listing")

// list calls f for each key that is there. It needs a connection of its own.
func (c *conn) list(f func(key []byte) error) error {
	_, _ = c.w.WriteString("lru_crawler metadump hash\r\n")
	if err := c.w.Flush(); err != nil {
		return err
	}
	for {
		if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		key, ok := bytes.CutPrefix(line, []byte("key="))
		if !ok {
			switch text := string(bytes.TrimRight(line, "\r\n")); {
			case text == "END":
				return nil
			case strings.HasPrefix(text, "BUSY"):
				return errBusy
			default:
				return refusal(text)
			}
		}
		key, _, _ = bytes.Cut(key, []byte(" "))
		if err := f(key); err != nil {
			return err
		}
	}
}
