package cmd

import (
	"gm/cmd/cli"
	"gm/internal/daemon"
	"gm/pkg/store/open"
)

func serveVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "serve",
			Usage: "run a job server",
			Description: `Runs a Gearman job server until a signal or an administrator stops it.

It listens on localhost unless --listen names another address. Gearman has no passwords: anyone who can connect to the port can run jobs. --listen :4730 opens it to the network.

SIGTERM, SIGINT and SIGUSR1 stop it gracefully. It then accepts no connections and no jobs; running jobs end, and their clients get the results, for at most --drain-timeout. Waiting background jobs stay in the store. Foreground jobs, and all jobs without a store, are still handed out to workers meanwhile. A second signal stops the server at once. SIGHUP, SIGINT, and SIGQUIT together with SIGINT stay ignored if they were ignored at the start, as under nohup; SIGTERM, SIGUSR1 and other signals do not. SIGHUP reopens the log file and reads --config-file again; its log level and its --retry policies apply from then on. A log that is slow, full or without a reader never stops or delays the server: its lines are dropped and counted.

With --store or --data, background jobs survive a crash of the server, of the machine and of the database: the client gets JOB_CREATED when its job is on disk. The stores:

` + open.Forms + `

Except the first, they have the tables, keys and defaults of gearmand's queue of that name: you can stop gearmand, start gm serve on its queue, and go back. gm serve also accepts gearmand's own options (--queue-type, --libpq-conninfo, ...), so that gearmand's start scripts start gm serve. The manual page lists them, and the log names those without effect. Values that the URL of postgres leaves out come from PGHOST, PGPASSWORD and similar variables; channel binding, Kerberos and client keys with a password are not supported.

Only one server at a time uses a store. A second one on the same store logs the name of the first, waits on standby without listening, and takes over when the first has ended. A server that loses its store to another one stops serving and goes on standby.

--outbox moves jobs from a table of a database, as gm outbox run does; gm help outbox describes it. It begins when the jobs of the store are read, and ends first when the server stops. A server on standby does not do it. Without its database the server goes on, logs a line, and tries again.

The port also speaks the text admin protocol; with nc, "help" lists its commands.`,
			Flags:  serveFlags(),
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

// serve is the action of gm serve.
func (e *env) serve(c *cli.Context) error {
	if err := cli.NoArgs(c); err != nil {
		return err
	}
	if err := cli.SetFromFile(e.Root, c, "config-file"); err != nil {
		return err
	}
	if c.Bool("version") {
		return e.PrintVersion()
	}
	if err := checkProcessFlags(c); err != nil {
		return err
	}
	if c.Bool("check-args") {
		_, err := e.readServeFlags(c)
		return err
	}
	reportReady := daemon.ReadyReporter()
	if c.Bool("daemon") && reportReady == nil {
		if _, err := e.readServeFlags(c); err != nil {
			return err
		}
		return startDaemon()
	}
	if err := changeProcess(c); err != nil {
		return err
	}
	cli.SurviveBrokenPipes()
	cfg, err := e.readServeFlags(c)
	if err != nil {
		return err
	}
	return e.runServe(c, cfg, reportReady)
}
