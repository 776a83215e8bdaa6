// Package server is a Gearman job server. It accepts connections of clients, workers
// and administrators, applies their packets to a [queue.Queue], and commits the
// changes that must survive to a [store.Store].
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
// Config.Store makes its background jobs durable; package store/open opens one.
//
// Its types: [Config] has the settings, [Server] is one running server. A program makes
// a Server with [New] and gives it listeners ([Server.Serve]) or single connections
// ([Server.ServeConn]). [Server.Shutdown] ends it when its running jobs have ended,
// [Server.Close] ends it at once.
//
// # Administration
//
// The program that runs a server administers it by methods that return values and
// need no connection. [Server.Stats], [Server.Jobs], [Server.Workers] and
// [Server.Sessions] list, [Server.Job], [Server.Payload], [Server.Result] and
// [Server.Policy] read, [Server.Wait] and [Server.Follow] wait, and the others, such
// as [Server.Pause], [Server.Cancel] and [Server.Retry], change something: they
// return when the store has the change. The admin commands of a connection (package
// wire lists them) are the same functions with text around them.
//
// # One turn
//
//	socket -> wire.Reader -> [lock] some whole packets -> queue [unlock] -> flush
//
// Package transport, a room below this one, moves the bytes. On Linux it has a poller,
// which serves the TCP and unix connections that [Server.Serve] accepts. It sleeps
// until some of them can be read and gives each of these a turn: the connection reads
// into a buffer that all share, takes the one lock, applies its whole packets and
// releases the lock. After all these turns the poller has the outboxes written that
// the turns have filled. Any other connection, and every connection on other systems,
// has a goroutine that does the same for this connection alone. A write never waits.
//
// # Back-pressure
//
// While an outbox is above its mark, requests whose replies would add to it are
// not read from that peer, and a worker's packet for it is not read from the worker
// until the outbox is half empty. So a client that reads slowly gets a result of
// any length in constant memory. Meanwhile all jobs of that worker wait. A client's
// own submissions are read, because many clients send all of them before they read.
// A peer that takes no bytes of a full outbox for Config.PeerTimeout is dropped, and
// the connections that wait for it go on. A peer that is client and worker of one
// job, and writes without reading, is dropped in this way.
//
// The memory of all connections together is bounded too (Config.PeerMemory). The doc
// of package transport has the rules.
//
// # Replies
//
// Everything that a connection is owed is a reply (reply.go): a packet or a text, and
// the time when it may go. Most go now. A reply that has to wait, for a batch
// that is not durable yet or for a payload that is read from the store, keeps its
// place: the replies behind it wait too, so that replies keep the order of the
// requests. A connection with too many of them is not read until they are sent.
//
// # The commit step
//
//	packet -> committer -> journal -> store
//	                          |
//	queue, replies <- completions
//
// A background job of a server with a store is held in the queue until the batch
// with its record is durable; only then its client gets JOB_CREATED. Three types
// share the work:
//
//   - the committer knows jobs and connections: it turns changes of jobs into
//     operations, and attaches a completion for each reply and job that waits for
//     them;
//   - the journal knows operations: it collects them in batches, commits one
//     batch at a time, and gives its completions back with the outcome. While the
//     store is busy the next batches gather, so batches grow with the load;
//   - the [store.Store] makes a batch durable: an engine, or later a cluster.
//
// Without a store there is no committer, and nothing is held.
//
// A batch is bounded in operations and bytes. A batch that fails because the
// store is away is refused as a whole: its submissions are answered with ERROR
// and its jobs were never there. Ends of jobs are kept and tried again. If the
// store works, and refuses only this batch, the batch is split until the
// operations are found that the store does not take: a submission is refused, a
// result or a dead job is stored without its bytes, and any other operation is
// logged and left out. Operations over the limits of the store's Caps are
// refused before they get into a batch. A panic of a driver is the error of its
// call.
//
// Dead jobs that a full store does not take stay in memory. When they hold a
// quarter of Config.Memory, the queue withholds background jobs whose payloads are
// only in the store, until dead jobs are stored, retried or forgotten.
//
// Jobs of one connection become ready in the order in which it sent them: a
// foreground job that follows background ones on their way to the store is held
// until their batch is settled.
//
// A store that hangs has Config.StoreTimeout, and half a second more to notice.
// Then everything that waits for it, and all that comes, is refused until it
// answers; Adds that it has taken after all are undone.
//
// An admin command that changes something is answered as submissions are: after
// OK the change survives a crash. ERR NOT_STORED means that the change holds, but
// would not survive a crash yet; it is stored later. A retry that is not stored is
// undone: its job stays dead.
//
// # Extras in the store
//
//	dead/<number>        a job that failed for good, put with the Done of the job
//	result/<handle>      the outcome of a job, put with its Done
//	policy/<function>    the retry policy of a function
//	function/<function>  pause, maxqueue, and that the function was created
//	number               a number above all numbers that were given out
//
// These are all changes that an administrator makes for functions. They are kept
// until resume, maxqueue without limits, or drop function takes them back. Other
// settings come from the command line and begin anew with each start: the log level,
// and the options of a connection, such as exceptions. The highest number is
// stored before half of the numbers up to it are used. It is read before the
// first number is given out, so that a clock that was set back does not lead to
// handles that were used before.
//
// A dead job that is retried is added as a job first, and deleted as a dead one
// with a later batch. A server that finds both keeps the job.
//
// # Loading
//
// The store is read while the server works: its Replay and Extras run
// at the same time as Commit. Background jobs that are submitted meanwhile are
// stored, and wait behind those that are read. After an error, reading goes on from
// the same place, again and again, until everything is read.
//
// A request that depends on a job which may not be read yet waits, and its
// connection is held: a submission with a unique that no known job has, a
// status request for an unknown job, and lists of all jobs or functions
// without a mark of completeness. If nothing is read for Config.StoreTimeout these
// requests are refused. Other commands that need all jobs answer ERR LOADING. A
// payload for which memory has no room is read again when its job is
// grabbed; the answer to that grab, and the replies behind it, wait for it.
//
// # The end
//
// Shutdown closes the listeners and refuses submissions until the jobs have
// ended that can. Close stops applying packets, commits the pending batches,
// closes the store, writes the outboxes and closes the connections.
// A store that does not answer has storeGrace; then it is left open to the
// goroutine that waits for it, and Close returns an error.
// The end of the server is not a loss of a worker: running jobs keep their attempts.
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
//	scribe               the end of a turn   no log line is left to be written
//	journal              New                 Close, after its last batch
//	load                 New                 all is read, or Close
//	pages                a long admin         all rows are written, its peer is
//	                     command              dropped, or Close
//	payload of a grab    grab                it is read or given up, or Close
//	read-ahead           a turn, one at a    no more is wanted, or Close
//	                     time
//	dead jobs' payloads  admin command       all are read, or Close
//	Shrunk               a turn, one at a    it has been called, or Close
//	                     time
//	end of the store     Close               the store is closed, or never if it
//	                                         does not answer
//	end of a fetch       grab                it has run once
//	hung                 a batch's time      it has run once
//	payer                journal, one a      it has written to the sockets what
//	                     batch               they take at once
//	hang-up              Close, one a        its connection has been written to,
//	                     connection          or 5 s have passed
//	timer                the queue's next    it has run once; Close stops it
//	                     deadline
//	OnShutdown's func    admin command       its owner says so
package server
