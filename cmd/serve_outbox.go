package cmd

import (
	"context"
	"errors"

	"gm/cmd/cli"
	"gm/internal/serving"
	"gm/pkg/gearman"
	"gm/pkg/outbox"
)

// serveOutboxes returns the URLs of --outbox, or of GM_OUTBOX without the flag.
func (e *env) serveOutboxes(c *cli.Context) ([]string, error) {
	urls, from := cli.LinesOf(c, "outbox"), "--outbox"
	if url := e.Getenv(outboxEnv); len(urls) == 0 && url != "" {
		urls, from = []string{url}, outboxEnv
	}
	seen := map[string]bool{}
	for _, url := range urls {
		db, err := outbox.Open(url, outbox.Config{})
		if err != nil {
			return nil, cli.WithHint(cli.UsageErrorf("%s: %w", from, err), "gm help outbox describes the URL")
		}
		name := db.String()
		_ = db.Close() // it has no connection yet
		if seen[url] {
			return nil, cli.UsageErrorf("--outbox %s: given twice", name)
		}
		seen[url] = true
	}
	return urls, nil
}

// warnOfMemory logs a warning if a crash of the server would lose the jobs of the
// outboxes.
func (s *serveRun) warnOfMemory() {
	if s.cfg.place == nil || s.c.Bool("store-queue-on-shutdown") {
		s.log.Logger.Warn("the jobs of the outbox wait in memory: a crash of this server loses them", "hint", "--data DIR or --store URL keeps them")
	}
}

// serveRelay moves the rows of outboxes to a server in this process.
type serveRelay struct {
	client *gearman.Client
	dbs    []*outbox.DB
	relays outbox.Relays
}

// newRelay returns the relay of --outbox.
func (s *serveRun) newRelay(o gearman.Options) (serving.Relay, error) {
	client, err := gearman.NewClient(withOnce(o))
	if err != nil {
		return nil, err
	}
	r := &serveRelay{client: client}
	for _, url := range s.cfg.outbox {
		db, err := outbox.Open(url, outbox.Config{Logger: s.log.Logger})
		if err != nil {
			return nil, errors.Join(cli.UsageErrorf("--outbox: %w", err), r.close())
		}
		r.dbs = append(r.dbs, db)
		r.relays = append(r.relays, &outbox.Relay{DB: db, Client: client, MaxPayload: int64(o.MaxPayload)})
	}
	return r, nil
}

// Run moves rows until ctx is done.
func (r *serveRelay) Run(ctx context.Context) error {
	err := r.relays.Run(ctx)
	return errors.Join(err, r.close())
}

// close closes the connections to the databases and the server.
func (r *serveRelay) close() error {
	errs := []error{r.client.Close()}
	for _, db := range r.dbs {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// withOnce returns the options of a relay's client, which does not repeat the jobs of rows
// that have ended.
func withOnce(o gearman.Options) gearman.Options {
	o.Once, o.OncePrefix = true, outbox.UniquePrefix
	return o
}
