//go:build linux

package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gm/scripts/load"
	"gm/scripts/peer"
)

const (
	// payloadSize is that of all jobs of which nothing else is said, in bytes.
	payloadSize = 100
	// fillLimit is how long it may take to leave a bench's jobs with a server.
	fillLimit = 5 * time.Minute
)

// env has the state that all benches share.
type env struct {
	gm      string // the binary
	dir     string // for the servers' files
	quick   bool
	waiting int // the longest queue of a curve
}

// enterDir makes a directory for this run's files, which is removed by leave, or
// when the run is interrupted.
func (e *env) enterDir() (leave func(), err error) {
	if e.dir, err = os.MkdirTemp(e.dir, "gm-bench-"); err != nil {
		return nil, err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-interrupted; ok {
			_ = os.RemoveAll(e.dir)
			os.Exit(1) // which ends all started programs
		}
	}()
	return func() {
		signal.Stop(interrupted)
		close(interrupted)
		_ = os.RemoveAll(e.dir)
	}, nil
}

// n returns a number of jobs, fewer for a quick run.
func (e *env) n(jobs int) int {
	if e.quick {
		return max(jobs/10, 1)
	}
	return jobs
}

// limit is how long a load of so many jobs may run. A load that has not ended
// then counts with the jobs that it did.
func (e *env) limit() time.Duration {
	if e.quick {
		return time.Second
	}
	return 30 * time.Second
}

// period is how long a load without an end runs.
func (e *env) period() time.Duration {
	if e.quick {
		return 500 * time.Millisecond
	}
	return 2 * time.Second
}

// start starts a server with its defaults.
func (e *env) start(who string) (*peer.Server, load.Protocol, error) {
	switch who {
	case gm:
		s, err := peer.GM(e.gm, e.dir)
		return s, load.Gearman, err
	case gearmand:
		s, err := peer.Gearmand(e.dir)
		return s, load.Gearman, err
	case beanstalkd:
		s, err := peer.Beanstalkd(e.dir)
		return s, load.Beanstalk, err
	case redis:
		s, err := peer.Redis(e.dir)
		return s, load.Redis, err
	}
	panic("no such server: " + who)
}

// each returns contenders that do the same with a server of their own, which is
// ended after it.
func (e *env) each(do func(s *peer.Server, p load.Protocol) (figures, error), whos ...string) (all []contender) {
	for _, who := range whos {
		all = append(all, contender{who, func() (figures, error) {
			s, p, err := e.start(who)
			if err != nil {
				return nil, err
			}
			defer s.Kill()
			return do(s, p)
		}})
	}
	return all
}

// measure runs a load on a server and closes it.
func measure(s *peer.Server, limit time.Duration, l *load.Load, err error) (figures, error) {
	if err != nil {
		return nil, err
	}
	defer l.Close()
	before, err := s.CPU()
	if err != nil {
		return nil, err
	}
	r, err := l.Run(limit)
	if err != nil {
		return nil, err
	}
	after, err := s.CPU()
	if err != nil {
		return nil, err
	}
	if r.Jobs == 0 {
		return nil, fmt.Errorf("no job in %v", limit)
	}
	f := figures{rate: r.Rate(), cpu: micros(after-before) / float64(r.Jobs)}
	if len(r.Latencies) > 0 {
		f[p50] = micros(load.Quantile(r.Latencies, 0.5))
	}
	return f, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// fill leaves jobs with a server.
func fill(s *peer.Server, p load.Protocol, jobs int, j load.Job) error {
	l, err := load.Submit(p, s.Addr, load.Submission{Job: j, Jobs: jobs, Conns: 8, Window: 64})
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := l.Run(fillLimit)
	if err == nil && r.Jobs < jobs {
		err = fmt.Errorf("only %d of %d jobs were taken in %v", r.Jobs, jobs, fillLimit)
	}
	return err
}
