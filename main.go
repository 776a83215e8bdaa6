// Command gm is Gearman in one binary: a job server, workers, clients and the tools
// of an administrator. "gm help" lists its verbs.
//
// This comment is the map of the source: the rooms, the way of one job, the words,
// and where to begin.
//
// # Rooms
//
// A room is a package with one task. Besides the standard library it imports only the
// rooms and modules that its row names. A test compares the rows with the packages
// and their imports on every system ("make law").
//
//	.                       calls cmd and exits with its code;
//	                        imports cmd
//	cmd                     the command line: flags, help, one call for each verb, output;
//	                        imports cmd/cli, pkg/*, pkg/store/dump, pkg/store/open, internal/daemon, internal/duration,
//	                        internal/escape, internal/logsink, internal/memory, internal/serverlog, internal/serving,
//	                        internal/tune, internal/walltime, github.com/pelletier/go-toml
//	cmd/cli                 the kit for it: verbs, flags, help, completions, tables; knows nothing of Gearman;
//	                        imports internal/bytesize, internal/duration, github.com/urfave/cli,
//	                        github.com/olekukonko/tablewriter, github.com/mattn/go-runewidth,
//	                        github.com/fatih/color, github.com/mattn/go-isatty, golang.org/x/sys
//	cmd/systest             tests of the whole system: kills, full disks, other programs, this table
//	pkg/wire                every byte on port 4730: packets and admin text, both directions, limits
//	pkg/gearman             the Go library for clients, workers and administrators;
//	                        imports pkg/wire, internal/tune, golang.org/x/sys
//	pkg/batch               many records through one function: splitting, order, retries, resume;
//	                        imports pkg/gearman
//	pkg/results             the results of a batch: one output, files, the joblog;
//	                        imports pkg/gearman, pkg/batch, internal/exitline, internal/filelock, internal/gather,
//	                        golang.org/x/sys
//	pkg/records             a run of many records, from their source to their results;
//	                        imports pkg/gearman, pkg/batch, pkg/results
//	pkg/fleet               several servers asked at the same time: functions, connections, jobs, rates;
//	                        imports pkg/gearman
//	pkg/outbox              jobs in a table of a database, and the relay that submits them;
//	                        imports pkg/gearman, pkg/store, internal/mysqlconfig, internal/pgconfig,
//	                        github.com/go-sql-driver/mysql, github.com/lib/pq
//	pkg/runner              child processes, one for each job: pipes, limits, signals;
//	                        imports internal/tune, golang.org/x/sys
//	pkg/work                a worker out of any program: commands, kept children, chains, directories;
//	                        imports pkg/gearman, pkg/batch, pkg/runner, internal/bytesize, internal/escape,
//	                        internal/exitline, internal/gather
//	pkg/queue               functions, jobs, workers and their rules, without I/O, goroutines and clock;
//	                        imports pkg/wire, pkg/store
//	pkg/store               the interface of a store of jobs, the record of a job, the URL of a store
//	pkg/store/open          from a URL to an open and locked store, and the wait for one;
//	                        imports pkg/store, pkg/store/disk, pkg/store/memcached, pkg/store/mysql,
//	                        pkg/store/postgres, pkg/store/redis, pkg/store/sqlite, pkg/store/tokyocabinet
//	pkg/store/dump          a store as JSON lines, both ways;
//	                        imports pkg/store
//	pkg/store/internal/filestore the code that stores in files share: lock, watch, log;
//	                        imports pkg/store, internal/filelock
//	pkg/store/internal/sqlstore the code that stores in SQL databases share;
//	                        imports pkg/store, internal/codec
//	pkg/store/storetest     the tests that every store passes;
//	                        imports pkg/store
//	pkg/store/disk          the store in a directory: a log and a bbolt file;
//	                        imports pkg/store, pkg/store/internal/filestore, pkg/store/disk/boltfile,
//	                        pkg/store/disk/fsys, internal/codec, go.etcd.io/bbolt
//	pkg/store/disk/boltfile the pages of a bbolt file: read with checks, salvaged, shrunk;
//	                        imports pkg/store, pkg/store/internal/filestore, pkg/store/disk/fsys, go.etcd.io/bbolt
//	pkg/store/disk/fsys     changes of files that a test can watch;
//	                        imports pkg/store/internal/filestore
//	pkg/store/*             one kind of store each, for example pkg/store/redis;
//	                        imports pkg/store, pkg/store/internal/filestore, pkg/store/internal/sqlstore, internal/codec,
//	                        internal/mysqlconfig, internal/pgconfig, any module
//	pkg/server              the job server: connections, commands, durable batches, shutdown;
//	                        imports pkg/server/transport, pkg/wire, pkg/queue, pkg/store, internal/codec,
//	                        internal/duration
//	pkg/server/transport    the bytes of the server's connections: pollers, sockets, outboxes, back-pressure;
//	                        imports internal/tune, golang.org/x/sys
//	pkg/udf                 the SQL functions of databases, in C, and their tests
//	internal/bytesize       sizes such as 64K as text, both ways
//	internal/codec          the bytes of a record in a store: layout, checksums, salts;
//	                        imports pkg/store
//	internal/daemon         the process of a server: background, user, limits, pid file;
//	                        imports golang.org/x/sys
//	internal/deferred       a store in memory, written to another one at the end;
//	                        imports pkg/store
//	internal/duration       durations such as 2d and 90s as text
//	internal/escape         any bytes as printable text, both ways
//	internal/exitline       the line in which gm work reports the exit code of its command
//	internal/filelock       the lock of a file
//	internal/gather         a buffer for bytes that arrive in pieces
//	internal/logsink        log lines for a writer that may be slow, without waiting for it
//	internal/memory         the memory of the machine or the container, and its parts for a server;
//	                        imports golang.org/x/sys
//	internal/mysqlconfig    the address of a MySQL database, from the URL of a store or an outbox;
//	                        imports pkg/store, github.com/go-sql-driver/mysql
//	internal/pgconfig       the address of a PostgreSQL database, as libpq reads it;
//	                        imports pkg/store, github.com/lib/pq
//	internal/serverlog      the log of a server: level, file, syslog;
//	                        imports internal/logsink
//	internal/serving        servers, one after the other on one store, until a signal;
//	                        imports pkg/server, pkg/store, pkg/store/open, pkg/gearman, internal/deferred
//	internal/testgm         the commands of test scripts, and servers for tests;
//	                        imports github.com/rogpeppe/go-internal
//	internal/tune           tricks that depend on the inside of the Go runtime, with one switch;
//	                        imports golang.org/x/sys
//	internal/walltime       points in time such as 15:04 as text
//	scripts/*               benchmarks, a load generator, and the lint of the prose;
//	                        imports pkg/wire, pkg/store, pkg/store/*, scripts/*, golang.org/x/sys
//
// # The way of one job
//
// Somebody runs "echo hello | gm submit -f upper" while "gm work -f upper -- tr a-z
// A-Z" is connected to "gm serve":
//
//	gm submit    cmd        reads flags and payload
//	             gearman    Client.Start writes SUBMIT_JOB to the server's socket
//	gm serve     transport  a poller reads the socket into a buffer
//	             wire       cuts the buffer into packets
//	             queue      Submit adds the job to its function and wakes one worker
//	             store      a background job is stored, before its client gets JOB_CREATED
//	             transport  the outbox of the sleeping worker gets NOOP
//	gm work      gearman    the worker sends GRAB_JOB and receives JOB_ASSIGN
//	             work       makes a command out of the job
//	             runner     starts tr, writes the payload to its stdin, reads its stdout
//	             gearman    sends the output as WORK_COMPLETE
//	gm serve     queue      Complete ends the job
//	             store      forgets the job, in the next batch
//	             transport  the client's outbox gets WORK_COMPLETE
//	gm submit    gearman    Client receives the result
//	             results    writes it to stdout
//	             cmd        exits with 0
//
// A submission of many records (gm map, gm pipe, or gm submit with -n) goes through
// records: batch keeps some jobs in flight, and results writes their results in order.
//
// The store is a journal and not the queue: the queue is in memory, and a server reads
// the store once, when it starts. The server collects the changes of all connections
// and hands the store one batch at a time, without the lock of the queue.
//
// # Words
//
//	function       a name to which clients submit jobs, and which workers serve
//	job            one call of a function: a payload, and later its result
//	payload        the bytes of a job, at most --max-payload; PROTOCOL calls them workload
//	foreground     a job whose client waits for the result; it ends with its last client
//	background     a job whose client only gets the handle; it can be stored and delayed
//	handle         the server's name for a job: H:HOST:NUMBER; a number is never used twice
//	unique         the client's name for a job: submissions with the same one share a job
//	grab           a worker asks for a job
//	pre-sleep      a worker announces that it sleeps until the server wakes it
//	NOOP           the packet that wakes a sleeping worker
//	attempt        one try to do a job; it ends with a result, a failure or a lost worker
//	retry          another attempt after a failure, after a wait (the back-off)
//	dead letter    a background job without attempts left, retained with its error and listed by "gm jobs --dead"
//	record         one of many inputs: a line, a block, a row or a file
//	batch          in pkg/batch the records of one run, in pkg/server the changes in one write
//	reducer        a function that combines several results into one
//	store          where background jobs survive: a directory or a database
//	standby        a server that waits until it can lock the store
//	outbox         bytes for a connection that its socket has not accepted yet
//
// # Where to begin
//
// "make demo" shows the program at work. To read on:
//
//   - a verb: the file in cmd with its name, then "go doc ./cmd" for the rest of the room;
//   - the rules of the queue: "go doc ./pkg/queue", and pkg/queue/rules_test.go, where they
//     are scripts that can be read;
//   - a packet: "go doc ./pkg/wire", then the file dispatch.go in pkg/server;
//   - durability: "go doc ./pkg/server", then "go doc ./pkg/store";
//   - a program of your own: "go doc ./pkg/gearman", ./pkg/work and ./pkg/server, and
//     their examples;
//   - a new verb or store: .github/CONTRIBUTING.md.
package main

import (
	"os"

	"gm/cmd"
)

func main() { os.Exit(cmd.Main(os.Args)) }
