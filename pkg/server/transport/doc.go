// Package transport moves the bytes of a server's connections. It reads and writes
// sockets, keeps the bytes that a peer has not taken yet, and decides from which
// connections the server reads. It knows no packets, no jobs and no stores: a
// [Handler] gives the bytes their meaning.
//
// Its types: a [Conn] is one connection. It has a [Socket], which reads and writes,
// an [Outbox] with the bytes for the peer, and a [Hold], which stops the reading
// until some events have come. [Peers] has the limits for all connections of a server.
// A [Poller] serves many connections with one goroutine; [Conn.ServeAlone] serves one
// connection with the goroutine that calls it. [Listen] opens a listener and
// [AcceptAll] accepts its connections.
//
// # Turns
//
// A connection has a turn when its socket has bytes: its Handler reads once and
// applies the whole requests among the bytes. A Poller sleeps until some sockets can
// be read, gives each of these connections a turn, and then has the outboxes written
// that the turns have filled. So requests that arrive together are answered together.
// An idle connection of a Poller has no goroutine and no buffer.
//
// # Writing
//
// A write never waits. Bytes that a socket does not take at once stay in the outbox.
// They are written when the Poller finds that the socket takes more, or by a goroutine
// that lives as long as the socket is full.
//
// # Back-pressure
//
// An outbox has a mark and a limit. While more bytes than the mark wait for a peer,
// the server makes the senders of more bytes wait ([Outbox.WhenBelowMark]), and does
// not read from them ([Hold]). If the peer takes no bytes for Config.Patience in that
// state, its connection is dropped. A peer whose outbox has more bytes than the limit
// is dropped by the server.
//
// The memory of all connections together is bounded too (Config.Memory). It counts
// the outboxes and the requests that have not arrived completely. Over the bound,
// connections that hold a large part of a request are not read, except one at a time,
// which is read until its request is complete. If the outboxes alone are over the
// bound, none of these is read. A [Sweep] compares all connections with the sweep
// before and drops those that make no progress, the largest first, until there is
// room again.
//
// # Goroutines
//
//	goroutine            started by             ends when
//	poller               NewPoller              Stop
//	end of a connection  poller                 Handler.End returns
//	outbox drain         a write to a full      the outbox is empty or its connection
//	                     socket, not polled     is closed
//	sweep                a request that is not  the function Config.Sweep returns
//	                     complete, or memory
//	                     is short
package transport
