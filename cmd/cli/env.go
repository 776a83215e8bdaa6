package cli

import (
	"io"
)

// Env is the environment of one command line: streams, variables and verbs.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer // data; errors of writing are *OutputError
	Stderr io.Writer // messages
	Getenv func(string) string

	Argv    []string    // of dispatch
	verb    string      // the words of the running verb
	Root    *Verb       // the whole table
	Closers []io.Closer // closed when the verb has ended
}
