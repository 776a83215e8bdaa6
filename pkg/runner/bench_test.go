//go:build unix

package runner

import (
	"bytes"
	"context"
	"fmt"
	"sync"
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

// BenchmarkKeep measures the cost of a job of a kept child, without Gearman.
func BenchmarkKeep(b *testing.B) {
	payload := []byte("12345")
	for _, children := range []int{1, 4} {
		b.Run(fmt.Sprint(children), func(b *testing.B) {
			c := &Command{Args: []string{"awk", "{ print $1 * $1; fflush() }"}}
			jobs := make(chan int, 64)
			var working sync.WaitGroup
			for range children {
				working.Go(func() {
					k := &Keeper{Command: c}
					defer k.Close(context.Background())
					for range jobs {
						r := k.Do(context.Background(), payload, func(a []byte) (bool, error) { return true, nil })
						if !r.OK() {
							b.Error(r.Err())
						}
					}
				})
			}
			for b.Loop() {
				jobs <- 1
			}
			close(jobs)
			working.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
