package cmd

import (
	"slices"
	"strings"
	"testing"

	"gm/cmd/cli"
)

// argsTable is a command table with every kind of flag.
func argsTable() *cli.Verb {
	flags := func() []cli.Flag {
		return []cli.Flag{
			&cli.StringSliceFlag{Name: "server", Aliases: []string{"s"}},
			&cli.StringFlag{Name: "function", Aliases: []string{"f"}},
			&cli.BoolFlag{Name: "background", Aliases: []string{"b"}},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}},
			&cli.BoolFlag{Name: "null", Aliases: []string{"0"}},
			cli.DurationFlag(0, cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}}),
		}
	}
	leaf := func(name string) *cli.Verb {
		return &cli.Verb{Command: &cli.Command{Name: name, Flags: flags()}}
	}
	work := leaf("work")
	work.ArgsEndFlags = true
	admin := &cli.Verb{Command: &cli.Command{Name: "admin", Flags: flags()[:1]}, Verbs: []*cli.Verb{leaf("create"), leaf("drop")}}
	version := &cli.Verb{Command: &cli.Command{Name: "version"}}
	return &cli.Verb{
		Command: &cli.Command{Name: "gm", Flags: flags()[:1]},
		Verbs:   []*cli.Verb{leaf("submit"), work, admin, version},
	}
}

// argv writes a call in the order of its parts.
func argvOf(c *cli.Call) []string {
	var argv []string
	for _, v := range c.Path {
		argv = append(argv, v.Name)
	}
	for _, f := range c.Flags {
		argv = append(argv, "--"+f.Name+"="+f.Value)
	}
	return append(append(argv, "--"), c.Args...)
}

func TestParseArgs(t *testing.T) {
	tests := []struct{ line, want string }{
		{"submit", "gm submit --"},
		{"submit -f x data", "gm submit --function=x -- data"},
		{"submit data -f x", "gm submit --function=x -- data"},
		{"submit data -f x more -b", "gm submit --function=x --background=true -- data more"},
		{"submit --function=x", "gm submit --function=x --"},
		{"submit --background=false", "gm submit --background=false --"},
		{"submit -fx", "gm submit --function=x --"},
		{"submit -f=x", "gm submit --function=x --"},
		{"submit -bq", "gm submit --background=true --quiet=true --"},
		{"submit -bqf x y", "gm submit --background=true --quiet=true --function=x -- y"},
		{"submit -bqfx y", "gm submit --background=true --quiet=true --function=x -- y"},
		{"submit -f -b", "gm submit --function=-b --"},
		{"submit -f -- -b", "gm submit --function=-- --background=true --"},
		{"submit -- -f x", "gm submit -- -f x"},
		{"submit a -- -f x -- y", "gm submit -- a -f x -- y"},
		{"submit -", "gm submit -- -"},
		{"submit - -b", "gm submit --background=true -- -"},
		{"submit -5 -1.5 -.5", "gm submit -- -5 -1.5 -.5"},
		{"submit -0 -5", "gm submit --null=true -- -5"},
		{"submit -t 10", "gm submit --timeout=10 --"},
		{"-s a submit -s b", "gm submit --server=a --server=b --"},
		{"--server=a submit", "gm submit --server=a --"},
		{"admin -s a create f", "gm admin create --server=a -- f"},
		{"-s a admin create f -s b", "gm admin create --server=a --server=b -- f"},
		{"work -f x sh -c wc", "gm work --function=x -- sh -c wc"},
		{"work -f x -- sh -c wc", "gm work --function=x -- sh -c wc"},
		{"work -f x env -- a", "gm work --function=x -- env -- a"},
		{"work -b -f x sh -b --help", "gm work --background=true --function=x -- sh -b --help"},
		{"submit -h", "help: gm submit"},
		{"submit data --help", "help: gm submit"},
		{"-h", "help: gm"},
		{"help", "help: gm"},
		{"help submit", "help: gm submit"},
		{"help admin create", "help: gm admin create"},
		{"admin --help drop", "help: gm admin drop"},
		{"--version", "version"},
		{"", "gm --"},

		{"submit --function= x", "submit: the value of --function is empty (a variable may be unset; without the flag its default applies)"},
		{"submti", `unknown verb "submti" (did you mean submit?)`},
		{"frobnicate", `unknown verb "frobnicate" (gm help lists them)`},
		{"admin craete", `unknown admin command "craete" (did you mean create?)`},
		{"admin help", `unknown admin command "help" (gm help admin lists them)`},
		{"submit --fucntion x", "submit: unknown flag --fucntion (did you mean --function?)"},
		{"submit data --backgroud", "submit: unknown flag --backgroud (did you mean --background?)"},
		{"submit data -x", "submit: unknown flag -x (gm help submit lists the flags; -- ends the flags before data that begins with -)"},
		{"submit -bx", "submit: unknown flag -x (gm help submit lists the flags; -- ends the flags before data that begins with -)"},
		{"submit --version", "submit: unknown flag --version (gm help submit lists the flags; -- ends the flags before data that begins with -)"},
		{"submit --f x", "submit: unknown flag --f (gm help submit lists the flags; -- ends the flags before data that begins with -)"},
		{"submit -f", "flag -f needs a value"},
		{"submit data --function", "flag --function needs a value"},
		{"-s a version", "version: unknown flag -s (gm help version lists the flags; -- ends the flags before data that begins with -)"},
		{"-f x submit", "unknown flag -f (gm help lists the flags)"},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			got := parsed(cli.ParseArgs(argsTable(), strings.Fields(test.line)))
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// parsed writes the outcome of cli.ParseArgs in a line.
func parsed(c *cli.Call, err error) string {
	switch {
	case err != nil:
		if hint := hintFor(err); hint != "" {
			return err.Error() + " (" + hint + ")"
		}
		return err.Error()
	case c.Version:
		return "version"
	case c.Help:
		return "help: " + cli.FullName(c.Path)
	}
	return strings.Join(argvOf(c), " ")
}

// FuzzParseArgs checks that no word is lost: the parsed call, written as a command line,
// parses to the same call, and errors are usage errors.
func FuzzParseArgs(f *testing.F) {
	for _, line := range []string{
		"submit -f x data", "submit data -bqfx -- -y", "work -f x sh -c wc", "admin -s a create -5",
		"-s a submit - --timeout=5", "submit --", "help submit", "submit -é", "submit -\xff",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		first, err := cli.ParseArgs(argsTable(), words)
		if err != nil {
			if code := exitCode(err); code != cli.ExitUsage {
				t.Fatalf("exit code %d of %v, want %d", code, err, cli.ExitUsage)
			}
			return
		}
		if first.Help || first.Version {
			return
		}
		argv := argvOf(first)
		second, err := cli.ParseArgs(argsTable(), argv[1:])
		if first.Verb().HasVerbs() {
			return
		}
		if err != nil {
			t.Fatalf("parse %q again, from %q: %v", argv, words, err)
		}
		if again := argvOf(second); !slices.Equal(argv, again) {
			t.Fatalf("parse %q: %q, and again %q", words, argv, again)
		}
		for _, arg := range first.Args {
			if !slices.Contains(words, arg) {
				t.Fatalf("argument %q does not stand in %q", arg, words)
			}
		}
	})
}

func TestNearest(t *testing.T) {
	names := []string{"submit", "status", "serve", "work", "workers", "-s"}
	tests := []struct{ word, want string }{
		{"sumbit", "submit"},
		{"stauts", "status"},
		{"wrok", "work"},
		{"worker", "workers"},
		{"server", "serve"},
		{"completely", ""},
		{"", ""},
		{"x", ""},
	}
	for _, test := range tests {
		if got := cli.Nearest(test.word, names); got != test.want {
			t.Errorf("nearest(%q) = %q, want %q", test.word, got, test.want)
		}
	}
}
