// Package server is a Gearman job server for Go programs. Clients submit jobs to it,
// workers get jobs from it, and administrators watch and change it, all on one port.
// The command gm serve is a face of this package.
//
// This program is a server in memory on the usual port, until it is interrupted:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
//	defer stop()
//	listener, err := net.Listen("tcp", ":4730")
//	if err != nil {
//		log.Fatal(err)
//	}
//	srv, err := server.New(server.Config{Logger: slog.Default()})
//	if err != nil {
//		log.Fatal(err)
//	}
//	go srv.Serve(listener)
//	<-ctx.Done()
//	srv.Close()
//
// [Config] has the settings, [Server] is one running server. [New] makes a Server,
// which serves listeners ([Server.Serve]) and single connections ([Server.ServeConn]).
// [Server.Shutdown] ends it after its running jobs have ended, [Server.Close] ends it at
// once. Package gearman has clients and workers.
//
// # Background jobs that survive the server
//
// Without a store all jobs are in memory. With Config.Store, a client gets the handle of
// a background job only after the store has the job, and the next server on that store
// has all jobs that have not ended. Package store/open opens a store from a URL, and locks
// it so that no other server uses it at the same time:
//
//	place, err := open.Parse("disk:/var/lib/gearman")
//	if err != nil {
//		log.Fatal(err)
//	}
//	st, err := place.Acquire(ctx, "my program", false)
//	if err != nil {
//		log.Fatal(err)
//	}
//	srv, err := server.New(server.Config{Store: st, StoreName: place.Name()})
//
// [store.Store] is the one type of another package of this module in the signatures of
// package server: a program that uses a store imports store/open, or brings a store of
// its own. The other types are this package's. Some, such as [Job] and [Outcome], repeat
// the fields of the rows of the admin commands.
//
// # Administration
//
// The program that runs a server administers it by methods, which need no connection:
//
//   - [Server.Stats], [Server.Jobs], [Server.Workers] and [Server.Sessions] list;
//   - [Server.Job], [Server.Payload], [Server.Result] and [Server.Policy] read;
//   - [Server.Wait] and [Server.Follow] wait for the end of jobs;
//   - the others, such as [Server.Pause], [Server.Cancel] and [Server.Retry], change
//     something. They return when the store has the change.
//
// The admin commands of a connection do the same ("gm admin help" lists them).
//
// # Options of a connection
//
// A client or worker sets these options with OPTION_REQ. The server answers any other
// option with the ERROR UNKNOWN_OPTION.
//
//	exceptions  a client gets WORK_EXCEPTION instead of WORK_FAIL
//	gm-cancel   a worker gets WORK_FAIL when its running job is to stop
//	once        a background submission does not repeat a job that has ended lately
//	once:PREFIX the same, for uniques that begin with PREFIX
//
// Once is for clients that submit their last jobs again after a crash. If the unique of a
// background submission is that of a job of the same function whose outcome is kept
// (Config.KeepResults), the client gets JOB_CREATED with the handle of that job, and
// there is no new job. Jobs that failed for good count, dead ones too: a retry of these
// is for an administrator to decide. Cancelled jobs do not count, because they were not
// done. A job with that unique that waits or runs comes first: the submission joins it,
// as always. Foreground submissions, and those without a unique, are not affected. A
// client that also uses a unique again on purpose requests the option with a prefix of
// its other uniques. With a store, the next server knows the ended jobs too.
//
// A server that keeps no results refuses the option without a prefix. From the first use
// of a prefix on it keeps the outcomes of the background jobs with such uniques for ten
// minutes, without their results, and at most Config.ResultsMemory. It remembers the
// prefix, over restarts too, until nobody has used it for 30 days; of more than 64
// prefixes it drops the one that nobody has used for the longest time.
//
// The rest of this comment describes the inside of the package, for its maintainers.
//
// # One turn
//
//	socket -> wire.Reader -> [lock] some whole packets -> queue [unlock] -> flush
//
// A turn is the work under one lock of Server.mu. Package transport, a room below this
// one, moves the bytes. On Linux it has a poller, which serves the TCP and unix
// connections that [Server.Serve] accepts. The poller sleeps until some of them can be
// read, and gives each of these a turn: the connection reads into a buffer that all
// share, takes the lock, applies its whole packets and releases the lock. After all
// these turns the poller writes the outboxes that the turns have filled. Any other
// connection, and every connection on other systems, has a goroutine that does the same
// for this connection alone. A write never waits.
//
// # Back-pressure
//
// While an outbox is above its mark, the server does not read requests from that peer
// whose replies would add to the outbox. It does not read a worker's packet for that
// peer until the outbox is half empty. So a client that reads slowly gets a result of
// any length in constant memory; meanwhile all jobs of that worker wait. The server does
// read submissions, because many clients send all of them before they read. It drops a
// peer that reads nothing of a full outbox for Config.PeerTimeout, and the connections
// that wait for that peer go on. A peer that is client and worker of one job, and writes
// without reading, is dropped in this way.
//
// Config.PeerMemory bounds the memory of all connections together. The doc of package
// transport has the rules.
//
// # Replies
//
// A reply (reply.go) is a packet or a text for a connection. Most replies are sent at
// once. A later reply waits, for a batch that is not durable yet or for a payload that
// is read from the store. It keeps its place: the replies behind it wait too, so that
// replies keep the order of the requests. While a connection has too many of them, it is
// not read.
//
// # The commit step
//
//	packet -> committer -> journal -> store
//	                          |
//	queue, replies <- completions
//
// The queue holds a background job back until the batch with its record is durable.
// Only then the client gets JOB_CREATED. Three types share the work:
//
//   - the committer knows jobs and connections. It turns changes of jobs into
//     operations, and attaches a completion for each reply and job that waits for
//     them;
//   - the journal knows operations. It collects them in batches, commits one batch at
//     a time, and gives its completions back with the outcome. While the store is busy
//     the next batches gather, so batches grow with the load;
//   - the [store.Store] makes a batch durable.
//
// Without a store there is no committer, and no job is held back.
//
// A batch is bounded in operations and bytes. If the store is away, the whole batch is
// refused: its submissions are answered with ERROR and their jobs are forgotten; ends
// of jobs are kept and tried again. If the store works and refuses only this batch, the
// journal splits the batch until it has found the operations that the store does not
// take. It refuses a submission, stores a result or a dead job without its bytes, and
// logs any other operation and leaves it out. Operations over the limits of the store's
// Caps are refused before they get into a batch. A panic of a driver becomes the error
// of its call.
//
// Dead jobs that a full store does not take stay in memory. When they hold a
// quarter of Config.Memory, the queue withholds background jobs whose payloads are
// only in the store, until dead jobs are stored, retried or forgotten.
//
// Jobs of one connection become ready in the order in which it sent them: a foreground
// job that follows background ones on their way to the store is held back until their
// batch has ended.
//
// A store that hangs has Config.StoreTimeout, and half a second more to notice it. Then
// the server refuses all requests that wait for the store, and all further ones, until
// the store answers. Adds that the store has taken after all are undone.
//
// An admin command that changes something is answered as submissions are: after OK the
// change survives a crash. ERR NOT_STORED means that the change holds, but would not
// survive a crash yet; it is stored later. A retry that is not stored is undone: its job
// stays dead.
//
// # Extras in the store
//
//	dead/<number>        a job that failed for good, put with the Done of the job
//	result/<handle>      the outcome of a job, put with its Done; for the option once it
//	                     has a digest of the function and the unique
//	once/<prefix>        a prefix of the option once, in hexadecimal digits
//	policy/<function>    the retry policy of a function
//	function/<function>  pause, maxqueue, and that the function was created
//	number               a number above all numbers that were given out
//
// The store keeps the changes that an administrator makes for functions until resume,
// maxqueue without limits, or drop function takes them back. Other settings begin anew
// with each start: the log level, and the options of a connection, such as exceptions.
// The highest number is stored before half of the numbers up to it are used. It is read
// before the first number is given out, so that a clock that was set back does not lead
// to handles that were used before.
//
// A dead job that is retried is added as a job first, and deleted as a dead one with a
// later batch. A server that finds both keeps the job.
//
// # Loading
//
// The server reads its store while it already works: Replay and Extras run at the same
// time as Commit. Background jobs that are submitted meanwhile are stored, and wait
// behind the jobs that are read. After an error, reading goes on from the same place,
// again and again, until everything is read.
//
// A request that depends on a job which may not be read yet waits, and its connection
// is not read: a submission with a unique that no known job has, a status request for an
// unknown job, and lists of all jobs or functions that cannot say that they are
// incomplete. If nothing is read for Config.StoreTimeout these requests are refused.
// Other commands that need all jobs answer ERR LOADING. If memory has no room for a
// payload, it is read again when its job is grabbed; the answer to that grab, and the
// replies behind it, wait for it.
//
// # The end
//
// Shutdown closes the listeners, and refuses submissions until all jobs that can still
// end have ended. Close stops applying packets, commits the pending batches, closes the
// store, writes the outboxes and closes the connections. A store that does not answer
// has storeGrace; then it is left open to the goroutine that waits for it, and Close
// returns an error. The end of the server does not count as the loss of a worker:
// running jobs keep their attempts.
//
// # Goroutines
//
//	goroutine            started by          ends when
//	accept loop          Serve's caller      the listener is closed
//	poller               the first connection Close, when its connections have ended
//	                     that it can serve
//	connection, if not   accept loop,        the peer leaves or is dropped,
//	polled               ServeConn's caller  or the server is closed
//	others of package    see there           no later than their connection, or
//	transport                                with the sweep that runs at Close
//	logWriter            the end of a turn   all log lines are written
//	journal              New                 Close, after its last batch
//	load                 New                 all is read, or Close
//	pages                a long admin        all rows are written, its peer is
//	                     command             dropped, or Close
//	payload of a grab    grab                it is read or given up, or Close
//	read-ahead           a turn, one at a    no more is wanted, or Close
//	                     time
//	dead jobs' payloads  admin command       all are read, or Close
//	Shrunk               a turn, one at a    it has been called, or Close
//	                     time
//	end of the store     Close               the store is closed, or never if it
//	                                         does not answer
//	end of a fetch       grab                it has run once
//	time limit of a      journal             it has run once
//	batch
//	writeTurn            journal, one a      it has written to the sockets all that
//	                     batch               they take at once
//	hang-up              Close, one a        its connection has been written to,
//	                     connection          or 5 s have passed
//	timer                the queue's next    it has run once; Close stops it
//	                     deadline
//	function of          admin command       the function returns
//	OnShutdown
package server
