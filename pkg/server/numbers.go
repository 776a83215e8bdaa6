package server

import (
	"errors"
	"strconv"

	"gm/pkg/store"
)

// numberBlock is the number of numbers that are reserved together. It is about the
// growth of [store.FirstSeq] in a second.
const numberBlock = 1 << 22

// lastNumber returns the highest number that an earlier server on the store may
// have given out: a clock that was set back must not lead to handles that were used
// before. known is false if the store could not be read to its end; then load finds
// the number later.
func (s *Server) lastNumber() (last uint64, known bool, err error) {
	last, err = s.store.LastSeq(s.ctx)
	if err != nil {
		return 0, false, err
	}
	value, err := s.store.Extra(s.ctx, store.NumberKey)
	if err == nil {
		n, _ := store.ParseNumber(value) // an error is logged by load
		last = max(last, n)
	}
	var corrupt *store.CorruptError
	known = err == nil || errors.Is(err, store.ErrNotFound) || errors.As(err, &corrupt)
	return last, known, nil
}

// reserveNumbers stores a number above all that are given out before half of
// the next block is used. The lock is held.
func (m *committer) reserveNumbers() {
	last := m.s.q.LastSeq()
	if !m.s.numbered || last+numberBlock/2 < m.reserved {
		return
	}
	m.reserved = last + numberBlock
	m.put(store.NumberKey, strconv.AppendUint(nil, m.reserved, 10))
}
