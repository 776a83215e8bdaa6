package fleet

import (
	"context"
	"time"

	"gm/pkg/gearman"
)

// Ping sends n pings to each server, in rounds that begin interval apart, and calls f
// with each round trip: the number of its round from 1, and its time or its error. A
// ping fails after timeout. If f returns an error, Ping stops and returns it.
func Ping(ctx context.Context, client *gearman.Client, servers []gearman.Server, n int, interval, timeout time.Duration,
	f func(s gearman.Server, round int, took time.Duration, err error) error,
) error {
	tick := time.NewTicker(max(interval, time.Millisecond))
	defer tick.Stop()
	for round := 1; round <= n; round++ {
		if round > 1 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for _, s := range servers {
			took, err := pingOnce(ctx, client, s, timeout)
			if err := f(s, round, took, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func pingOnce(ctx context.Context, client *gearman.Client, s gearman.Server, timeout time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return client.Ping(ctx, s)
}
