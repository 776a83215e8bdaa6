//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gm/scripts/peer"
)

// batchFunction is that of all batches.
const batchFunction = "bench"

// cluster starts a server, and gm work with more arguments and, unless they say
// otherwise, two slots.
func (e *env) cluster(work []string, do func(s *peer.Server) error) error {
	s, _, err := e.start(gm)
	if err != nil {
		return err
	}
	defer s.Kill()
	slots := 2
	if j, ok := strings.CutPrefix(work[0], "-j"); ok {
		slots, _ = strconv.Atoi(j)
		work = work[1:]
	}
	args := append([]string{"work", "-s", s.Addr, "-f", batchFunction, "-j", strconv.Itoa(slots)}, work...)
	end, err := startWorker(s, slots, e.gm, args...)
	if err != nil {
		return err
	}
	defer end()
	return do(s)
}

// batchDone is a program that has ended.
type batchDone struct {
	out  []byte
	took time.Duration
	rss  float64 // the most memory that it had, in MB
}

// runBatch runs a program with a stdin, and keeps its stdout.
func runBatch(cmd *exec.Cmd, in io.Reader) (*batchDone, error) {
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %.500s", strings.Join(cmd.Args, " "), err, errs.Bytes())
	}
	done := &batchDone{out: out.Bytes(), took: time.Since(began)}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		done.rss = float64(usage.Maxrss) * 1024 / 1e6
	}
	return done, nil
}

// gigabyte sends text through cat, and compares the result.
func (e *env) gigabyte() (f figures, err error) {
	size := e.n(1_000_000_000)
	err = e.cluster([]string{"--", "cat"}, func(s *peer.Server) error {
		in, out := sha256.New(), &counter{hash: sha256.New()}
		cmd := exec.Command(e.gm, "map", "-s", s.Addr, "--block", "1M", "-f", batchFunction)
		cmd.Stdout = out
		done, err := runBatch(cmd, io.TeeReader(io.LimitReader(&textReader{}, int64(size)), in))
		if err != nil {
			return err
		}
		if out.n != size || !bytes.Equal(in.Sum(nil), out.hash.Sum(nil)) {
			return fmt.Errorf("of %d bytes %d came back, or others", size, out.n)
		}
		f = figures{speed: float64(size) / 1e6 / done.took.Seconds(), space: done.rss}
		return nil
	})
	return f, err
}

// textReader is a text of numbered lines without an end.
type textReader struct {
	line int
	rest []byte
}

func (r *textReader) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if len(r.rest) == 0 {
			r.line++
			r.rest = fmt.Appendf(r.rest[:0], "%09d the quick brown fox jumps over the lazy dog, again and again and again, until it is night\n", r.line)
		}
		m := copy(b[n:], r.rest)
		n, r.rest = n+m, r.rest[m:]
	}
	return n, nil
}

// counter counts and hashes the bytes written to it.
type counter struct {
	hash hash.Hash
	n    int
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += len(b)
	return c.hash.Write(b)
}
