package cmd

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gm/cmd/cli"
	"gm/internal/tune"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/open"
	"gm/pkg/wire"
)

const (
	catListen   = "Listening"
	catStore    = "Store"
	catRetry    = "Failed and ended jobs"
	catQueue    = "Queue"
	catLimits   = "Limits"
	catLog      = "Log"
	catGearmand = "gearmand's options"
)

func serveVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "serve",
			Usage: "run a job server",
			Description: `Runs a Gearman job server until a signal or an administrator stops it.

It listens on localhost unless --listen names another address. Gearman has no passwords: anyone who can connect to the port can run jobs. --listen :4730 opens it to the network.

SIGTERM, SIGINT and SIGUSR1 stop it gracefully. It then accepts no connections and no jobs; running jobs end, and their clients get the results, for at most --drain-timeout. Waiting background jobs stay in the store. Foreground jobs, and all jobs without a store, are still handed out to workers meanwhile. A second signal stops the server at once. SIGHUP and SIGINT that were ignored at start, as under nohup, stay ignored, and SIGQUIT together with SIGINT; SIGTERM, SIGUSR1 and others do not. SIGHUP reopens the log file and reads --config-file again; its log level and its --retry policies apply from then on. A log that is slow, full or without a reader never stops or delays the server: its lines are dropped and counted.

With --store or --data, background jobs survive a crash of the server, of the machine and of the database: the client gets JOB_CREATED when its job is on disk. The stores:

` + open.Forms + `

Except the first, they have the tables, keys and defaults of gearmand's queue of that name: you can stop gearmand, start gm serve on its queue, and go back. gm serve also accepts gearmand's own options (--queue-type, --libpq-conninfo, ...), so that gearmand's start scripts start gm serve. The manual page lists them, and the log names those without effect. Values that the URL of postgres leaves out come from PGHOST, PGPASSWORD and similar variables; channel binding, Kerberos and client keys with a password are not supported.

Only one server at a time uses a store. A second one on the same store logs the name of the first, waits on standby without listening, and takes over when the first has ended. A server that loses its store to another one stops serving and goes on standby.

The port also speaks the text admin protocol; with nc, "help" lists its commands.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.StringSliceFlag{
					Name: "listen", Aliases: []string{"L"}, Category: catListen,
					Usage: "listen on `ADDR`: HOST, HOST:PORT, :PORT for all interfaces, [::1]:4730, or unix:/path[?mode=0660&group=NAME]; repeatable, or separated by commas (default localhost)",
				},
				&cli.IntFlag{
					Name: "port", Aliases: []string{"p"}, Value: gearman.DefaultPort, Category: catListen,
					Usage: "use `PORT` for addresses without one; else GEARMAND_PORT; 0 is a free port",
				},
				&cli.BoolFlag{
					Name: "print-port", Category: catListen,
					Usage: "print the port on stdout when the server listens",
				},
				cli.OptionalFlag(&keepaliveValue{server.DefaultKeepAlive}, cli.GenericFlag{
					Name: "keepalive", Category: catListen,
					Usage: "probe a silent TCP peer after `TIME`; 0 never",
				}),
				cli.DurationFlag(server.DefaultUserTimeout, cli.GenericFlag{
					Name: "user-timeout", Category: catListen,
					Usage: "drop a TCP peer that acknowledges nothing for `TIME` (Linux); 0 leaves it to the system",
				}),
			}, storeFlags(), []cli.Flag{
				&cli.IntFlag{
					Name: "job-retries", Aliases: []string{"j"}, Value: server.DefaultJobRetries, Category: catRetry,
					Usage: "give up a job that `N` workers have lost; 0 counts as 1, -1 is no limit",
				},
				&cli.BoolFlag{
					Name: "round-robin", Aliases: []string{"R"}, Category: catQueue,
					Usage: "serve the functions of a worker in turn, not one before the other",
				},
				&cli.BoolFlag{
					Name: "exceptions", Category: catQueue,
					Usage: "send WORK_EXCEPTION to all clients, not only to those that request it",
				},
				&cli.IntFlag{
					Name: "worker-wakeup", Aliases: []string{"w"}, Value: server.DefaultWakeups, Category: catQueue,
					Usage: "wake `N` sleeping workers for each job; 0 wakes all",
				},
				cli.DurationFlag(server.DefaultForgetAfter, cli.GenericFlag{
					Name: "forget-functions", Category: catQueue,
					Usage: "forget functions that were not used for `TIME`; 0 never",
				}),
				&cli.StringFlag{Name: "host", Category: catQueue, Usage: "use `NAME` as the host in job handles (default the host's name)"},
				cli.DurationFlag(server.DefaultDrainTimeout, cli.GenericFlag{
					Name: "drain-timeout", Category: catQueue,
					Usage: "when stopping, wait at most `TIME` for running jobs",
				}),
				cli.LinesFlag(cli.GenericFlag{
					Name: "work", Category: catQueue,
					Usage: "also be a worker: `FUNCTION=COMMAND` runs the command by the shell for each job, without the variables of the store's passwords; repeatable",
				}),
				&cli.IntFlag{Name: "work-jobs", Value: 2, Category: catQueue, Usage: "run at most `N` jobs of each --work at a time"},

				cli.SizeFlag(wire.DefaultMaxPayload, cli.GenericFlag{
					Name: "max-payload", Category: catLimits,
					Usage: "refuse payloads larger than `SIZE`; the default is at most an eighth of the memory",
				}),
				cli.SizeFlag(server.DefaultMaxOutbox, cli.GenericFlag{
					Name: "max-outbox", Category: catLimits,
					Usage: "drop a peer that leaves more than `SIZE` unread; at least twice --max-payload",
				}),
				cli.DurationFlag(server.DefaultPeerTimeout, cli.GenericFlag{
					Name: "peer-timeout", Category: catLimits,
					Usage: "drop a peer that for `TIME` reads nothing of a large backlog, or sends nothing of a packet that it has begun; 0 never",
				}),
			}, logFlags(), daemonFlags(), gearmandFlags()),
			Action: func(c *cli.Context) error { return e.serve(c) },
		},
		Examples: []cli.Example{
			{What: "a server for this machine", Line: "gm serve"},
			{What: "a server that keeps jobs, retries them and stores results", Line: "gm serve --data /var/lib/gm --retry 'resize=3,1s..5m' --keep-results 10m"},
			{What: "a server on a database; a second one is on standby", Line: "GM_STORE='postgres://gm:secret@db/jobs' gm serve --listen :4730"},
			{What: "a server and a worker in one, on a free port", Line: "gm serve -p 0 --print-port --work reverse=rev"},
			{What: "for the network and for local programs", Line: "gm serve --listen :4730 --listen 'unix:/run/gm.sock?mode=0660'"},
		},
		Exits:      []int{cli.ExitIO, cli.ExitAgain, cli.ExitRefused, cli.ExitSignal},
		OwnSignals: true,
	}
}

// serve is the verb's action.
func (e *env) serve(c *cli.Context) error {
	if err := cli.NoArgs(c); err != nil {
		return err
	}
	if err := e.readConfigFile(c); err != nil {
		return err
	}
	switch {
	case c.Bool("version"):
		return e.PrintVersion()
	case c.Bool("check-args"):
		return e.checkServeArgs(c)
	}
	ready := daemonReady()
	if c.Bool("daemon") && ready == nil {
		if err := e.checkServeArgs(c); err != nil {
			return err
		}
		return daemonize()
	}
	if err := e.becomeProcess(c); err != nil {
		return err
	}
	cli.SurviveBrokenPipes()
	log, err := e.newServeLog(c)
	if err != nil {
		return err
	}
	s := &serving{env: e, c: c, log: log, ready: ready}
	if err := s.configure(); err != nil {
		return err
	}
	logUnneeded(c, log.logger)
	plan := planned(c)
	tune.LeastProcs()
	tune.Garbage(plan.limit, plan.garbage)
	err = s.run()
	if text := cli.Message(err); text != "" && (log.path != "" || c.Bool("syslog")) {
		log.logger.Error("the server has ended", "err", text)
	}
	return err
}

// configure reads the flags.
func (s *serving) configure() (err error) {
	if s.cfg, err = s.serverConfig(s.c); err != nil {
		return err
	}
	s.cfg.Logger = s.log.logger
	if s.place, err = s.servePlace(s.c); err != nil {
		return err
	}
	if s.workCommands, err = parseWorkCommands(s.c); err != nil {
		return err
	}
	s.port, err = s.servePort(s.c)
	return err
}

// checkServeArgs returns the first error in the flags, without serving.
func (e *env) checkServeArgs(c *cli.Context) error {
	if _, err := logLevel(c); err != nil {
		return err
	}
	if _, err := (&serveLog{}).handlerOf(c.String("log-format")); err != nil {
		return err
	}
	if err := checkProtocol(c); err != nil {
		return err
	}
	_, err := e.flagsConfig(c)
	if err != nil {
		return err
	}
	if _, err := e.servePlace(c); err != nil {
		return err
	}
	if _, err := parseWorkCommands(c); err != nil {
		return err
	}
	_, err = e.servePort(c)
	return err
}

// serverConfig returns the configuration that the flags give, with an open trace.
func (e *env) serverConfig(c *cli.Context) (server.Config, error) {
	cfg, err := e.flagsConfig(c)
	if err != nil {
		return cfg, err
	}
	if file := c.String("trace"); file != "" {
		cfg.Trace, err = e.tracerWithoutWaiting(file)
	}
	return cfg, err
}

// flagsConfig returns the configuration that the flags give. It opens no file.
func (e *env) flagsConfig(c *cli.Context) (server.Config, error) {
	if n := c.Int("worker-wakeup"); n < 0 {
		return server.Config{}, cli.UsageErrorf("--worker-wakeup %d: must be 0 or more", n)
	}
	plan := planned(c)
	if c.IsSet("max-payload") {
		plan.payload = cli.SizeOf(c, "max-payload")
	}
	if n := plan.payload; n < 1 || n > maxPayloadLimit {
		return server.Config{}, cli.UsageErrorf("--max-payload %d: must be from 1 to %d", n, maxPayloadLimit)
	}
	retries, wakeups := c.Int("job-retries"), c.Int("worker-wakeup")
	cfg := server.Config{
		Version:      Version(),
		Host:         c.String("host"),
		HandlePrefix: c.String("job-handle-prefix"),
		JobRetries:   &retries,
		RoundRobin:   c.Bool("round-robin"),
		Exceptions:   c.Bool("exceptions"),
		Wakeups:      &wakeups,
		MaxPayload:   int(plan.payload),
		MaxOutbox:    int(cli.SizeOf(c, "max-outbox")),
		UserTimeout:  offIfZero(cli.DurationOf(c, "user-timeout")),
		PeerTimeout:  offIfZero(cli.DurationOf(c, "peer-timeout")),
		ForgetAfter:  offIfZero(cli.DurationOf(c, "forget-functions")),
		Memory:       plan.payloads,
		JobMemory:    plan.jobs,
		PeerMemory:   plan.peers,
		SocketBuffer: plan.socket,
		Shrunk:       debug.FreeOSMemory, // else the runtime would keep it for minutes
	}
	if err := setKeepalive(c, &cfg); err != nil {
		return cfg, err
	}
	if err := setStoreConfig(c, &cfg); err != nil {
		return cfg, err
	}
	for _, name := range []string{"host", "job-handle-prefix"} {
		if strings.ContainsAny(c.String(name), " \t\r\n\x00") {
			return cfg, cli.UsageErrorf("--%s %q: a handle cannot have white space", name, c.String(name))
		}
	}
	return cfg, nil
}

// offIfZero returns -1, which is off in server.Config, for a flag's 0.
func offIfZero(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
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

// listenAll listens on every address. localhost is both IPv4 and IPv6 if the machine has
// them. With port 0 all addresses use the same free port.
func listenAll(ctx context.Context, addrs []string, port int) ([]net.Listener, error) {
	if len(addrs) == 0 {
		addrs = []string{"localhost"}
	}
	var all []net.Listener
	for _, list := range addrs {
		for addr := range strings.SplitSeq(list, ",") {
			ls, err := listenOn(ctx, strings.TrimSpace(addr), &port)
			if err != nil {
				closeAll(all)
				return nil, listenError(err)
			}
			all = append(all, ls...)
		}
	}
	return all, nil
}

// listenOn listens on one address. *port is the port of addresses without one; if it is
// 0, listenOn sets it to the free port that it has chosen.
func listenOn(ctx context.Context, addr string, port *int) ([]net.Listener, error) {
	if strings.HasPrefix(addr, "unix:") {
		l, err := server.Listen(ctx, addr)
		return oneListener(l, err)
	}
	host, p, err := splitListen(addr, *port)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		return listenPort(ctx, []string{host}, p, port)
	}
	both := []string{"127.0.0.1", "::1"}
	ls, err := listenPort(ctx, both, p, port)
	for range 10 {
		if p != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		ls, err = listenPort(ctx, both, p, port) // a port that is free for one family can be taken for the other
	}
	return ls, err
}

// listenPort listens on all hosts, on one port. If p is 0 it chooses a free port and sets
// *port to it.
func listenPort(ctx context.Context, hosts []string, p int, port *int) ([]net.Listener, error) {
	free := p == 0
	var all []net.Listener
	var missing error // why one of several hosts was left out
	for _, h := range hosts {
		l, err := listenTCP(ctx, net.JoinHostPort(h, strconv.Itoa(p)), free)
		if len(hosts) > 1 && isFamilyMissing(err) {
			missing = err
			continue
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, l)
		p = l.Addr().(*net.TCPAddr).Port
	}
	if len(all) == 0 {
		return nil, missing
	}
	if free {
		*port = p
	}
	return all, nil
}

// bindPatience is the time for which a server tries to bind an address that is in use
// although no server answers there.
const bindPatience = 6 * time.Second

// listenTCP listens on a host and port. For a free port it tries only once.
func listenTCP(ctx context.Context, addr string, free bool) (net.Listener, error) {
	if free {
		return server.Listen(ctx, addr)
	}
	return server.ListenPatiently(ctx, addr, bindPatience)
}

// isFamilyMissing reports whether err is the error of a machine without addresses of a
// family, such as IPv6.
func isFamilyMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

func oneListener(l net.Listener, err error) ([]net.Listener, error) {
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// splitListen splits HOST, HOST:PORT, :PORT, [V6] and [V6]:PORT.
func splitListen(addr string, port int) (string, int, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	if net.ParseIP(bare) != nil || !strings.Contains(addr, ":") {
		return bare, port, nil
	}
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, cli.UsageErrorf("--listen %q: %w", addr, err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, cli.UsageErrorf("--listen %q: port %q: must be a number up to 65535", addr, p)
	}
	return host, int(n), nil
}

func listenError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return cli.WithHint(cli.ExitWith(cli.ExitAgain, err), "gm ping shows whether another server runs; -p PORT uses another port")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return cli.ExitWith(cli.ExitRefused, err)
	case errors.Is(err, server.ErrAddress):
		return cli.UsageErrorf("--listen: %w", err)
	case isFamilyMissing(err):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "this machine does not have that address; ip addr lists its addresses")
	case errors.As(err, new(*cli.ExitError)):
		return err
	}
	return cli.ExitWith(cli.ExitIO, err)
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		l.Close()
	}
}
