//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/disk"
	"gm/scripts/load"
)

// engineAlone commits batches of jobs like those of the load to a disk store
// for d, with nothing else at work, and returns the jobs a second.
func engineAlone(parent string, batch int, d time.Duration) (float64, error) {
	dir, err := os.MkdirTemp(parent, "gm-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := disk.Open(ctx, disk.Config{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer s.Close()

	const uniqueSize = 16
	payload := make([]byte, payloadSize)
	records, ops := make([]store.Record, batch), make([]store.Op, batch)
	first := store.FirstSeq(time.Now())
	began := time.Now()
	n := 0
	for time.Since(began) < d {
		for i := range ops {
			n++
			records[i] = store.Record{
				Seq: first + uint64(n), Function: "bench", Unique: fmt.Sprintf("%0*x", uniqueSize, n),
				Payload: payload, Priority: 1, Accepted: began.UnixMilli(),
			}
			ops[i] = store.Op{Kind: store.Add, Record: &records[i]}
		}
		if err := s.Commit(ctx, ops); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// syncTime returns the median time of the disk for a page that is written and
// synced.
func syncTime(parent string) (time.Duration, error) {
	f, err := os.CreateTemp(parent, "gm-bench-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const pages = 256
	page := make([]byte, 4096)
	for range pages { // so that its blocks are there
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var took []time.Duration
	for i := range 2 * pages {
		began := time.Now()
		if _, err := f.WriteAt(page, int64(i%pages)*int64(len(page))); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	return load.Quantile(took, 0.5), nil
}
