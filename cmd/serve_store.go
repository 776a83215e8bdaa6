package cmd

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"gm/pkg/queue"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
)

// storeFlags are the flags of serve about the store, retries and kept results.
func storeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "store", Category: catStore,
			Usage: "keep background jobs in the store `URL`; else GM_STORE, else they live in memory",
		},
		&cli.StringFlag{Name: "data", Category: catStore, Usage: "keep background jobs in the directory `DIR`: --store disk:DIR"},
		&cli.StringFlag{
			Name: "sync", Category: catStore,
			Usage: "`WHEN` a disk or sqlite store brings jobs to the disk: always (before they are acknowledged, the default), interval (every second) or never (when the system likes to); what is acknowledged survives the server's end with each of them, the machine's end with the first",
		},
		durationFlag(0, cli.GenericFlag{
			Name: "store-wait", Category: catStore,
			Usage: "wait for `TIME` for a store that can't be reached at the start, such as a database that starts later; 0 not at all",
		}),
		durationFlag(server.DefaultStoreTimeout, cli.GenericFlag{
			Name: "store-timeout", Category: catStore,
			Usage: "refuse a job that the store has not taken after `TIME`",
		}),
		sizeFlag(0, cli.GenericFlag{
			Name: "memory", Category: catStore,
			Usage: "waiting payloads may occupy `SIZE`; more are left to the store, or refused if there is none that gives them back. 0 is no bound (default: half of what the machine, or its container, has; less if that is not much)",
		}),

		&cli.StringSliceFlag{
			Name: "retry", Category: catRetry,
			Usage: "try jobs that fail again: `FUNCTION=N[,MIN..MAX]`, N times, -1 for ever, the first after MIN, each after twice the wait of the one before, up to MAX (1s..5m); repeatable. gm admin policy changes it while the server runs",
		},
		&cli.IntFlag{
			Name: "dead-max", Value: server.DefaultDeadMax, Category: catRetry,
			Usage: "keep the last `N` background jobs of each function that have failed for good; 0 none",
		},
		durationFlag(0, cli.GenericFlag{
			Name: "dead-age", Category: catRetry,
			Usage: "and each for `TIME`, like 720h; 0 without end",
		}),
		durationFlag(0, cli.GenericFlag{
			Name: "keep-results", Category: catRetry,
			Usage: "keep for `TIME` how background jobs have ended, and their results, for gm wait and gm result; 0 not at all",
		}),
		sizeFlag(server.DefaultResultsMemory, cli.GenericFlag{
			Name: "results-memory", Category: catRetry,
			Usage: "the results that are kept may occupy `SIZE`; the oldest go first",
		}),
	}
}

// setStoreConfig sets the values of storeFlags in cfg, except the store itself.
func setStoreConfig(c *cli.Context, cfg *server.Config) error {
	deadMax := c.Int("dead-max")
	if deadMax < 0 {
		return usageErrorf("--dead-max %d: not 0 or more", deadMax)
	}
	if d := durationOf(c, "store-timeout"); d == 0 {
		return usageErrorf("--store-timeout 0: a store needs some time")
	}
	cfg.DeadMax = &deadMax
	cfg.DeadAge = durationOf(c, "dead-age")
	cfg.StoreTimeout = durationOf(c, "store-timeout")
	cfg.KeepResults = durationOf(c, "keep-results")
	cfg.ResultsMemory = int(planned(c).results)
	if c.IsSet("results-memory") {
		cfg.ResultsMemory = int(sizeOf(c, "results-memory"))
	}
	policies, err := retryPolicies(c)
	cfg.Policies = policies
	return err
}

// retryPolicies returns the policies that --retry gives, by function.
func retryPolicies(c *cli.Context) (map[string]queue.Policy, error) {
	policies := map[string]queue.Policy{}
	for _, flag := range retryFlags(c) {
		function, text, ok := strings.Cut(flag, "=")
		if !ok || function == "" {
			return nil, usageErrorf("--retry %q: not FUNCTION=N or FUNCTION=N,MIN..MAX", flag)
		}
		policy, err := server.ParsePolicy(text)
		if err != nil {
			return nil, usageErrorf("--retry %s: %w", function, err)
		}
		policies[function] = policy
	}
	return policies, nil
}

// retryFlags returns the values of --retry. The flag package cuts them at
// commas; a part that does not begin with FUNCTION= belongs to the one before.
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

// servePlace returns the store that the flags name, or the environment; nil
// for memory.
func (e *env) servePlace(c *cli.Context) (*open.Place, error) {
	var place *open.Place
	from := ""
	set := func(flag string, p *open.Place, err error) error {
		switch {
		case err != nil:
			return openError(err)
		case from != "":
			return usageErrorf("%s and %s: one of them", from, flag)
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
	if url := e.getenv("GM_STORE"); url != "" && from == "" && c.String("queue-type") == "" {
		p, err := open.Parse(url)
		if err := set("GM_STORE", p, err); err != nil {
			return nil, err
		}
	}
	sync := c.String("sync")
	switch {
	case place == nil && c.Bool("store-queue-on-shutdown"):
		return nil, withHint(usageErrorf("--store-queue-on-shutdown: there is no store"), "--store URL, --data DIR or --queue-type name one")
	case place == nil && durationOf(c, "store-wait") > 0:
		return nil, withHint(usageErrorf("--store-wait: there is no store"), "--store URL, --data DIR or --queue-type name one")
	case place == nil && sync != "":
		return nil, withHint(usageErrorf("--sync: jobs in memory are on no disk"), "--data DIR keeps them there")
	case sync != "" && sync != "always" && sync != "interval" && sync != "never":
		return nil, usageErrorf("--sync %q: not always, interval or never", sync)
	case sync != "" && !place.TakesSync():
		return nil, usageErrorf("--sync is for disk and sqlite: when %s syncs is for its own settings to say", place.URL.Scheme)
	case place != nil:
		place.Sync, place.Wait = sync, durationOf(c, "store-wait")
	}
	return place, nil
}

// errStopped is the end of a wait for the store by a signal.
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
	case errors.As(err, new(*exitError)):
		return err
	case errors.As(err, &wrong):
		return withHint(exitWith(exitUsage, err), wrong.Hint)
	case errors.Is(err, store.ErrAbsent):
		return withHint(exitWith(exitIO, err), "gm serve, gm store load and gearmand make what they need")
	case errors.As(err, new(*store.AwayError)):
		return withHint(exitWith(exitIO, err), "gm serve --store-wait 5m waits for a store that starts later")
	}
	return exitWith(exitIO, err)
}

// warnOfLimit says at the start if the store takes smaller payloads than the
// server, so that it refuses larger background jobs.
func warnOfLimit(s store.Store, cfg *server.Config) {
	if limit := s.Caps().MaxPayload; limit > 0 && limit < cfg.MaxPayload {
		cfg.Logger.Warn("the store takes no payload as large as --max-payload: larger background jobs are refused",
			"store", cfg.StoreName, "store_limit", limit, "max_payload", cfg.MaxPayload)
	}
}
