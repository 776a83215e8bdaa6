package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// Extras implements [store.Store].
func (s *Store) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	var keys []string
	err := s.scan(ctx, "HSCAN", s.layout.extras, prefixPattern(prefix), func(page [][]byte) error {
		for i := 0; i < len(page); i += 2 {
			keys = append(keys, string(page[i]))
		}
		return nil
	})
	slices.Sort(keys)
	keys = slices.Compact(keys)
	if err == nil {
		err = s.readValues(ctx, keys, f)
	}
	if err != nil {
		return fmt.Errorf("read extras from Redis: %w", err)
	}
	return nil
}

// Extra implements [store.Store].
func (s *Store) Extra(ctx context.Context, key string) ([]byte, error) {
	value, err := redigo.Bytes(s.runCommand(ctx, "HGET", s.layout.extras, key))
	if errors.Is(err, redigo.ErrNil) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read extra %q from Redis: %w", key, err)
	}
	return value, nil
}

// readValues calls f for the extras that exist under keys.
func (s *Store) readValues(ctx context.Context, keys []string, f func(key string, value []byte) error) error {
	return s.eachPage(ctx, s.layout.extras, keys, func(page []string) error {
		args := redigo.Args{s.layout.extras}.AddFlat(page)
		values, err := redigo.ByteSlices(s.runCommand(ctx, "HMGET", args...))
		if err != nil {
			return err
		}
		for i, value := range values {
			if value == nil {
				continue
			}
			if err := f(page[i], value); err != nil {
				return err
			}
		}
		return nil
	})
}
