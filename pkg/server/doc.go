// Package server is the Gearman job server: listeners, connections, the
// dispatch of packets and admin commands to a [queue.Queue], and the commit of
// what must survive to a [store.Store].
//
// Its types: [Config] says how, [Server] is one running server. A program
// makes a Server with [New], gives it listeners ([Server.Serve]) or single
// connections ([Server.ServeConn]), and ends it with [Server.Shutdown], which
// lets running jobs finish, or [Server.Close], which does not.
//
// # One turn
//
//	socket -> wire.Reader -> [lock] every whole packet -> queue [unlock] -> flush
//
// A connection's goroutine reads what the socket has, takes the one lock,
// applies every whole packet, gives the lock back, and then writes what the
// turn has put into outboxes, its own and others'. A write never waits: what
// a socket does not take at once is left to a goroutine that lives as long as
// the socket is full. An outbox has a limit; a peer that does not read is
// dropped when it is reached, and nobody has waited for it.
//
// # The commit step
//
// Background jobs of a server with a store are held in the queue until the
// batch that their record is in is durable; only then is their client told
// JOB_CREATED. The committer takes whatever has gathered while it was busy, so
// batches grow with the load. What a connection is owed after a submission
// that waits for its batch is parked behind it, so that replies keep the order
// of the requests. Without a store the step is empty and nothing is held.
//
// # Goroutines
//
//	who                  started by          ends when
//	accept loop          Serve's caller      the listener is closed
//	connection           accept loop,        the peer leaves or is dropped,
//	                     ServeConn's caller  or the server is closed
//	outbox drain         flush               its outbox is empty or its connection closed
//	committer            New                 Close, after its last batch
//	timer                the queue's next    it has run once; Close stops it
//	                     deadline
package server
