package cmd

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/internal/memory"
	"gm/internal/serverlog"
	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/store/open"
	"gm/pkg/wire"
)

// serveConfig is the configuration that the flags of serve give.
type serveConfig struct {
	server server.Config // without the log, the trace and the store
	plan   memory.Plan
	place  *open.Place // nil for memory
	work   []workCommand
	outbox []string // URLs
	log    serverlog.Options
	port   int // of addresses without one; 0 becomes the port on which the server listens
}

// readServeFlags returns the configuration. It opens no file of the server.
func (e *env) readServeFlags(c *cli.Context) (cfg serveConfig, err error) {
	if cfg.log, err = logOptions(c); err != nil {
		return cfg, err
	}
	if cfg.plan, err = memoryPlan(c); err != nil {
		return cfg, err
	}
	if cfg.server, err = serverConfig(c, cfg.plan); err != nil {
		return cfg, err
	}
	if cfg.place, err = e.servePlace(c); err != nil {
		return cfg, err
	}
	if cfg.work, err = parseWorkCommands(c); err != nil {
		return cfg, err
	}
	if cfg.outbox, err = e.serveOutboxes(c); err != nil {
		return cfg, err
	}
	cfg.port, err = e.servePort(c)
	return cfg, err
}

// logOptions returns the options of the log, without its output.
func logOptions(c *cli.Context) (o serverlog.Options, err error) {
	if o.Level, err = logLevel(c); err != nil {
		return o, err
	}
	switch format := c.String("log-format"); format {
	case "text":
	case "json":
		o.JSON = true
	default:
		return o, cli.UsageErrorf("--log-format %q: want text or json", format)
	}
	o.Syslog = c.Bool("syslog")
	switch file := c.String("log-file"); file {
	case "none":
	case "":
		o.Stderr = !o.Syslog
	case "stderr":
		o.Stderr = true
	default:
		o.File = file
	}
	return o, nil
}

// logLevel returns the level that the flags give; --verbose has precedence.
func logLevel(c *cli.Context) (slog.Level, error) {
	if level := c.Generic("verbose").(*levelValue).level; level != nil {
		return *level, nil
	}
	level, known := serverlog.ParseLevel(c.String("log-level"))
	if !known {
		return 0, cli.UsageErrorf("--log-level %q: want debug, info, warn or error", c.String("log-level"))
	}
	return level, nil
}

// memoryPlan divides the memory of the machine or the container.
func memoryPlan(c *cli.Context) (memory.Plan, error) {
	payloads := int64(-1)
	if c.IsSet("memory") {
		payloads = cli.SizeOf(c, "memory")
	}
	plan := memory.Divide(min(memory.Total(), math.MaxInt), payloads, // an address may have 32 bits
		memory.Largest{Payload: wire.DefaultMaxPayload, Results: server.DefaultResultsMemory})
	if c.IsSet("max-payload") {
		plan.Payload = cli.SizeOf(c, "max-payload")
	}
	if n := plan.Payload; n < 1 || n > maxPayloadLimit {
		return plan, cli.UsageErrorf("--max-payload %d: must be from 1 to %d", n, maxPayloadLimit)
	}
	if c.IsSet("results-memory") {
		plan.Results = cli.SizeOf(c, "results-memory")
	}
	return plan, nil
}

// serverConfig returns the configuration of the server.
func serverConfig(c *cli.Context, plan memory.Plan) (server.Config, error) {
	retries, wakeups, deadMax := c.Int("job-retries"), c.Int("worker-wakeup"), c.Int("dead-max")
	cfg := server.Config{
		Version:       Version(),
		Host:          c.String("host"),
		HandlePrefix:  c.String("job-handle-prefix"),
		JobRetries:    &retries,
		RoundRobin:    c.Bool("round-robin"),
		Exceptions:    c.Bool("exceptions"),
		Wakeups:       &wakeups,
		StoreTimeout:  cli.DurationOf(c, "store-timeout"),
		DeadMax:       &deadMax,
		DeadAge:       cli.DurationOf(c, "dead-age"),
		KeepResults:   cli.DurationOf(c, "keep-results"),
		ResultsMemory: int(plan.Results),
		MaxPayload:    int(plan.Payload),
		MaxOutbox:     int(cli.SizeOf(c, "max-outbox")),
		UserTimeout:   offIfZero(cli.DurationOf(c, "user-timeout")),
		PeerTimeout:   offIfZero(cli.DurationOf(c, "peer-timeout")),
		ForgetAfter:   offIfZero(cli.DurationOf(c, "forget-functions")),
		Memory:        plan.Payloads,
		JobMemory:     plan.Jobs,
		PeerMemory:    plan.Peers,
		SocketBuffer:  plan.Socket,
		Shrunk:        debug.FreeOSMemory, // else the runtime would keep it for minutes
	}
	switch {
	case wakeups < 0:
		return cfg, cli.UsageErrorf("--worker-wakeup %d: must be 0 or more", wakeups)
	case deadMax < 0:
		return cfg, cli.UsageErrorf("--dead-max %d: must be 0 or more", deadMax)
	case cfg.StoreTimeout == 0:
		return cfg, cli.UsageErrorf("--store-timeout must be greater than 0")
	}
	for _, name := range []string{"host", "job-handle-prefix"} {
		if strings.ContainsAny(c.String(name), " \t\r\n\x00") {
			return cfg, cli.UsageErrorf("--%s %q: a handle cannot have white space", name, c.String(name))
		}
	}
	if err := setKeepalive(c, &cfg); err != nil {
		return cfg, err
	}
	policies, err := retryPolicies(c)
	cfg.Policies = policies
	return cfg, err
}

// setKeepalive sets the values of --keepalive and of gearmand's options for it. The
// latter are in seconds, and -1 is the default.
func setKeepalive(c *cli.Context, cfg *server.Config) error {
	cfg.KeepAlive = offIfZero(cli.DurationOf(c, "keepalive"))
	for name, set := range map[string]func(n int){
		"keepalive-idle":     func(n int) { cfg.KeepAlive = time.Duration(n) * time.Second },
		"keepalive-interval": func(n int) { cfg.KeepAliveInterval = time.Duration(n) * time.Second },
		"keepalive-count":    func(n int) { cfg.KeepAliveCount = n },
	} {
		n := c.Int(name)
		switch {
		case n < -1 || n > 32767:
			return cli.UsageErrorf("--%s %d: must be from 1 to 32767, or -1", name, n)
		case c.IsSet(name) && n > 0:
			set(n)
		}
	}
	return nil
}

// offIfZero returns -1, which is off in server.Config, for a flag's 0.
func offIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
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
	return place, setPlaceFlags(c, place)
}

// setPlaceFlags sets the values of the other flags about the store. place is nil for
// memory, which refuses them.
func setPlaceFlags(c *cli.Context, place *open.Place) error {
	sync := c.String("sync")
	switch {
	case place == nil && c.Bool("store-queue-on-shutdown"):
		return cli.WithHint(cli.UsageErrorf("--store-queue-on-shutdown needs a store"), "--store URL, --data DIR or --queue-type name one")
	case place == nil && cli.DurationOf(c, "store-wait") > 0:
		return cli.WithHint(cli.UsageErrorf("--store-wait needs a store"), "--store URL, --data DIR or --queue-type name one")
	case place == nil && sync != "":
		return cli.WithHint(cli.UsageErrorf("--sync needs a store"), "--data DIR keeps jobs on disk")
	case sync != "" && sync != "always" && sync != "interval" && sync != "never":
		return cli.UsageErrorf("--sync %q: want always, interval or never", sync)
	case sync != "" && !place.TakesSync():
		return cli.UsageErrorf("--sync needs a disk or sqlite store: the settings of %s decide when it syncs", place.URL.Scheme)
	case place != nil:
		place.Sync, place.Wait = sync, cli.DurationOf(c, "store-wait")
	}
	return nil
}

// gearmandPlace returns the store that gearmand's options name, or nil for memory.
func (e *env) gearmandPlace(c *cli.Context) (*open.Place, error) {
	g := open.Gearmand{Options: map[string]string{}, Getenv: e.Getenv}
	g.Unsafe = func(file string) { e.note("%s is not read: everybody may write to it", file) }
	for _, f := range gearmandFlags() {
		if name := cli.FlagNames(f)[0]; open.IsGearmandOption(name) && c.IsSet(name) {
			g.Options[name] = fmt.Sprint(c.Value(name))
		}
	}
	return g.Place()
}

// workCommand is a --work of gm serve.
type workCommand struct{ function, command string }

// parseWorkCommands returns the values of --work.
func parseWorkCommands(c *cli.Context) ([]workCommand, error) {
	var commands []workCommand
	for _, w := range cli.LinesOf(c, "work") {
		function, command, ok := strings.Cut(w, "=")
		if !ok || function == "" || strings.TrimSpace(command) == "" {
			return nil, cli.UsageErrorf("--work %q: want FUNCTION=COMMAND", w)
		}
		commands = append(commands, workCommand{function, command})
	}
	if len(commands) > 0 && c.Int("work-jobs") < 1 {
		return nil, cli.UsageErrorf("--work-jobs %d: must be 1 or more", c.Int("work-jobs"))
	}
	return commands, nil
}

// servePort returns the port of addresses without one.
func (e *env) servePort(c *cli.Context) (int, error) {
	port := c.Int("port")
	if text := e.Getenv("GEARMAND_PORT"); text != "" && !c.IsSet("port") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, cli.UsageErrorf("GEARMAND_PORT %q: want a number", text)
		}
		port = n
	}
	if port < 0 || port > 65535 {
		return 0, cli.UsageErrorf("port %d: must be from 0 to 65535", port)
	}
	return port, nil
}
