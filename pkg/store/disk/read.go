package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// Replay implements store.Store.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, true, func(r *store.Record, _ int) error { return f(r) })
}

// ReplayHeads implements store.Reader. It does not read payloads of more than
// 2 KiB.
func (s *Store) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.replay(ctx, false, f)
}

func (s *Store) replay(ctx context.Context, payloads bool, f func(*store.Record, int) error) error {
	var found faults
	if err := s.flushLog(); err != nil {
		return err
	}
	err := s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) error {
			if err := snap.jobs(ctx, payloads, f, found.add); err != nil || found.n == 0 {
				return err
			}
			return snap.orphans(ctx, found.add) // a changed key leaves them
		})
	})
	s.setAside(found)
	return err
}

// jobs calls f for each job in order, and bad for each that cannot be read. It
// reads the pieces of payloads only if payloads is true. Payloads belong to f.
func (snap *snapshot) jobs(ctx context.Context, payloads bool, f func(*store.Record, int) error, bad func(fault)) error {
	w := boltfile.Walk{Tree: snap.Tree, Whole: true, Only: jobsBucket}
	w.Bad = func(at boltfile.Place, err error) error {
		bad(fault{name: jobsName, page: at.Page, err: err})
		return nil
	}
	w.Leaf = func(at boltfile.Place, p *boltfile.Page) error {
		for i := range p.Len() {
			key, value, ok := p.Entry(i)
			if !ok {
				continue
			}
			for key, record := range snap.sealing.records(key, value) {
				r, size, err := snap.job(key, record, payloads)
				if boltfile.IsReadError(err) {
					return err
				}
				if err != nil {
					bad(fault{name: jobsName, page: at.Page, key: bytes.Clone(key), value: bytes.Clone(record), err: err})
					continue
				}
				if err := f(r, size); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	}
	return w.Run()
}

// job decodes a record, which must belong to its key.
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

// payload joins the pieces of a job's payload.
func (snap *snapshot) payload(seq uint64, body codec.Body) ([]byte, error) {
	bodies, err := snap.Bucket(bodiesBucket)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for i := range pieces(body.Size) {
		key := pieceKey(seq, i)
		value, err := bodies.Get(key)
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
	if codec.BodyOf(payload) != body {
		return nil, errors.New("checksum of its payload does not match")
	}
	return payload, nil
}

// ReadPayload implements store.Reader. A job that cannot be read is set aside.
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
		// The job may be in the log. If the engine is broken, writing the log
		// into the file opens it again.
		if err := s.flushLog(); err != nil {
			return nil, err
		}
		payload, bad, err = s.readPayload(r.Seq)
	}
	if bad != nil {
		s.setAside(s.withOrphans(bad))
		return nil, &store.CorruptError{Where: fmt.Sprint("job ", r.Seq), Why: bad.err.Error()}
	}
	return payload, err
}

// withOrphans returns a job's fault. If a piece of the payload was not found, its
// key may have changed: then the pieces that belong to no job are among the
// faults too.
func (s *Store) withOrphans(bad *fault) faults {
	found := faults{list: []fault{*bad}, n: 1}
	if !errors.Is(bad.err, store.ErrNotFound) {
		return found
	}
	err := s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) error { return snap.orphans(s.ctx, found.add) })
	})
	if err != nil {
		s.cfg.Logger.Warn("pieces of payloads that belong to no job were not looked for", "store", "disk:"+s.cfg.Dir, "err", err)
	}
	return found
}

// readPayload returns a job's payload from the file, or the fault that it has.
func (s *Store) readPayload(seq uint64) (payload []byte, bad *fault, err error) {
	err = s.use(func(e *engine) error {
		return e.view(func(snap *snapshot) (err error) {
			payload, bad, err = snap.readPayload(seq)
			return err
		})
	})
	return payload, bad, err
}

// readPayload returns a job's payload, or the fault that it has.
func (snap *snapshot) readPayload(seq uint64) ([]byte, *fault, error) {
	key, record, err := snap.find(seq)
	if err != nil {
		return nil, nil, err
	}
	r, _, err := snap.job(key, record, true)
	if boltfile.IsReadError(err) {
		return nil, nil, err
	}
	if err != nil {
		return nil, &fault{name: jobsName, key: key, value: record, err: err}, nil
	}
	return r.Payload, nil, nil
}

// find returns the record of a job and the key that it would have alone, or
// store.ErrNotFound. If the pack of the job has a broken stretch, find may return
// that.
func (snap *snapshot) find(seq uint64) (key, record []byte, err error) {
	jobs, err := snap.Bucket(jobsBucket)
	if err != nil {
		return nil, nil, err
	}
	at, value, err := jobs.Seek(jobKey(seq))
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
	if err := s.flushLog(); err != nil {
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
	w := boltfile.Walk{Tree: snap.Tree, Whole: true, Only: extrasBucket}
	w.Bad = func(at boltfile.Place, err error) error {
		bad(fault{name: extrasName, page: at.Page, err: err})
		return nil
	}
	w.Leaf = func(at boltfile.Place, p *boltfile.Page) error {
		for i := range p.Len() {
			key, value, ok := p.Entry(i)
			if !ok {
				continue
			}
			data, err := snap.sealing.unseal(extrasName, key, value)
			if err != nil {
				bad(fault{name: extrasName, page: at.Page, key: bytes.Clone(key), value: bytes.Clone(value), err: err})
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
	return w.Run()
}

// Extra implements store.Store.
func (s *Store) Extra(_ context.Context, key string) (data []byte, err error) {
	if err := s.flushLog(); err != nil {
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

// extra returns the value of an extra, or the fault that it has.
func (snap *snapshot) extra(key []byte) ([]byte, *fault, error) {
	extras, err := snap.Bucket(extrasBucket)
	if err != nil {
		return nil, nil, err
	}
	value, err := extras.Get(key)
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

// LastSeq implements store.Numbered. Finished jobs count too.
func (s *Store) LastSeq(context.Context) (last uint64, err error) {
	if err := s.flushLog(); err != nil {
		return 0, err
	}
	err = s.use(func(e *engine) error {
		return e.ViewTx(func(tx *bolt.Tx) error {
			jobs := tx.Bucket(jobsName)
			key, _ := jobs.Cursor().Last()
			last = max(seqOf(key), jobs.Sequence())
			return nil
		})
	})
	return last, err
}
