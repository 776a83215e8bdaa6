package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

// Replay implements store.Store.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, true, func(r *store.Record, _ int) error { return f(r) })
}

// ReplayHeads implements store.Reader. Payloads of more than 2 KiB are not
// read.
func (s *Store) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.replay(ctx, false, f)
}

func (s *Store) replay(ctx context.Context, payloads bool, f func(*store.Record, int) error) error {
	var found faults
	if err := s.settle(); err != nil {
		return err
	}
	err := s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) error {
			return snap.jobs(ctx, payloads, f, found.add)
		})
	})
	s.setAside(found)
	return err
}

// jobs calls f for each job in order, and bad for each that can't be read. The
// pieces of payloads are read only if they are wanted; payloads are the
// callee's.
func (snap *snapshot) jobs(ctx context.Context, payloads bool, f func(*store.Record, int) error, bad func(fault)) error {
	w := walk{tree: &snap.tree, whole: true, only: jobsBucket}
	w.bad = func(at place, err error) error {
		bad(fault{name: jobsName, page: at.page, err: err})
		return nil
	}
	w.leaf = func(at place, p *page) error {
		for i := range p.count {
			e, ok := p.element(i)
			if !ok {
				continue
			}
			for key, record := range snap.sealing.records(p.keyOf(e), p.valueOf(e)) {
				r, size, err := snap.job(key, record, payloads)
				if isReadError(err) {
					return err
				}
				if err != nil {
					bad(fault{name: jobsName, page: at.page, key: bytes.Clone(key), value: bytes.Clone(record), err: err})
					continue
				}
				if err := f(r, size); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	}
	return w.run(snap.root)
}

// job decodes a record and the key that it is under.
func (snap *snapshot) job(key, record []byte, payload bool) (*store.Record, int, error) {
	r, body, err := snap.sealing.decode(record)
	if broken := new(store.CorruptError); errors.As(err, &broken) {
		err = errors.New(broken.Why)
	}
	switch {
	case err != nil:
		return nil, 0, err
	case string(key) != string(jobKey(r.Seq)):
		return nil, 0, fmt.Errorf("it is the record of job %d", r.Seq)
	case body == nil && payload:
		r.Payload = bytes.Clone(r.Payload)
		return r, len(r.Payload), nil
	case body == nil:
		size := len(r.Payload)
		r.Payload = nil
		return r, size, nil
	case !payload:
		return r, body.Size, nil
	}
	r.Payload, err = snap.payload(r.Seq, *body)
	return r, body.Size, err
}

// payload puts together the payload of a job that is kept in pieces.
func (snap *snapshot) payload(seq uint64, body store.Body) ([]byte, error) {
	bodies, err := snap.bucket(bodiesBucket)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for i := range pieces(body.Size) {
		key := pieceKey(seq, i)
		value, err := bodies.get(key)
		if err == nil {
			value, err = snap.sealing.unseal(bodiesName, key, value)
		}
		if err != nil {
			return nil, fmt.Errorf("piece %d of its payload: %w", i, err)
		}
		if payload == nil {
			payload = make([]byte, 0, body.Size)
		}
		payload = append(payload, value...)
	}
	if store.BodyOf(payload) != body {
		return nil, errors.New("checksum of its payload does not match")
	}
	return payload, nil
}

// ReadPayload implements store.Reader. A job that can't be read is set aside.
func (s *Store) ReadPayload(_ context.Context, r *store.Record) ([]byte, error) {
	err := s.use(func(*engine) error {
		if s.wal.ends(r.Seq) {
			return store.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	payload, bad, err := s.readPayload(r.Seq)
	if err != nil {
		// It may be in the log, and what is broken is found by whoever writes.
		if err := s.settle(); err != nil {
			return nil, err
		}
		payload, bad, err = s.readPayload(r.Seq)
	}
	if bad != nil {
		s.setAside(faults{list: []fault{*bad}, n: 1})
		return nil, &store.CorruptError{Where: fmt.Sprint("job ", r.Seq), Why: bad.err.Error()}
	}
	return payload, err
}

// readPayload returns a job's payload from the file, or what is wrong with it.
func (s *Store) readPayload(seq uint64) (payload []byte, bad *fault, err error) {
	err = s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) (err error) {
			payload, bad, err = snap.read(seq)
			return err
		})
	})
	return payload, bad, err
}

// read returns a job's payload, or what is wrong with it.
func (snap *snapshot) read(seq uint64) ([]byte, *fault, error) {
	key, record, err := snap.find(seq)
	if err != nil {
		return nil, nil, err
	}
	r, _, err := snap.job(key, record, true)
	if isReadError(err) {
		return nil, nil, err
	}
	if err != nil {
		return nil, &fault{name: jobsName, key: key, value: record, err: err}, nil
	}
	return r.Payload, nil, nil
}

// find returns the record of a job and the key that it would have alone, or
// store.ErrNotFound. If a part of the pack that the job would be in is broken,
// it may be that.
func (snap *snapshot) find(seq uint64) (key, record []byte, err error) {
	jobs, err := snap.bucket(jobsBucket)
	if err != nil {
		return nil, nil, err
	}
	at, value, err := jobs.seek(jobKey(seq))
	if err != nil {
		return nil, nil, err
	}
	err = store.ErrNotFound
	for k, r := range snap.sealing.records(at, value) {
		switch {
		case len(k) == 8 && seqOf(k) == seq:
			return k, r, nil
		case len(k) == packKeySize:
			if p, _ := snap.sealing.parsePack(k, nil); p.spans(seq) {
				key, record, err = k, r, nil
			}
		}
	}
	return key, record, err
}

// Extras implements store.Store.
func (s *Store) Extras(ctx context.Context, prefix string, f func(string, []byte) error) error {
	var found faults
	if err := s.settle(); err != nil {
		return err
	}
	err := s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) error {
			return snap.extras(ctx, prefix, f, found.add)
		})
	})
	s.setAside(found)
	return err
}

func (snap *snapshot) extras(ctx context.Context, prefix string, f func(string, []byte) error, bad func(fault)) error {
	w := walk{tree: &snap.tree, whole: true, only: extrasBucket}
	w.bad = func(at place, err error) error {
		bad(fault{name: extrasName, page: at.page, err: err})
		return nil
	}
	w.leaf = func(at place, p *page) error {
		for i := range p.count {
			e, ok := p.element(i)
			if !ok {
				continue
			}
			key, value := p.keyOf(e), p.valueOf(e)
			data, err := snap.sealing.unseal(extrasName, key, value)
			if err != nil {
				bad(fault{name: extrasName, page: at.page, key: bytes.Clone(key), value: bytes.Clone(value), err: err})
				continue
			}
			if bytes.HasPrefix(key, []byte(prefix)) && string(key) != markKey {
				if err := f(string(key), bytes.Clone(data)); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	}
	return w.run(snap.root)
}

// Extra implements store.Store.
func (s *Store) Extra(_ context.Context, key string) (data []byte, err error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if key == markKey {
		return nil, store.ErrNotFound
	}
	var bad *fault
	err = s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) (err error) {
			data, bad, err = snap.extra([]byte(key))
			return err
		})
	})
	if bad != nil {
		s.setAside(faults{list: []fault{*bad}, n: 1})
		return nil, &store.CorruptError{Where: bad.String(), Why: bad.err.Error()}
	}
	return data, err
}

// extra returns the value of an extra, or what is wrong with it.
func (snap *snapshot) extra(key []byte) ([]byte, *fault, error) {
	extras, err := snap.bucket(extrasBucket)
	if err != nil {
		return nil, nil, err
	}
	value, err := extras.get(key)
	if err != nil {
		return nil, nil, err
	}
	data, err := snap.sealing.unseal(extrasName, key, value)
	if err != nil {
		return nil, &fault{name: extrasName, key: key, value: value, err: err}, nil
	}
	return bytes.Clone(data), nil, nil
}

// seqOf returns the number of a job from a key that begins with it.
func seqOf(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

// LastSeq implements store.Numbered. Jobs that are done count too.
func (s *Store) LastSeq(context.Context) (last uint64, err error) {
	if err := s.settle(); err != nil {
		return 0, err
	}
	err = s.use(func(e *engine) error {
		return e.db.View(func(tx *bolt.Tx) error {
			jobs := tx.Bucket(jobsName)
			key, _ := jobs.Cursor().Last()
			last = max(seqOf(key), jobs.Sequence())
			return nil
		})
	})
	return last, err
}
