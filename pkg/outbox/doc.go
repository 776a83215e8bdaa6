// Package outbox moves jobs from a database to Gearman job servers. A program adds a job
// to a table, the outbox, in the transaction that changes its data. If the transaction is
// rolled back, the job was never there. If it is committed, a relay submits the job and
// then deletes its row.
//
// The types:
//
//   - DB is an outbox in a PostgreSQL, MySQL or MariaDB database. DB.Install creates its
//     table and a function gman_enqueue, which adds a row.
//   - Trigger describes a trigger that adds a row for each change of another table.
//   - Relay moves the rows to the servers of a client.
//   - Row is a dead row, which the servers have refused too often. DB.Dead lists them.
//
// This program is a relay:
//
//	db, err := outbox.Open("postgres://app@localhost/app", outbox.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer db.Close()
//	if err := db.Install(ctx); err != nil {
//		log.Fatal(err)
//	}
//	client, err := gearman.NewClient(gearman.Options{Once: true, OncePrefix: outbox.UniquePrefix})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer client.Close()
//	relay := &outbox.Relay{DB: db, Client: client}
//	if err := relay.Run(ctx); err != nil {
//		log.Fatal(err)
//	}
//
// # The table
//
//	id          of the row; rows are submitted in this order
//	function    of the job
//	workload    of the job
//	unique_key  of the job; NULL is a unique that names the row
//	priority    of the job: 1 is high, 0 normal, -1 low
//	run_at      delays the job until then, UTC in MySQL; the priority must be normal
//	created     when the row was added
//	attempts    how often a server has refused the job
//	last_error  why
//	dead        when the relay gave up; NULL for a row that it will submit
//
// # Once and in order
//
// A relay locks some rows, deletes them, submits their jobs and commits. Rows whose jobs
// were not accepted stay. If the relay ends between the submission and the commit, the next relay submits the same
// uniques again. A job that still waits or runs is not doubled. A job that has ended
// meanwhile is not repeated if the client has Options.Once and the server still keeps its
// outcome, as gm serve does for at least ten minutes; otherwise it runs again. So does
// the job of a row with a unique_key, which another row may use on purpose. A relay that
// goes on itself, after the database was away, submits no accepted row again.
//
// With one relay and one job server, the rows of a session keep their order, unless a
// server refuses some of them. Several relays share the rows, and each keeps the order
// only within a batch.
package outbox
