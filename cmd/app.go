// Package cmd is the command line of gm: a table of verbs, with a file for each. It is
// the only package that prints, colours and chooses exit codes.
//
// A verb is a function from the environment to a [verb]: flags, help and an action. The
// action returns an error, which exit.go turns into a message and an exit code; nothing
// else does. output.go prints rows, and servers.go finds the servers. args.go parses
// arguments; urfave/cli has the types of flags. help.go, man.go and completion.go read
// the same table.
package cmd

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// verbs lists every verb, in the order in which help lists them. A run of gm makes
// only the verbs that it needs.
var verbs = []struct {
	name string
	make func(*env) *verb
}{
	{"submit", submitVerb},
	{"map", mapVerb},
	{"pipe", pipeVerb},
	{"work", workVerb},
	{"tell", tellVerb},
	{"serve", serveVerb},
	{"status", statusVerb},
	{"workers", workersVerb},
	{"jobs", jobsVerb},
	{"job", jobVerb},
	{"wait", waitVerb},
	{"result", resultVerb},
	{"retry", retryVerb},
	{"cancel", cancelVerb},
	{"store", storeVerb},
	{"admin", adminVerb},
	{"ping", pingVerb},
	{"completion", func(e *env) *verb { return completionVerb(&e.cliEnv) }},
	{"man", func(e *env) *verb { return manVerb(&e.cliEnv) }},
	{"version", versionVerb},
}

// env is the environment of one run of gm.
type env struct {
	cliEnv

	leftOut map[gearman.Server]bool // servers that were noted as not answering
}

// Main runs gm with the arguments of a process, the program's name first, and
// returns its exit code.
func Main(args []string) int {
	if len(args) == 3 && args[1] == guardJobs {
		runner.RunGuard(args[2])
		return exitOK
	}
	inheritIgnored()
	programName = nameOf(args[0])
	e := &env{cliEnv: cliEnv{
		stdin:  os.Stdin,
		stdout: &output{os.Stdout},
		stderr: os.Stderr,
		getenv: os.Getenv,
	}}
	return e.run(context.Background(), args)
}

// run executes one command line and reports its error on stderr.
func (e *env) run(ctx context.Context, args []string) int {
	var err error
	if slices.Equal(args[1:], []string{"--version"}) {
		err = e.printLine(programName + " " + Version()) // scripts ask it first; it needs no table
	} else {
		e.root = newRoot(e)
		err = e.dispatch(ctx, args[1:])
	}
	for _, c := range e.closers {
		err = errors.Join(err, c.Close())
	}
	return e.report(err, exitCode(err), hintFor(err))
}

func newRoot(e *env) *verb {
	root := &verb{Command: &cli.Command{
		Name:  programName,
		Usage: "a Gearman job server, worker, client and administrator",
		Description: `Flags may stand before or after the verb and its arguments; -- ends them. stdout has data: aligned columns on a terminal, columns separated by tabs elsewhere. Everything else goes to stderr.

gm VERB -h shows the most used flags of a verb on one screen, gm help VERB everything, and gm man VERB the manual page.`,
		Flags: append(e.connFlags(), commonFlags()...),
	}, version: Version, environment: rootEnvironment, files: rootFiles}
	root.table = make([]newVerb, len(verbs))
	mostUsed := usedMost()
	for i, v := range verbs {
		root.table[i] = newVerb{v.name, func() *verb {
			made := v.make(e)
			made.mostUsed = mostUsed[v.name]
			return made
		}}
	}
	root.examples = []example{
		{"a server that is also a worker", "gm serve --work reverse=rev"},
		{"a job for it", "echo hello | gm submit -f reverse"},
		{"the queues, updated every two seconds", "gm status --watch"},
	}
	root.exits = slices.Collect(maps.Keys(exitTexts))
	return root
}

// usedMost names the flags that -h shows of a verb with more than fit. Of other
// verbs it shows the first ones.
func usedMost() map[string][]string {
	return map[string][]string{
		"submit": {"function", "background", "unique", "high", "timeout", "in", "each-line", "files", "jobs", "keep-order", "out", "joblog", "resume", "retries", "server"},
		"map":    {"function", "reduce", "each-line", "delimiter", "block", "files", "jobs", "unordered", "out", "tag", "joblog", "resume", "retries", "server"},
		"pipe":   {"each-line", "delimiter", "block", "files", "jobs", "out", "tag", "joblog", "resume", "retries", "timeout", "server"},
		"work":   {"function", "jobs", "count", "timeout", "shell", "stream", "keep", "dir", "next", "on-fail", "exception", "verbose", "server"},
		"serve":  {"listen", "port", "data", "store", "retry", "keep-results", "memory", "work", "daemon", "log-file", "log-level", "verbose", "pid-file", "user"},
	}
}

var rootEnvironment = []manItem{
	{"GEARMAN_SERVERS, GEARMAN_SERVER", "The servers, separated by commas, unless flags name servers."},
	{"GM_CONTEXT", "The context of the configuration, unless flags or GEARMAN_SERVERS name servers."},
	{"GM_CONFIG", "The configuration file."},
	{"GM_STORE", "The store of gm serve, unless a flag names one. Unlike a flag it does not show a password in the list of processes."},
	{"GEARMAND_PORT", "The port of gm serve, unless a flag names one."},
	{"GM_TUNE", "The word off turns off the tricks by which gm saves time with the current Go runtime; -awake, -yield, -garbage, -procs and -poll turn off one of them."},
	{"NO_COLOR", "Turns colours off, with any value."},
}

var rootFiles = []manItem{
	{"~/.config/gm/config.toml", "The configuration, in $XDG_CONFIG_HOME if that is set: servers = [\"HOST:PORT\", ...] and port = N for all verbs, " +
		"context = \"NAME\", and a table [contexts.NAME] with servers for each named context. Flags and the environment override it."},
}
