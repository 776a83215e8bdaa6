package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// The maximum numbers of connections that read: idle ones, and all.
const (
	idleReaders = 2
	maxReaders  = 8
)

// entry is a job in the index.
type entry struct {
	seq  uint64
	size int
	name string
}

// readIndex returns all jobs in the order of their numbers.
func (s *Store) readIndex(ctx context.Context) ([]entry, error) {
	var entries []entry
	err := s.scan(ctx, "HSCAN", s.layout.jobs, "", func(page [][]byte) error {
		for i := 0; i+1 < len(page); i += 2 {
			seq, size, ok := rowNumbers(page[i+1])
			if !ok {
				s.skip(string(page[i]), &store.CorruptError{Where: string(page[i]), Why: "shorter than a row"})
				continue
			}
			entries = append(entries, entry{seq, size, string(page[i])})
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.name, b.name))
	})
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.name == b.name }), err
}

// scan calls f for each page of a SCAN, or an HSCAN of key. A key that exists
// during the whole scan is returned at least once.
func (s *Store) scan(ctx context.Context, command, key, match string, f func(page [][]byte) error) error {
	var args []any
	if key != "" {
		args = append(args, key)
	}
	at := len(args)
	args = append(args, "0", "COUNT", pageScan)
	if match != "" {
		args = append(args, "MATCH", match)
	}
	for {
		reply, err := redigo.Values(s.runCommand(ctx, command, args...))
		if err != nil {
			return err
		}
		if len(reply) != 2 {
			return fmt.Errorf("%s: answer of %d parts, want 2", command, len(reply))
		}
		cursor, err := redigo.String(reply[0], nil)
		if err != nil {
			return err
		}
		page, err := redigo.ByteSlices(reply[1], nil)
		if err != nil {
			return err
		}
		if err := f(page); err != nil {
			return err
		}
		if cursor == "0" {
			return nil
		}
		args[at] = cursor
	}
}

// eachPage calls f for keys in parts of at most pageBytes. A single key may have
// more. hash is the name of the hash of extras for their keys, and empty for
// gearmand's keys.
func (s *Store) eachPage(ctx context.Context, hash string, keys []string, f func(page []string) error) error {
	for some := range slices.Chunk(keys, pageForeign) {
		sizes, err := redigo.Ints(s.runScript(ctx, sizesScript.get(), redigo.Args{hash}.AddFlat(some)...))
		if err == nil && len(sizes) != len(some) {
			err = fmt.Errorf("answer of %d sizes, want %d", len(sizes), len(some))
		}
		if err != nil {
			return err
		}
		for len(some) > 0 {
			n, size := 1, sizes[0]
			for n < len(some) && size+sizes[n] <= pageBytes {
				size += sizes[n]
				n++
			}
			if err := f(some[:n]); err != nil {
				return err
			}
			some, sizes = some[n:], sizes[n:]
		}
	}
	return ctx.Err()
}

// runScript runs a script that does not write.
func (s *Store) runScript(ctx context.Context, script *redigo.Script, args ...any) (any, error) {
	return s.withReader(ctx, func(c redigo.Conn) (any, error) { return script.DoContext(ctx, c, args...) })
}

// runCommand runs a command that does not write.
func (s *Store) runCommand(ctx context.Context, command string, args ...any) (any, error) {
	return s.withReader(ctx, func(c redigo.Conn) (any, error) { return redigo.DoContext(c, ctx, command, args...) })
}

// withReader calls f with a connection that reads, and again with another one if the
// first was lost while it was idle.
func (s *Store) withReader(ctx context.Context, f func(redigo.Conn) (any, error)) (any, error) {
	for lost := 0; ; lost++ {
		c, err := s.readers.GetContext(ctx)
		if err != nil {
			return nil, err
		}
		reply, err := f(c)
		_ = c.Close() // returns it to the pool
		if _, ok := errorAnswer(err); err == nil || ok || ctx.Err() != nil || lost == idleReaders {
			return reply, err
		}
	}
}
