// Package server is the Gearman job server: listeners, connections, the
// dispatch of packets and admin commands to a [queue.Queue], and the commit of
// what must survive to a [store.Store].
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
// Its types: [Config] says how, [Server] is one running server. A program
// makes a Server with [New], gives it listeners ([Server.Serve]) or single
// connections ([Server.ServeConn]), and ends it with [Server.Shutdown], which
// lets running jobs finish, or [Server.Close], which does not.
//
// # One turn
//
//	socket -> wire.Reader -> [lock] some whole packets -> queue [unlock] -> flush
//
// There are two kinds of transport. On Linux a poller serves the TCP and unix
// connections that [Server.Serve] accepts: it sleeps until some of them have
// something to be read, and then reads each into one buffer that all share,
// takes the one lock, applies the whole packets, gives the lock back, and when
// all have had their turn writes what those turns have put into outboxes. Any
// other connection, and all of other systems, have a goroutine each, which does
// the same for itself.
//
// A write never waits: what a socket does not take at once is written when the
// poller hears that it takes more, or is left to a goroutine that lives as long
// as the socket is full.
//
// # Back-pressure
//
// Above a mark of its outbox a peer has enough: what its own requests would add
// is not read from it, and a worker's packet for it is left with the worker,
// which is not read until the outbox is half empty. So a result of any length
// reaches a client that reads slowly, in constant memory. All jobs of a worker
// wait meanwhile; a client's own submissions are read, because many clients send
// all of them before they read. A peer that takes nothing of so much for
// Config.PeerTimeout is dropped, and those that wait for it go on. A peer that is
// client and worker of one job, and does not read while it writes, is such a one.
//
// What all connections hold together is bounded too (Config.PeerMemory):
// peermemory.go has the rules.
//
// # The commit step
//
// Background jobs of a server with a store are held in the queue until the
// batch that their record is in is durable; only then is their client told
// JOB_CREATED. The committer takes whatever has gathered while it was busy, so
// batches grow with the load. What a connection is owed after a submission
// that waits for its batch is parked behind it, so that replies keep the order
// of the requests; a connection for which too much is parked is not read until
// it is answered. Without a store the step is empty and nothing is held.
//
// A batch is bounded in operations and bytes. A batch that fails because the
// store is away is refused as a whole: its submissions are answered with ERROR
// and its jobs were never there. Ends of jobs are kept and tried again. If the
// store works, and refuses only this batch, it is split until the operations are
// found that the store does not take (split.go): a submission is refused, a
// result or a dead job is stored without its bytes, and any other operation is
// logged and left out. Operations over the limits of the store's Caps are
// refused before they get into a batch. A panic of a driver is the error of its
// call.
//
// Jobs of one connection become ready in the order in which it sent them: a
// foreground job that follows background ones on their way to the store is held
// until their batch is settled.
//
// A store that hangs is given Config.StoreTimeout, and half a second to notice;
// then everything that waits for it, and all that comes, is refused until it
// answers, and what it has taken of that after all is undone.
//
// An administrator is answered as submitters are: what was OK survives a crash.
// ERR NOT_STORED says that the change would not survive one yet: it holds and
// is stored later, but for a retry, whose job stays dead.
//
// # What a store keeps beside the jobs
//
//	dead/<number>        a job that failed for good, put with the Done of the job
//	result/<handle>      how a job has ended, put with its Done
//	policy/<function>    what becomes of jobs that fail
//	function/<function>  pause, maxqueue, and that it was created
//	number               a number above all that were given out
//
// These are all changes that an administrator makes for functions. They are kept
// until resume, maxqueue without limits, or drop function takes them back. Other
// settings are the command line's and begin anew with each start: the log level,
// and what a connection has asked for, such as exceptions. The highest number is
// stored before half of the numbers up to it are used. It is read before the
// first number is given out, so that a clock that is behind does not lead to
// handles that were used before.
//
// A dead job that is revived is added as a job first, and deleted as a dead one
// with a later batch. A server that finds both takes the job.
//
// # Loading
//
// The store is read while the server is at work: its Replay and Extras run
// beside Commit. Background jobs that come meanwhile are stored and wait behind
// those that are read. After an error the store is read on from where it was,
// again and again, until all is there.
//
// A request that can't be answered before its job may have been read waits, and
// its connection is held: a submission with a unique that no known job has, a
// question for the status of an unknown job, and lists of all jobs or functions
// that do not say whether they are complete. If nothing is read for
// Config.StoreTimeout these requests are refused. Other commands that would need
// all jobs to be there answer ERR LOADING. A payload that memory has no room for is read again when its job is
// grabbed; the answer to that grab, and what stands behind it, waits for it.
//
// # The end
//
// Shutdown closes the listeners and refuses submissions until the jobs have
// ended that can. Close keeps packets from the queue, commits what has
// gathered, closes the store, writes what is owed and closes the connections.
// A store that does not answer is given storeGrace; then it is left open to the
// goroutine that waits for it, and Close returns an error.
// The end of the server is no worker's loss: jobs that ran keep their attempts.
//
// # Goroutines
//
//	who                  started by          ends when
//	accept loop          Serve's caller      the listener is closed
//	poller               the first connection Close, when its connections have ended
//	                     that it can serve
//	connection, if not   accept loop,        the peer leaves or is dropped,
//	polled               ServeConn's caller  or the server is closed
//	end of a connection, poller              it has been written to, or is given up
//	if polled
//	outbox drain, if     flush               its outbox is empty or its connection closed
//	not polled
//	scribe               the end of a turn   no log line is left to be written
//	committer            New                 Close, after its last batch
//	load                 New                 all is read, or Close
//	pages                a long admin         all rows are written, its peer is
//	                     command              dropped, or Close
//	sweeper              a packet begun, or   it has run once; Close stops it
//	                     memory short
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
//	payer                committer, one a    it has written to the sockets what
//	                     batch               they take at once
//	hang-up              Close, one a        its connection has been written to,
//	                     connection          or 5 s have passed
//	timer                the queue's next    it has run once; Close stops it
//	                     deadline
//	OnShutdown's func    admin command       its owner says so
package server
