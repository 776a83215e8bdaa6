package serving

import (
	"context"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// relayPatience is the maximum time for the last batch of a relay.
const relayPatience = 5 * time.Second

// Relay submits jobs until ctx is done.
type Relay interface {
	Run(ctx context.Context) error
}

// startRelay runs a relay when the server has read its store, over connections to the
// server that need no port. The returned function stops it, and returns when it has
// ended, at the latest after patience: a database may not answer any more. newRelay is
// that of Config.
func startRelay(newRelay func(gearman.Options) (Relay, error), srv *server.Server, maxPayload int, patience time.Duration) (stop func(), err error) {
	if newRelay == nil {
		return func() {}, nil
	}
	r, err := newRelay(pipeOptions(srv, maxPayload))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if srv.Restored(ctx) == nil {
			r.Run(ctx) //nolint:errcheck // it logs its errors
		}
	}()
	return func() {
		cancel()
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-done:
		case <-timer.C:
		}
	}, nil
}
