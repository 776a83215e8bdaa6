package cmd

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/internal/logsink"
	"gm/pkg/gearman"
)

// connFlags returns the flags of verbs that connect to servers; options reads them.
func (e *env) connFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "server", Aliases: []string{"s"}, Category: cli.CatServers,
			Usage: "connect to `HOST[:PORT]`, [::1]:4730 or unix:/path; repeatable, or separated by commas; else GEARMAN_SERVERS, GEARMAN_SERVER or the configuration (default localhost)",
		},
		&cli.IntFlag{
			Name: "port", Aliases: []string{"p"}, Value: gearman.DefaultPort, Category: cli.CatServers,
			Usage: "use `PORT` for servers without one",
		},
		&cli.StringFlag{
			Name: "context", Category: cli.CatServers,
			Usage: "use the context `NAME` of the configuration; else GM_CONTEXT",
		},
		&cli.StringFlag{
			Name: "trace", Category: cli.CatServers,
			Usage: "write every packet as text to `FILE`; - is stderr",
		},
	}
}

// options returns the options from connFlags, the environment and the configuration, in
// this order of precedence. Its Servers are never empty.
func (e *env) options(c *cli.Context) (gearman.Options, error) {
	return e.optionsWithTracer(c, e.tracer)
}

// optionsWithTracer returns the options with the trace that openTrace opens.
func (e *env) optionsWithTracer(c *cli.Context, openTrace func(file string) (*gearman.Tracer, error)) (gearman.Options, error) {
	var o gearman.Options
	servers, err := e.servers(c)
	if err != nil {
		return o, err
	}
	o.Servers = servers
	if file := c.String("trace"); file != "" {
		if o.Trace, err = openTrace(file); err != nil {
			return o, err
		}
	}
	return o, nil
}

// traceFlags and tracePerm are for the file of a trace, which has payloads.
const (
	traceFlags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	tracePerm  = 0o600
)

// tracer returns a tracer to file, or to stderr for "-". A slow reader of the trace makes
// the verb wait.
func (e *env) tracer(file string) (*gearman.Tracer, error) {
	if file == "-" {
		return gearman.NewTracer(e.Stderr), nil
	}
	f, err := os.OpenFile(file, traceFlags, tracePerm)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	e.Closers = append(e.Closers, f)
	return gearman.NewTracer(f), nil
}

// tracerWithoutWaiting returns the tracer of a verb that must not wait for the reader of
// its trace. A slow reader loses lines, and the trace has their number. stderr must
// write through a sink already.
func (e *env) tracerWithoutWaiting(file string) (*gearman.Tracer, error) {
	if file == "-" {
		if w, ok := e.Stderr.(*logsink.PatientWriter); ok {
			return gearman.NewTracer(w.Sink), nil
		}
		return gearman.NewTracer(e.Stderr), nil
	}
	w, err := logsink.OpenWriter(file, traceFlags, tracePerm, func(n uint64) []byte {
		return fmt.Appendf(nil, "# %d lines of the trace are lost: its reader is too slow\n", n)
	})
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	e.Closers = append(e.Closers, w)
	return gearman.NewTracer(w), nil
}

// maxPayloadLimit is the largest --max-payload: 4095 MiB, which leaves room in a
// packet's 32-bit size for the other arguments. Where an int has 32 bits it is 1023
// MiB, as two payloads must fit in an outbox.
const maxPayloadLimit int64 = min(4095<<20, (math.MaxInt-1<<20)/2&^(1<<20-1))

// payloadFlag returns the flag that limits payloads and results; payloadLimit reads it.
func payloadFlag() cli.Flag {
	return cli.SizeFlag(gearman.DefaultMaxPayload, cli.GenericFlag{
		Name: "max-payload", Category: cli.CatServers,
		Usage: "accept payloads and parts of results up to `SIZE` bytes: 1000, 64K, 64M, 1G",
	})
}

// payloadLimit returns the value of payloadFlag.
func payloadLimit(c *cli.Context) (int, error) {
	n := cli.SizeOf(c, "max-payload")
	if n < 1 || n > maxPayloadLimit {
		return 0, cli.UsageErrorf("--max-payload %d: must be from 1 to %d", n, maxPayloadLimit)
	}
	return int(n), nil
}

// servers returns the servers of a verb.
func (e *env) servers(c *cli.Context) ([]gearman.Server, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	list, from, err := e.serverList(c, cfg)
	if err != nil {
		return nil, err
	}
	port := c.Int("port")
	if !c.IsSet("port") && cfg.Port != 0 {
		port = cfg.Port
	}
	if port < 1 || port > 65535 {
		return nil, cli.UsageErrorf("port %d: must be from 1 to 65535", port)
	}
	servers, err := gearman.ParseServers(list, port)
	if err != nil {
		return nil, cli.UsageErrorf("%s: %w", from, err)
	}
	return servers, nil
}

// serverList returns the list of servers as text, and its place for error messages. A
// context that a flag names comes before a list in the environment; a context that the
// environment or the configuration names comes after it.
func (e *env) serverList(c *cli.Context, cfg *config) (list, from string, err error) {
	if c.IsSet("server") {
		return strings.Join(c.StringSlice("server"), ","), "--server", nil
	}
	if name := c.String("context"); name != "" {
		return cfg.contextServers(name)
	}
	for _, name := range []string{"GEARMAN_SERVERS", "GEARMAN_SERVER"} {
		if list := e.Getenv(name); list != "" {
			return list, name, nil
		}
	}
	if name := e.Getenv("GM_CONTEXT"); name != "" {
		return cfg.contextServers(name)
	}
	if cfg.Context != "" {
		return cfg.contextServers(cfg.Context)
	}
	if len(cfg.Servers) > 0 {
		return strings.Join(cfg.Servers, ","), cfg.path, nil
	}
	return "localhost", "default", nil
}

// queryFlags returns connFlags and --timeout, for verbs that request answers from
// servers.
func (e *env) queryFlags() []cli.Flag {
	return append(e.connFlags(), cli.DurationFlag(5*time.Second, cli.GenericFlag{
		Name: "timeout", Aliases: []string{"t"}, Category: cli.CatServers,
		Usage: "wait at most `DURATION` for the answer of a server: 500ms, 10s, 1m",
	}))
}
