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
	// window and windowBytes are the maximum numbers of commands, and of bytes of
	// their values, that are sent before their answers are read.
	window      = 512
	windowBytes = 1 << 20
	// maxGet is the maximum number of items that one command requests.
	maxGet = 64
	// maxLine is the maximum length of a line of an answer.
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
	verb   string // for an item: set, add or cas; empty is set
	cas    uint64
}

// refusedError is memcached's answer to a command that it refuses.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// errNotStored is the answer to an add of an existing item, or to a cas of a
// changed one.
var errNotStored = errors.New("not stored")

// conn is a connection. After an error other than errNotStored and a SERVER_ERROR, it
// cannot be used any more.
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

// changeItems makes changes, in their order. If memcached refuses some, changeItems
// makes the others and returns the first refusal.
func (c *conn) changeItems(changes []change) error {
	var first error
	for len(changes) > 0 {
		n, size := 0, 0
		for n < len(changes) && n < window && size < windowBytes {
			size += c.sendChange(&changes[n])
			n++
		}
		if err := c.w.Flush(); err != nil {
			return err
		}
		if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		for range n {
			line, err := c.readLine()
			if err != nil {
				return err
			}
			if err := parseAnswer(line); first == nil {
				first = err
			}
		}
		changes = changes[n:]
	}
	return first
}

// sendChange writes a change into the buffer and returns the size of its value. The
// buffer keeps an error for Flush.
func (c *conn) sendChange(h *change) int {
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

// parseAnswer parses the answer to a change.
func parseAnswer(line string) error {
	switch line {
	case "STORED", "DELETED", "NOT_FOUND":
		return nil
	case "NOT_STORED", "EXISTS":
		return errNotStored
	}
	return refusedAnswer(line)
}

// refusedAnswer returns the error of an unexpected line.
func refusedAnswer(line string) error {
	err := &refusedError{line}
	if strings.HasPrefix(line, "SERVER_ERROR out of memory") {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// readLine reads a line without its end.
func (c *conn) readLine() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// getItems calls f for each item that exists under keys.
func (c *conn) getItems(keys []string, f func(key string, it item, cas uint64) error) error {
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
		if err := c.readValues(f); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// readValues reads the answer to one get.
func (c *conn) readValues(f func(string, item, uint64) error) error {
	for {
		if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		line, err := c.readLine()
		if err != nil {
			return err
		}
		if line == "END" {
			return nil
		}
		words := strings.Fields(line)
		if len(words) != 5 || words[0] != "VALUE" {
			return refusedAnswer(line)
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

// readStats returns memcached's statistics under a name.
func (c *conn) readStats(name string) (map[string]string, error) {
	fmt.Fprintf(c.w, "%s\r\n", strings.TrimSpace("stats "+name))
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	stats := make(map[string]string)
	for {
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		words := strings.SplitN(line, " ", 3)
		switch {
		case line == "END":
			return stats, nil
		case words[0] != "STAT" || len(words) < 2:
			return nil, refusedAnswer(line)
		case len(words) == 3:
			stats[words[1]] = words[2]
		}
	}
}

// number returns a statistic that is a number.
func number(stats map[string]string, name string) (int, error) {
	return strconv.Atoi(stats[name])
}

// errBusy is the answer of a memcached that lists its keys for another client.
var errBusy = errors.New("busy with another listing")

// listKeys calls f for each key. It needs a connection of its own.
func (c *conn) listKeys(f func(key []byte) error) error {
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
				return refusedAnswer(text)
			}
		}
		key, _, _ = bytes.Cut(key, []byte(" "))
		if err := f(key); err != nil {
			return err
		}
	}
}
