package memcached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gm/pkg/store"
)

// Extras implements [store.Store].
func (s *Store) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	if !s.lists {
		return nil
	}
	p := newPool(s.config.Servers)
	defer p.close()
	keys, err := s.listKeys(ctx, p, s.layout.own+"x:")
	if err == nil {
		err = s.readExtras(ctx, p, keys, prefix, f)
	}
	if err != nil {
		return fmt.Errorf("read extras from memcached: %w", err)
	}
	return nil
}

// Extra implements [store.Store].
func (s *Store) Extra(ctx context.Context, key string) (value []byte, err error) {
	p := newPool(s.config.Servers)
	defer p.close()
	at := s.layout.extraKey(key)
	items, err := p.fetch(ctx, []string{at})
	it, found := items[at]
	var e *extraHead
	if err == nil && found {
		e, err = s.readExtra(ctx, p, at, it)
	}
	switch corrupt := new(store.CorruptError); {
	case errors.As(err, &corrupt):
		s.skip(at, err)
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read extra %q from memcached: %w", key, err)
	case e == nil || e.key != key:
		return nil, store.ErrNotFound
	}
	return e.value, nil
}

// readExtras calls f for the extras under keys whose own keys begin with prefix.
func (s *Store) readExtras(ctx context.Context, p *pool, keys []string, prefix string, f func(string, []byte) error) error {
	for page := range slices.Chunk(keys, pageItems) {
		items, err := p.fetch(ctx, page)
		if err != nil {
			return err
		}
		for key, it := range items {
			if e, ok := decodeExtra(it); ok && !strings.HasPrefix(e.key, prefix) {
				continue
			}
			e, err := s.readExtra(ctx, p, key, it)
			if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
				s.skip(key, err)
				continue
			}
			if err != nil {
				return err
			}
			if e == nil {
				continue
			}
			if err := f(e.key, e.value); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// readExtra returns the extra of an item with its value, which may be in parts. It
// returns nil if the extra was changed meanwhile. The error of a damaged extra is a
// *store.CorruptError.
func (s *Store) readExtra(ctx context.Context, p *pool, key string, it item) (*extraHead, error) {
	e, ok := decodeExtra(it)
	if !ok {
		return nil, &store.CorruptError{Where: key, Why: "its fields do not have the right form"}
	}
	if e.part == 0 {
		return e, nil
	}
	var err error
	if e.value, err = fetchParts(ctx, p, s.layout.extraPart(e.key), e.size, e.part); err != nil || e.value != nil {
		return e, err
	}
	now, err := p.fetch(ctx, []string{key})
	if err != nil || !bytes.Equal(now[key].value, it.value) {
		return nil, err
	}
	return nil, &store.CorruptError{Where: fmt.Sprintf("extra %q", e.key), Why: errPart.Error()}
}
