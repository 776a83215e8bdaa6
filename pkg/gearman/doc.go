// Package gearman is a client, a worker and an admin library for Gearman job
// servers: gm's own, gearmand and those that speak like them.
//
// A function is a name. A client submits a [Task] to a function, with a
// payload of any bytes; a job server makes a job of it and hands it to a
// worker that has said that it can do the function; the worker's result goes
// back to the client, unless the task was sent to the background. The server
// names the job by its [Handle].
//
// The types:
//
//   - [Client] submits tasks and asks for their status. [Task] describes one,
//     [Running] is one on its way, [Result] is its end, [Set] is many at once.
//   - [Worker] does jobs. A [Handler] is the code of a function, [Job] is what
//     it is given.
//   - [Admin] asks one server for its queues, its connections and its jobs, and
//     changes them. [StatusOf] asks many.
//   - [Server] names a job server, [Options] are common to the three.
//
// # Several servers
//
// Job servers know nothing of each other. A worker serves all of its list. A
// client submits to the first of its list that answers, or with
// [Options.Spread] to the one with the least to do for it, but a task with a
// unique goes to the server that a hash of its function and unique chooses, so
// that the same task from different clients meets itself and is done once.
//
// # Lost connections
//
// A task whose server is lost before its end fails with [ErrLost]: it may have
// been done, or be done later, or never. It is submitted again only if
// [Task.Retries] says that it may run twice. A job whose worker is lost is
// queued again by its server. Workers connect again for ever, clients when
// they next need the server; both wait between [Options.MinBackoff] and
// [Options.MaxBackoff] after a failure.
//
// # Times
//
// The package never sleeps without an end: every call takes a context, and what
// waits for a peer that takes or sends nothing gives up after a minute.
package gearman
