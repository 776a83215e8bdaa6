// Package fleet asks several job servers at the same time and joins their answers, for
// programs that show or change the state of all of them.
//
// Job servers do not know each other: a function can have jobs on each of them, and a
// job is on one of them. [Ask] puts one question to all servers and returns an [Answer]
// for each. [Split] separates the answers from the servers that failed, which a listing
// leaves out.
//
// The rows of a listing:
//
//   - [Function] is the state of a function. [FunctionsOf] asks one server for its
//     functions, [MergeFunctions] sums the rows of all servers, and a [RateMeter] adds
//     the events per second between two readings.
//   - [Connection] is a worker or a client. [ConnectionsOf] asks one server for them.
//   - [Job] is a job in the queue of a server. [ListJobs] and [FindJob] ask one server.
//
// The rows have JSON tags. A field that only gm's server reports is nil for other
// servers, and null in JSON.
//
// [Wait] and [Follow] report on jobs until they end, on whichever server has them. A
// [Selection] finds the jobs of functions by a text in them. A function can be named by
// a pattern such as img*; see [MatchesName].
//
// This program prints the queues of two servers, summed by function:
//
//	o := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: "a:4730"}, {Network: "tcp", Addr: "b:4730"}}}
//	answers, absent, err := fleet.Split(fleet.Ask(ctx, o, 5*time.Second, fleet.FunctionsOf))
//	if err != nil {
//		log.Fatal(err)
//	}
//	for _, f := range fleet.MergeFunctions(answers, false, nil) {
//		fmt.Println(f.Function, f.Waiting, f.Running, f.Workers)
//	}
//	for _, a := range absent {
//		fmt.Println("no answer from", a.Server, a.Error)
//	}
package fleet
