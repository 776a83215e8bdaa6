package cmd

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"gm/cmd/cli"
	"gm/internal/serverlog"
	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/wire"
)

const (
	catListen   = "Listening"
	catStore    = "Store"
	catRetry    = "Failed and ended jobs"
	catQueue    = "Queue"
	catLimits   = "Limits"
	catLog      = "Log"
	catProcess  = "Process"
	catGearmand = "gearmand's options"
)

// serveFlags returns the flags of serve, in the order of its help.
func serveFlags() []cli.Flag {
	return slices.Concat(listenFlags(), storeFlags(), queueFlags(), limitFlags(), logFlags(), processFlags(), gearmandFlags())
}

// listenFlags returns the flags about addresses and connections.
func listenFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "listen", Aliases: []string{"L"}, Category: catListen,
			Usage: "listen on `ADDR`: HOST, HOST:PORT, :PORT for all interfaces, [::1]:4730, or unix:/path[?mode=0660&group=NAME]; repeatable, or separated by commas (default localhost)",
		},
		&cli.IntFlag{
			Name: "port", Aliases: []string{"p"}, Value: gearman.DefaultPort, Category: catListen,
			Usage: "use `PORT` for addresses without one; else GEARMAND_PORT; 0 chooses a free port",
		},
		&cli.BoolFlag{
			Name: "print-port", Category: catListen,
			Usage: "print the port on stdout when the server listens",
		},
		cli.OptionalDurationFlag(server.DefaultKeepAlive, cli.GenericFlag{
			Name: "keepalive", Category: catListen,
			Usage: "probe a silent TCP peer after `TIME`; 0 disables the probes",
		}),
		cli.DurationFlag(server.DefaultUserTimeout, cli.GenericFlag{
			Name: "user-timeout", Category: catListen,
			Usage: "drop a TCP peer that acknowledges nothing for `TIME` (Linux); 0 leaves it to the system",
		}),
	}
}

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
			Usage: "retry failed jobs: `FUNCTION=N[,MIN..MAX]`, N times (-1 is no limit), after MIN at first and twice as long each time, up to MAX (default 1s..5m); repeatable. gm admin policy changes it while the server runs",
		},
		&cli.IntFlag{
			Name: "dead-max", Value: server.DefaultDeadMax, Category: catRetry,
			Usage: "keep the last `N` dead jobs of each function: background jobs that have failed for good; 0 keeps none",
		},
		cli.DurationFlag(0, cli.GenericFlag{
			Name: "dead-age", Category: catRetry,
			Usage: "keep each dead job for `TIME`, such as 30d; 0 is no limit",
		}),
		cli.DurationFlag(0, cli.GenericFlag{
			Name: "keep-results", Category: catRetry,
			Usage: "keep outcomes and results of background jobs for `TIME`, for gm wait, gm result and clients that submit a job once; 0 does not keep them",
		}),
		cli.SizeFlag(server.DefaultResultsMemory, cli.GenericFlag{
			Name: "results-memory", Category: catRetry,
			Usage: "keep up to `SIZE` of results; the oldest are dropped first",
		}),

		&cli.IntFlag{
			Name: "job-retries", Aliases: []string{"j"}, Value: server.DefaultJobRetries, Category: catRetry,
			Usage: "give up a job that `N` workers have lost; 0 counts as 1, -1 is no limit",
		},
	}
}

// queueFlags returns the flags about the queue and the worker of the server.
func queueFlags() []cli.Flag {
	return []cli.Flag{
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
			Usage: "forget functions that were not used for `TIME`; 0 keeps them",
		}),
		&cli.StringFlag{Name: "host", Category: catQueue, Usage: "use `NAME` as the host in job handles (default the host's name)"},
		cli.DurationFlag(server.DefaultDrainTimeout, cli.GenericFlag{
			Name: "drain-timeout", Category: catQueue,
			Usage: "when stopping, wait at most `TIME` for running jobs",
		}),
		cli.LinesFlag(cli.GenericFlag{
			Name: "outbox", Category: catQueue,
			Usage: "also submit the jobs of the outbox at `URL`, as gm outbox run does; repeatable; else GM_OUTBOX",
		}),
		cli.LinesFlag(cli.GenericFlag{
			Name: "work", Category: catQueue,
			Usage: "also run a worker: `FUNCTION=COMMAND` runs the command by the shell for each job, without the variables of the store's passwords; repeatable",
		}),
		&cli.IntFlag{Name: "work-jobs", Value: 2, Category: catQueue, Usage: "run at most `N` jobs of each --work at a time"},
	}
}

// limitFlags returns the flags about limits.
func limitFlags() []cli.Flag {
	return []cli.Flag{
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
			Usage: "drop a peer that for `TIME` reads nothing of a large backlog, or sends nothing of a packet that it has begun; 0 is no limit",
		}),
	}
}

// logFlags returns the flags of serve about its log.
func logFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "log-level", Value: "info", Category: catLog,
			Usage: "log lines of `LEVEL` and above: debug (every job), info, warn, error",
		},
		cli.OptionalFlag(&levelValue{}, cli.GenericFlag{
			Name: "verbose", Aliases: []string{"v"}, Category: catLog,
			Usage: "log like --log-level debug, or from `LEVEL` in gearmand's words: FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG",
		}),
		&cli.StringFlag{Name: "log-format", Value: "text", Category: catLog, Usage: "log in `FORMAT`, text or json"},
		&cli.StringFlag{
			Name: "log-file", Aliases: []string{"l"}, Category: catLog,
			Usage: "append the log to `FILE`, which SIGHUP reopens; stderr and none are not files (default stderr, none with --syslog)",
		},
		&cli.BoolFlag{Name: "syslog", Category: catLog, Usage: "send the log to syslog, as facility daemon"},
		&cli.StringFlag{
			Name: "trace", Category: catLog,
			Usage: "write every packet as text to `FILE`; - is stderr",
		},
	}
}

// levelValue is the value of --verbose.
type levelValue struct{ level *slog.Level }

// Set parses a level, or the boolean of the flag without a value.
func (v *levelValue) Set(s string) error {
	level, known := serverlog.ParseLevel(s)
	switch {
	case known:
		v.level = &level
	case s == "true":
		level = slog.LevelDebug
		v.level = &level
	case s == "false":
		v.level = nil
	default:
		return errors.New("want FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG")
	}
	return nil
}

// String returns nothing: without the flag there is no level.
func (v *levelValue) String() string { return "" }

// AcceptsWord reports whether a word after the flag is its value.
func (v *levelValue) AcceptsWord(word string) bool {
	_, known := serverlog.ParseLevel(word)
	return known
}

// processFlags returns the flags of serve about its process.
func processFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "daemon", Aliases: []string{"d"}, Category: catProcess, Usage: "go to the background when the server listens"},
		&cli.StringFlag{
			Name: "user", Aliases: []string{"u"}, Category: catProcess,
			Usage: "become the user `NAME` before opening anything; needs root",
		},
		&cli.StringFlag{Name: "pid-file", Aliases: []string{"P"}, Category: catProcess, Usage: "write the process id to `FILE` when the server listens"},
		&cli.StringFlag{
			Name: "config-file", Category: catProcess,
			Usage: "read more options from `FILE`, in the form of the command line, which has precedence; SIGHUP reads it again",
		},
	}
}

// gearmandFlags returns the options of gearmand 1.1 that serve accepts besides its own
// flags, so that a start script of gearmand works. Only the manual page lists them.
func gearmandFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "queue-type", Aliases: []string{"q"}, Usage: "keep jobs in `TYPE`: builtin (memory), libsqlite3, Postgres, MySQL, redis, libmemcached or libtokyocabinet"},
		&cli.StringFlag{Name: "libsqlite3-db", Usage: "use the SQLite database `FILE`"},
		&cli.StringFlag{Name: "libsqlite3-table", Usage: "use its `TABLE` (default gearman_queue)"},
		&cli.StringFlag{Name: "libpq-conninfo", Usage: "connect to PostgreSQL with `WORDS` in the form of libpq, or its URL; missing values come from PGHOST, PGUSER and similar variables"},
		&cli.StringFlag{Name: "libpq-table", Usage: "use its `TABLE` (default queue)"},
		&cli.StringFlag{Name: "mysql-host", Usage: "connect to MySQL on `HOST` (default localhost); values without an option come from the group [gearmand] of my.cnf; user, password, database and socket also from [client]"},
		&cli.IntFlag{Name: "mysql-port", Usage: "connect to its `PORT` (default 3306)"},
		&cli.StringFlag{Name: "mysql-user", Usage: "connect as `USER`"},
		&cli.StringFlag{Name: "mysql-password", Usage: "connect with `PASSWORD`"},
		&cli.StringFlag{Name: "mysql-db", Usage: "use its `DATABASE`"},
		&cli.StringFlag{Name: "mysql-table", Usage: "use its `TABLE` (default gearman_queue)"},
		&cli.StringFlag{Name: "redis-server", Usage: "connect to Redis on `HOST` (default 127.0.0.1)"},
		&cli.StringFlag{Name: "redis-port", Usage: "connect to its `PORT` (default 6379)"},
		&cli.StringFlag{Name: "redis-password", Usage: "connect with `PASSWORD`"},
		&cli.StringFlag{Name: "redis-prefix", Usage: "begin keys with `PREFIX` (default _gear_)"},
		&cli.StringFlag{Name: "libmemcached-servers", Usage: "connect to memcached on `HOST:PORT`; commas separate several servers"},
		&cli.StringFlag{Name: "libmemcached-prefix", Usage: "begin keys with `PREFIX` (default gear_)"},
		&cli.StringFlag{Name: "libtokyocabinet-file", Usage: "use the database `FILE`: a hash database FILE.tch or a B+ tree database FILE.tcb"},
		&cli.BoolFlag{Name: "store-queue-on-shutdown", Usage: "keep jobs in memory and write them to the store when the server stops; a crash loses them"},
		&cli.BoolFlag{Name: "libtokyocabinet-optimize", Usage: "without effect: " + unneeded["libtokyocabinet-optimize"]},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "without effect for any `N`: " + unneeded["threads"]},
		&cli.IntFlag{Name: "backlog", Aliases: []string{"b"}, Usage: "without effect for any `N`: " + unneeded["backlog"]},
		&cli.IntFlag{Name: "file-descriptors", Aliases: []string{"f"}, Usage: "allow `N` open files (default the limit of the process)"},
		&cli.IntFlag{Name: "hashtable-buckets", Usage: "without effect for any `N`: " + unneeded["hashtable-buckets"]},
		&cli.StringFlag{Name: "job-handle-prefix", Usage: "name jobs `PREFIX`:NUMBER instead of H:HOST:NUMBER"},
		&cli.IntFlag{Name: "keepalive-idle", Value: -1, Usage: "set --keepalive in `SECONDS`; -1 leaves it unchanged"},
		&cli.IntFlag{Name: "keepalive-interval", Value: -1, Usage: "repeat a probe after `SECONDS`; -1 is a third of --keepalive"},
		&cli.IntFlag{Name: "keepalive-count", Value: -1, Usage: "drop a peer that does not answer `N` probes; -1 is 3"},
		&cli.StringFlag{Name: "protocol", Aliases: []string{"r"}, Usage: "serve the protocol `NAME`, gear; http is accepted and logged, but not served"},
		&cli.IntFlag{Name: "http-port", Usage: "without effect for any `PORT`: " + unneeded["http-port"]},
		&cli.BoolFlag{Name: "ssl", Usage: "refused: there is no TLS"},
		&cli.StringFlag{Name: "ssl-ca-file", Usage: "refused for any `FILE`: there is no TLS"},
		&cli.StringFlag{Name: "ssl-certificate", Usage: "refused for any `FILE`: there is no TLS"},
		&cli.StringFlag{Name: "ssl-key", Usage: "refused for any `FILE`: there is no TLS"},
		&cli.BoolFlag{Name: "coredump", Usage: "leave a core file after a crash"},
		&cli.BoolFlag{Name: "check-args", Usage: "check the options and exit"},
		&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version of gm"},
	}
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Hidden, f.Category = true, catGearmand
		case *cli.IntFlag:
			f.Hidden, f.Category = true, catGearmand
		case *cli.BoolFlag:
			f.Hidden, f.Category = true, catGearmand
		}
	}
	return flags
}

// checkProcessFlags refuses options for TLS, protocols that gearmand does not have, and a
// process without descriptors.
func checkProcessFlags(c *cli.Context) error {
	if n := c.Int("file-descriptors"); c.IsSet("file-descriptors") && n < 1 {
		return cli.UsageErrorf("--file-descriptors %d: must be 1 or more", n)
	}
	switch p := strings.ToLower(c.String("protocol")); p {
	case "", "gear", "http":
	default:
		return cli.UsageErrorf("--protocol %q: want gear or http", p)
	}
	for _, name := range []string{"ssl", "ssl-ca-file", "ssl-certificate", "ssl-key"} {
		if c.IsSet(name) {
			return cli.WithHint(cli.UsageErrorf("--%s: gm serve does not speak TLS", name),
				"leave the option out, and put stunnel or another TLS proxy in front of the server")
		}
	}
	return nil
}

// unneeded has the options of gearmand that gm serve accepts without effect, with the
// reasons.
var unneeded = map[string]string{
	"threads":                  "all processors are used",
	"backlog":                  "the system's limit (net.core.somaxconn) applies",
	"hashtable-buckets":        "the tables grow as needed",
	"libtokyocabinet-optimize": "the file is optimized while it is used",
	"http-port":                "HTTP is not served",
}

// logUnneeded logs each option that was given and has no effect.
func logUnneeded(c *cli.Context, log *slog.Logger) {
	for _, name := range slices.Sorted(maps.Keys(unneeded)) {
		if c.IsSet(name) {
			log.Info("option without effect", "option", cli.Dashed(name), "why", unneeded[name])
		}
	}
	if strings.EqualFold(c.String("protocol"), "http") {
		log.Warn("HTTP is not served", "option", "--protocol http")
	}
	if c.Bool("daemon") && !c.Bool("syslog") && (c.String("log-file") == "" || c.String("log-file") == "stderr") {
		log.Warn("the daemon has no log: neither --log-file nor --syslog is given")
	}
}
