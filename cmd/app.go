// Package cmd is the command line of gm: a table of verbs, with a file for each. It is
// the only package that prints, colours and chooses exit codes.
//
// A verb is a function from the environment of a run ([cli.Env], in env.go) to a
// [cli.Verb]: flags, help and an action. An action turns its flags into the configuration
// of another package, makes one call, and prints the answer. It starts no goroutine and
// knows no protocol. It returns an error; exitcode.go chooses the exit code and the hint
// of an error that has none.
//
// Some files belong to several verbs: servers.go and config.go find the servers,
// answers.go reports those that fail, handles.go reads handles, records.go and
// records_flags.go run submit, map and pipe. sql.go has a help text on databases.
// Package cli has the rest: arguments, help, manual pages, completions, tables and
// messages.
package cmd

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"

	"gm/cmd/cli"
	"gm/pkg/runner"
)

// verbs lists every verb, in the order in which help lists them. A run of gm makes
// only the verbs that it needs.
var verbs = []struct {
	name string
	make func(*env) *cli.Verb
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
	{"outbox", outboxVerb},
	{"admin", adminVerb},
	{"ping", pingVerb},
	{"completion", func(e *env) *cli.Verb { return cli.CompletionVerb(&e.Env, completionQueries) }},
	{"man", func(e *env) *cli.Verb { return cli.ManVerb(&e.Env) }},
	{"version", versionVerb},
}

// Main runs gm with the arguments of a process, the program's name first, and
// returns its exit code.
func Main(args []string) int {
	if len(args) == 3 && args[1] == guardJobs {
		runner.RunGuard(args[2])
		return cli.ExitOK
	}
	cli.InheritIgnored()
	cli.ProgramName = cli.NameOf(args[0])
	e := &env{Env: cli.Env{
		Stdin:  os.Stdin,
		Stdout: &cli.Output{Writer: os.Stdout},
		Stderr: os.Stderr,
		Getenv: os.Getenv,
	}}
	return e.run(context.Background(), args)
}

// run executes one command line and reports its error on stderr.
func (e *env) run(ctx context.Context, args []string) int {
	var err error
	if slices.Equal(args[1:], []string{"--version"}) {
		err = e.PrintLine(cli.ProgramName + " " + Version()) // scripts ask it first; it needs no table
	} else {
		e.Root = newRoot(e)
		err = e.Dispatch(ctx, args[1:])
	}
	for _, c := range e.Closers {
		err = errors.Join(err, c.Close())
	}
	return e.Report(err, exitCode(err), hintFor(err))
}

func newRoot(e *env) *cli.Verb {
	root := &cli.Verb{Command: &cli.Command{
		Name:  cli.ProgramName,
		Usage: "a Gearman job server, worker, client and administrator",
		Description: `Flags may stand before or after the verb and its arguments; -- ends them. stdout has data: aligned columns on a terminal, columns separated by tabs elsewhere. Everything else goes to stderr.

gm VERB -h shows the most used flags of a verb on one screen, gm help VERB everything, and gm man VERB the manual page.`,
		Flags: append(e.connFlags(), cli.CommonFlags()...),
	}, Program: gmProgram, Environment: rootEnvironment, Files: rootFiles}
	root.Table = make([]cli.NewVerb, len(verbs))
	mostUsed := mostUsedFlags()
	for i, v := range verbs {
		root.Table[i] = cli.NewVerb{Name: v.name, Make: func() *cli.Verb {
			made := v.make(e)
			made.MostUsed = mostUsed[v.name]
			return made
		}}
	}
	root.Examples = []cli.Example{
		{What: "a server that is also a worker", Line: "gm serve --work reverse=rev"},
		{What: "a job for it", Line: "echo hello | gm submit -f reverse"},
		{What: "the queues, updated every two seconds", Line: "gm status --watch"},
	}
	root.Exits = slices.Collect(maps.Keys(exitTexts))
	return root
}

// mostUsedFlags returns the flags that -h shows of a verb whose flags do not fit on one
// screen. Of other verbs it shows the first ones.
func mostUsedFlags() map[string][]string {
	return map[string][]string{
		"submit": {"function", "background", "unique", "high", "timeout", "in", "each-line", "files", "jobs", "keep-order", "out", "joblog", "resume", "retries", "server"},
		"map":    {"function", "reduce", "each-line", "delimiter", "block", "files", "jobs", "unordered", "out", "tag", "joblog", "resume", "retries", "server"},
		"pipe":   {"each-line", "delimiter", "block", "files", "jobs", "out", "tag", "joblog", "resume", "retries", "timeout", "server"},
		"work":   {"function", "jobs", "count", "timeout", "shell", "stream", "keep", "dir", "next", "on-fail", "exception", "verbose", "server"},
		"serve":  {"listen", "port", "data", "store", "retry", "keep-results", "memory", "work", "daemon", "log-file", "log-level", "verbose", "pid-file", "user"},
	}
}

// gmProgram describes gm to package cli.
var gmProgram = cli.Program{
	Version: Version, Manual: "Gearman", ExitTexts: exitTexts, Completion: completionWords,
	Topics: []cli.Topic{sqlTopic},
	EmptyMeans: map[string]string{
		"end":            "nothing is added to a result",
		"mysql-password": "no password, as with gearmand",
		"redis-password": "no password, as with gearmand",
	},
}

// completionQueries is a sentence in the help of gm completion.
const completionQueries = "It gets the names of functions and handles from the server that the command line names, in at most 0.3 s."

// completionWords returns the values that completions propose.
func completionWords() *cli.Completion {
	return &cli.Completion{
		Choices: map[string][]string{
			"color":         {"auto", "always", "never"},
			"output":        {"table", "tsv", "json", "jsonl"},
			"submit output": {"json", "jsonl"}, // results are no rows
			"map output":    {"json", "jsonl"},
			"pipe output":   {"json", "jsonl"},
			"progress":      {"json"},
			"state":         {"waiting", "delayed", "running", "dead"},
			"sync":          {"always", "interval", "never"},
			"next-priority": {"high", "normal", "low", "same"},
			"halt":          {"never", "now,fail=1", "soon,fail=1", "soon,fail=10%"},
			"on":            {"insert", "update", "delete"},
			"for":           {"postgres", "mysql"},
			"job-priority":  {"high", "normal", "low"},
			"log-level":     {"debug", "info", "warn", "error"},
			"log-format":    {"text", "json"},
		},
		Queries: []cli.CompQuery{
			{Kind: "functions", Value: "FUNC", Args: "status -o tsv -t 300", Field: 1},
			{Kind: "handles", Value: "HANDLE", Args: "jobs -o tsv -t 300", Field: 2},
			{Kind: kindDead, Args: "jobs --dead -o tsv -t 300", Field: 2},
		},
		QueryFlags: []string{"server", "port", "context"},
		Sections:   cli.CompSections{Kind: "contexts", Flag: "context", Table: "contexts", Variable: "GM_CONFIG", Default: "gm/config.toml"},
		URLs: cli.CompURLs{
			Kind: "stores", Value: "URL", Dirs: []string{"disk:"}, Files: []string{"sqlite:", "tokyocabinet:"},
			Other: []string{"postgres://", "mysql://", "redis://", "memcached://"},
		},
	}
}

var rootEnvironment = []cli.ManItem{
	{Name: "GEARMAN_SERVERS, GEARMAN_SERVER", Text: "The servers, separated by commas, unless flags name servers."},
	{Name: "GM_CONTEXT", Text: "The context of the configuration, unless flags or GEARMAN_SERVERS name servers."},
	{Name: "GM_CONFIG", Text: "The configuration file."},
	{Name: "GM_STORE", Text: "The store of gm serve, unless a flag names one. Unlike a flag it does not show a password in the list of processes."},
	{Name: "GM_OUTBOX", Text: "The outbox of gm outbox and gm serve, unless an argument or a flag names one. It does not show a password in the list of processes."},
	{Name: "GEARMAND_PORT", Text: "The port of gm serve, unless a flag names one."},
	{Name: "GM_TUNE", Text: "The word off turns off the tricks by which gm saves time with the current Go runtime; -awake, -yield, -garbage, -procs and -poll turn off one of them."},
	{Name: "NO_COLOR", Text: "Turns colours off, with any value."},
}

var rootFiles = []cli.ManItem{
	{Name: "~/.config/gm/config.toml", Text: "The configuration, in $XDG_CONFIG_HOME if that is set: servers = [\"HOST:PORT\", ...] and port = N for all verbs, " +
		"context = \"NAME\", and a table [contexts.NAME] with servers for each named context. Flags and the environment override it."},
}
