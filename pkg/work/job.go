package work

import (
	"fmt"
	"sync"
	"time"

	"gm/internal/gather"
	"gm/pkg/gearman"
)

// job is a Gearman job on its way through the worker.
type job struct {
	*gearman.Job
	sent     *sentData        // parts of the result that were sent; nil: they are not kept
	server   string           // address of the server for the program
	slot     int              // its slot, from 1; 0: none
	attempt  int              // number of the attempt, from 1; 0: not known
	priority gearman.Priority // Normal if it is not known
	took     time.Duration    // how long its program or its parts took; 0: none ran
	parts    int              // parts of a job with a reducer
}

// SendData sends a part of the result, and keeps it for the next job of a chain.
func (j *job) SendData(part []byte) error {
	if j.sent == nil {
		return j.Job.SendData(part)
	}
	return j.sent.send(j.Job, part)
}

// sentData keeps the parts of a result that were sent before the job ended.
type sentData struct {
	limit int        // maximum size of the whole result in bytes
	mu    sync.Mutex // also keeps the order in which the parts are sent
	data  gather.Buffer
	err   error // the result exceeds the limit
}

// send sends a part of the result of j and keeps it.
func (s *sentData) send(j *gearman.Job, part []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.keep(part); err != nil {
		return err
	}
	return j.SendData(part)
}

// keep keeps a part.
func (s *sentData) keep(part []byte) error {
	if s.err == nil && s.data.Size()+len(part) > s.limit {
		s.err = fmt.Errorf("the result is over the limit of %d bytes", s.limit)
	}
	if s.err == nil {
		s.data.Add(part)
	}
	return s.err
}

// whole returns the kept parts and the rest as one result.
func (s *sentData) whole(rest []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.data.Size() == 0 {
		return rest, s.err
	}
	if err := s.keep(rest); err != nil {
		return nil, err
	}
	return s.data.Join(), nil
}
