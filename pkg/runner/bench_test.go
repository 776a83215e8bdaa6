//go:build unix

package runner

import (
	"bytes"
	"context"
	"testing"
)

func BenchmarkTrue(b *testing.B) {
	c := &Command{Args: []string{"true"}}
	discard := func([]byte) error { return nil }
	payload := []byte("payload")
	b.Run("serial", func(b *testing.B) {
		for b.Loop() {
			if r := c.Run(context.Background(), Job{Stdin: payload, Stdout: discard}); !r.OK() {
				b.Fatal(r.Err())
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
	b.Run("parallel", func(b *testing.B) {
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if r := c.Run(context.Background(), Job{Stdin: payload, Stdout: discard}); !r.OK() {
					b.Error(r.Err())
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	})
}

func BenchmarkCat(b *testing.B) {
	c := &Command{Args: []string{"cat"}}
	payload := bytes.Repeat([]byte("0123456789abcde\n"), 1<<20)
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		n := 0
		r := c.Run(context.Background(), Job{Stdin: payload, Stdout: func(p []byte) error { n += len(p); return nil }})
		if !r.OK() || n != len(payload) {
			b.Fatal(r.Err(), n)
		}
	}
}
