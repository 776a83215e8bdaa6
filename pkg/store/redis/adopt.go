package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"gm/pkg/store"
)

// pageForeign is the maximum number of gearmand's keys, or of extras, that are read
// at a time.
const pageForeign = 64

// foreignKeys returns the keys that gearmand has written: those that are not in the
// index.
func (s *Store) foreignKeys(ctx context.Context) ([]string, error) {
	var foreign []string
	err := s.scan(ctx, "SCAN", "", prefixPattern(s.layout.prefix), func(page [][]byte) error {
		if len(page) == 0 {
			return nil
		}
		args := redigo.Args{s.layout.jobs}
		for _, key := range page {
			args = append(args, key[len(s.layout.prefix):])
		}
		rows, err := redigo.ByteSlices(s.runCommand(ctx, "HMGET", args...))
		if err != nil {
			return err
		}
		for i, row := range rows {
			if row == nil {
				foreign = append(foreign, string(page[i]))
			}
		}
		return nil
	})
	slices.Sort(foreign) // a scan may return a key twice
	return slices.Compact(foreign), err
}

// adopt gives numbers above last to gearmand's jobs, writes them back as jobs of gm,
// and calls f for each. The jobs have no order in Redis, so adopt uses the order of
// their keys. In a store that another server holds, it does not write them back.
func (s *Store) adopt(ctx context.Context, keys []string, last uint64, f func(*store.Record) error) error {
	if len(keys) == 0 {
		return nil
	}
	known, err := s.LastSeq(ctx)
	if err != nil {
		return err
	}
	seq := s.AdoptFrom(time.Now(), max(last, known))
	writes, jobs, ambiguous := !s.config.AsIs, 0, 0
	err = s.eachPage(ctx, "", keys, func(page []string) error {
		records, err := s.readForeign(ctx, page)
		if err != nil {
			return err
		}
		for _, r := range records {
			if r == nil {
				continue
			}
			seq++
			jobs++
			r.Seq = seq
			if strings.Contains(r.Unique, "-") && !store.IsUUID(r.Unique) {
				ambiguous++
			}
		}
		if writes {
			err := s.writeBack(ctx, page, records)
			if held := new(store.HeldError); errors.As(err, &held) || errors.Is(err, errLost) {
				writes = false
			} else if err != nil {
				return err
			}
		}
		for _, r := range records {
			if r == nil {
				continue
			}
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.log.Info("found jobs that gearmand has queued", "jobs", jobs)
	if ambiguous > 0 {
		s.log.Warn("keys of gearmand can be split in two ways: as in gearmand, a function ends at the first hyphen", "keys", ambiguous)
	}
	return ctx.Err()
}

// writeBack writes adopted jobs, each in place of its key.
func (s *Store) writeBack(ctx context.Context, keys []string, records []*store.Record) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return errClosed
	}
	return s.writeBatch(ctx, func(b *batch) error {
		for i, r := range records {
			if r != nil {
				b.appendOp(0, "drop", keys[i])
				b.addJob(r)
			}
		}
		b.grows = false // it grows little: the store can start even if Redis is full
		return nil
	}, nil)
}

// readForeign reads gearmand's jobs, without numbers. It reports an invalid job, for
// which it returns nil.
func (s *Store) readForeign(ctx context.Context, keys []string) ([]*store.Record, error) {
	args := redigo.Args{len(keys)}.AddFlat(keys)
	reply, err := redigo.Values(s.runScript(ctx, foreignScript.get(), args...))
	if err != nil {
		return nil, err
	}
	if len(reply) != len(keys) {
		return nil, fmt.Errorf("answer of %d values, want %d", len(reply), len(keys))
	}
	records := make([]*store.Record, len(keys))
	for i, value := range reply {
		r, err := s.foreignRecord(keys[i], value)
		if err != nil {
			s.skip(keys[i], err)
			continue
		}
		records[i] = r
	}
	return records, nil
}

// foreignRecord makes a record of a key's type, fields and values. It returns nil if
// the key does not exist any more.
func (s *Store) foreignRecord(key string, value any) (*store.Record, error) {
	parts, err := redigo.Values(value, nil)
	if err != nil || len(parts) != 2 {
		return nil, &store.CorruptError{Where: key, Why: "answer does not have two parts"}
	}
	kind, _ := redigo.String(parts[0], nil)
	if kind == "none" {
		return nil, nil
	}
	fields, err := redigo.ByteSlices(parts[1], nil)
	if err != nil || len(fields) == 0 {
		return nil, &store.CorruptError{Where: key, Why: "a " + kind + " is not a job"}
	}
	r := &store.Record{Priority: 1}
	found := false
	for i := 0; i+1 < len(fields); i += 2 {
		switch v := fields[i+1]; string(fields[i]) {
		case "data":
			r.Payload, found = v, true
		case "priority":
			r.Priority = parsePriority(v)
		case "function": // this and unique are of gearmand 2
			r.Function = string(v)
		case "unique":
			r.Unique = string(v)
		}
	}
	if !found {
		return nil, &store.CorruptError{Where: key, Why: "no data"}
	}
	if r.Function == "" {
		var ok bool
		r.Function, r.Unique, ok = store.SplitName(key[len(s.layout.prefix):])
		if !ok {
			return nil, &store.CorruptError{Where: key, Why: "no function and unique in the key"}
		}
	}
	return r, nil
}
