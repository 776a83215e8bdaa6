package cmd

import (
	"context"
	"errors"
	"os"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
)

// storeFlags returns the flags of serve about the store, retries and kept results.
func storeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "store", Category: catStore,
			Usage: "keep background jobs in the store `URL`; else GM_STORE (default memory)",
		},
		&cli.StringFlag{Name: "data", Category: catStore, Usage: "keep background jobs in the directory `DIR`, like --store disk:DIR"},
		&cli.StringFlag{
			Name: "sync", Category: catStore,
			Usage: "`WHEN` a disk or sqlite store syncs: always (before a job is acknowledged), interval (every second) or never (left to the system). Acknowledged jobs survive a crash of the server in each case, a crash of the machine with always (default always)",
		},
		cli.DurationFlag(0, cli.GenericFlag{
			Name: "store-wait", Category: catStore,
			Usage: "at the start, wait up to `TIME` for a store that cannot be reached, such as a database that starts later; 0 does not wait",
		}),
		cli.DurationFlag(server.DefaultStoreTimeout, cli.GenericFlag{
			Name: "store-timeout", Category: catStore,
			Usage: "refuse a job that the store has not stored after `TIME`",
		}),
		cli.SizeFlag(0, cli.GenericFlag{
			Name: "memory", Category: catStore,
			Usage: "keep up to `SIZE` of waiting payloads in memory; further ones stay in the store, or are refused if there is no store that can list them. 0 is no limit (default half of the memory of the machine or container, less if that is small)",
		}),

		&cli.StringSliceFlag{
			Name: "retry", Category: catRetry,
			Usage: "retry failed jobs: `FUNCTION=N[,MIN..MAX]`, N times (-1 for ever), after MIN at first and twice as long each time, up to MAX (default 1s..5m); repeatable. gm admin policy changes it while the server runs",
		},
		&cli.IntFlag{
			Name: "dead-max", Value: server.DefaultDeadMax, Category: catRetry,
			Usage: "keep the last `N` dead jobs of each function: background jobs that have failed for good; 0 keeps none",
		},
		cli.DurationFlag(0, cli.GenericFlag{
			Name: "dead-age", Category: catRetry,
			Usage: "keep each dead job for `TIME`, such as 30d; 0 for ever",
		}),
		cli.DurationFlag(0, cli.GenericFlag{
			Name: "keep-results", Category: catRetry,
			Usage: "keep outcomes and results of background jobs for `TIME`, for gm wait and gm result; 0 does not keep them",
		}),
		cli.SizeFlag(server.DefaultResultsMemory, cli.GenericFlag{
			Name: "results-memory", Category: catRetry,
			Usage: "keep up to `SIZE` of results; the oldest are dropped first",
		}),
	}
}

// setStoreConfig sets the values of storeFlags in cfg, except the store itself.
func setStoreConfig(c *cli.Context, cfg *server.Config) error {
	deadMax := c.Int("dead-max")
	if deadMax < 0 {
		return cli.UsageErrorf("--dead-max %d: must be 0 or more", deadMax)
	}
	if d := cli.DurationOf(c, "store-timeout"); d == 0 {
		return cli.UsageErrorf("--store-timeout must be greater than 0")
	}
	cfg.DeadMax = &deadMax
	cfg.DeadAge = cli.DurationOf(c, "dead-age")
	cfg.StoreTimeout = cli.DurationOf(c, "store-timeout")
	cfg.KeepResults = cli.DurationOf(c, "keep-results")
	cfg.ResultsMemory = int(planned(c).results)
	if c.IsSet("results-memory") {
		cfg.ResultsMemory = int(cli.SizeOf(c, "results-memory"))
	}
	policies, err := retryPolicies(c)
	cfg.Policies = policies
	return err
}

// retryPolicies returns the policies that --retry gives, by function.
func retryPolicies(c *cli.Context) (map[string]server.Policy, error) {
	policies := map[string]server.Policy{}
	for _, flag := range retryFlags(c) {
		function, text, ok := strings.Cut(flag, "=")
		if !ok || function == "" {
			return nil, cli.UsageErrorf("--retry %q: want FUNCTION=N or FUNCTION=N,MIN..MAX", flag)
		}
		policy, err := server.ParsePolicy(text)
		if err != nil {
			return nil, cli.UsageErrorf("--retry %s: %w", function, err)
		}
		policies[function] = policy
	}
	return policies, nil
}

// retryFlags returns the values of --retry. The flag package cuts them at commas; a part
// without FUNCTION= belongs to the part before it.
func retryFlags(c *cli.Context) []string {
	var flags []string
	for _, part := range c.StringSlice("retry") {
		if n := len(flags); n > 0 && !strings.Contains(part, "=") {
			flags[n-1] += "," + part
		} else {
			flags = append(flags, part)
		}
	}
	return flags
}

// servePlace returns the store that the flags or the environment name, or nil for
// memory.
func (e *env) servePlace(c *cli.Context) (*open.Place, error) {
	var place *open.Place
	from := ""
	set := func(flag string, p *open.Place, err error) error {
		switch {
		case err != nil:
			return openError(err)
		case from != "":
			return cli.UsageErrorf("%s cannot be used with %s", from, flag)
		}
		place, from = p, flag
		return nil
	}
	if url := c.String("store"); url != "" {
		p, err := open.Parse(url)
		if err := set("--store", p, err); err != nil {
			return nil, err
		}
	}
	if dir := c.String("data"); dir != "" {
		if err := set("--data", &open.Place{URL: &store.URL{Scheme: "disk", Path: dir}}, nil); err != nil {
			return nil, err
		}
	}
	p, err := e.gearmandPlace(c)
	if p != nil || err != nil {
		if err := set("--queue-type", p, err); err != nil {
			return nil, err
		}
	}
	if url := e.Getenv("GM_STORE"); url != "" && from == "" && c.String("queue-type") == "" {
		p, err := open.Parse(url)
		if err := set("GM_STORE", p, err); err != nil {
			return nil, err
		}
	}
	sync := c.String("sync")
	switch {
	case place == nil && c.Bool("store-queue-on-shutdown"):
		return nil, cli.WithHint(cli.UsageErrorf("--store-queue-on-shutdown needs a store"), "--store URL, --data DIR or --queue-type name one")
	case place == nil && cli.DurationOf(c, "store-wait") > 0:
		return nil, cli.WithHint(cli.UsageErrorf("--store-wait needs a store"), "--store URL, --data DIR or --queue-type name one")
	case place == nil && sync != "":
		return nil, cli.WithHint(cli.UsageErrorf("--sync needs a store"), "--data DIR keeps jobs on disk")
	case sync != "" && sync != "always" && sync != "interval" && sync != "never":
		return nil, cli.UsageErrorf("--sync %q: want always, interval or never", sync)
	case sync != "" && !place.TakesSync():
		return nil, cli.UsageErrorf("--sync needs a disk or sqlite store: the settings of %s decide when it syncs", place.URL.Scheme)
	case place != nil:
		place.Sync, place.Wait = sync, cli.DurationOf(c, "store-wait")
	}
	return place, nil
}

// errStopped is returned when a signal ends the wait for the store.
var errStopped = errors.New("stopped")

// acquireStore acquires the store of p, see [open.Place.Acquire]. A signal ends
// the wait with errStopped.
func acquireStore(p *open.Place, signals <-chan os.Signal, patient bool) (store.Store, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped := false
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case sig := <-signals:
			p.Logger.Info("stopping", "signal", sig.String())
			stopped = true
			cancel()
		case <-ctx.Done():
		}
	}()
	s, err := p.Acquire(ctx, "gm serve", patient)
	cancel()
	<-watched
	if stopped {
		return nil, errors.Join(errStopped, open.Close(s))
	}
	return s, err
}

// openError gives an error of opening or acquiring a store its exit code and its
// hint.
func openError(err error) error {
	wrong := new(open.UsageError)
	switch {
	case errors.As(err, new(*cli.ExitError)):
		return err
	case errors.As(err, &wrong):
		return cli.WithHint(cli.ExitWith(cli.ExitUsage, err), wrong.Hint)
	case errors.Is(err, store.ErrAbsent):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "gm serve, gm store load and gearmand create the store that they need")
	case errors.As(err, new(*store.AwayError)):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "gm serve --store-wait 5m waits for a store that starts later")
	}
	return cli.ExitWith(cli.ExitIO, err)
}

// warnOfLimit logs a warning if the store takes only smaller payloads than the server:
// larger background jobs will be refused.
func warnOfLimit(s store.Store, cfg *server.Config) {
	if limit := s.Caps().MaxPayload; limit > 0 && limit < cfg.MaxPayload {
		cfg.Logger.Warn("the store limits payloads to less than --max-payload: larger background jobs are refused",
			"store", cfg.StoreName, "store_limit", limit, "max_payload", cfg.MaxPayload)
	}
}
