package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/queue"
	"gm/pkg/server"
	"gm/pkg/store"
)

// storeFlags are the flags of serve about what is kept, and for how long.
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

// setStoreConfig fills in what storeFlags say, but for the store itself.
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
// commas; what does not begin with FUNCTION= belongs to the one before.
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
func (e *env) servePlace(c *cli.Context) (*storePlace, error) {
	var place *storePlace
	from := ""
	set := func(flag string, p *storePlace, err error) error {
		switch {
		case err != nil:
			return err
		case from != "":
			return usageErrorf("%s and %s: one of them", from, flag)
		}
		place, from = p, flag
		return nil
	}
	if url := c.String("store"); url != "" {
		p, err := parseStore(url)
		if err := set("--store", p, err); err != nil {
			return nil, err
		}
	}
	if dir := c.String("data"); dir != "" {
		if err := set("--data", &storePlace{url: &store.URL{Scheme: "disk", Path: dir}}, nil); err != nil {
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
		p, err := parseStore(url)
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
	case place != nil:
		place.sync, place.wait = sync, durationOf(c, "store-wait")
	}
	return place, nil
}

// standbyInterval is how often a server that stands by looks whether the store
// is free.
const standbyInterval = time.Second

// errStopped is that a signal came.
var errStopped = errors.New("stopped")

// takeStore opens the store and takes it. While another server holds it, this
// one stands by. So it does when the store does not answer, if it is patient:
// at the first start that is more likely a slip in the configuration, and the
// store is waited for as long as --store-wait says, if it can't be reached. A
// signal is errStopped.
func (p *storePlace) takeStore(signals <-chan os.Signal, patient bool) (store.Store, error) {
	tick := time.NewTicker(standbyInterval)
	defer tick.Stop()
	begun := time.Now()
	var s store.Store
	var log standbyLog
	for {
		limit := takeTimeout
		if left := p.wait - time.Since(begun); !patient && left > 0 {
			limit = min(limit, max(left, time.Second))
		}
		err := untilSignal(signals, p.logger, limit, func(ctx context.Context) (err error) {
			if s == nil {
				s, err = p.open(ctx)
			}
			if err == nil {
				err = store.MarkAway(lockStore(ctx, s, holderName("gm serve")), false)
			}
			return err
		})
		if err == nil {
			if log.last != "" {
				p.logger.Info("taking over", "store", p.name())
			}
			return s, nil
		}
		held := new(store.HeldError)
		isHeld := errors.As(err, &held)
		waits := !patient && errors.As(err, new(*store.AwayError)) && time.Since(begun) < p.wait
		if errors.Is(err, errStopped) || !isHeld && !patient && !waits {
			return nil, errors.Join(err, closeStore(s))
		}
		if isHeld {
			patient = true
		}
		if p.standingBy != nil && isHeld {
			if err := p.standingBy(); err != nil {
				return nil, errors.Join(err, closeStore(s))
			}
			p.standingBy = nil
		}
		switch {
		case isHeld:
			if log.isNew("standing by", held.By) {
				p.logger.Info(log.last, "store", p.name(), "held_by", held.By)
			}
		case waits:
			if log.isNew("waiting for the store", err.Error()) {
				p.logger.Warn(log.last, "store", p.name(), "left", (p.wait - time.Since(begun)).Round(time.Second).String(), "err", err)
			}
		default:
			if log.isNew("standing by: the store does not answer", err.Error()) {
				p.logger.Warn(log.last, "store", p.name(), "err", err)
			}
		}
		if !isHeld {
			closeStore(s) //nolint:errcheck // it is opened anew
			s = nil
		}
		select {
		case sig := <-signals:
			p.logger.Info("stopping", "signal", sig.String())
			return nil, errors.Join(errStopped, closeStore(s))
		case <-tick.C:
		}
	}
}

// standbyLog has each message logged once, and again if its details change, but
// then not often: they may differ at each attempt.
type standbyLog struct {
	last, details string
	at            time.Time
}

// standbyLogInterval is how often a message is logged whose details change.
const standbyLogInterval = 30 * time.Second

// isNew reports whether the message must be logged, and remembers it.
func (l *standbyLog) isNew(message, details string) bool {
	if message == l.last && (details == l.details || time.Since(l.at) < standbyLogInterval) {
		return false
	}
	l.last, l.details, l.at = message, details, time.Now()
	return true
}

// takeTimeout bounds one look at the store.
const takeTimeout = 10 * time.Second

// untilSignal calls f with a context that ends after limit, or with a signal;
// then the error is errStopped.
func untilSignal(signals <-chan os.Signal, log *slog.Logger, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		return err
	case sig := <-signals:
		log.Info("stopping", "signal", sig.String())
		cancel()
		<-done
		return errStopped
	}
}

// warnOfLimit says at the start if the store takes smaller payloads than the
// server, so that larger jobs are refused if they are to be kept.
func (p *storePlace) warnOfLimit(s store.Store, maxPayload int) {
	if limit := s.Caps().MaxPayload; limit > 0 && limit < maxPayload {
		p.logger.Warn("the store takes no payload as large as --max-payload: larger background jobs are refused",
			"store", p.name(), "store_limit", limit, "max_payload", maxPayload)
	}
}

func closeStore(s store.Store) error {
	if s == nil {
		return nil
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// lostOf returns what is closed when the store has passed to another server;
// nil if that can't happen.
func lostOf(s store.Store) <-chan struct{} {
	if l, ok := s.(store.Locker); ok {
		return l.Lost()
	}
	return nil
}
