package cmd

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"gm/cmd/cli"
)

// testEnv returns an environment that prints into the returned buffer, with the
// table of all verbs.
func testEnv(getenv func(string) string) (*env, *bytes.Buffer) {
	var stderr bytes.Buffer
	e := &env{Env: cli.Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &stderr, Getenv: getenv}}
	e.Root = newRoot(e)
	return e, &stderr
}

// eachVerb calls f for every verb that has an action, with its words.
func eachVerb(v *cli.Verb, words []string, f func(words []string, v *cli.Verb)) {
	if !v.HasVerbs() {
		f(words, v)
		return
	}
	for _, sub := range v.Subs() {
		eachVerb(sub, append(words[:len(words):len(words)], sub.Name), f)
	}
}

// TestEmptyValuesAreErrors gives each flag of each verb an empty value, in each of
// the ways to write it.
func TestEmptyValuesAreErrors(t *testing.T) {
	e, _ := testEnv(os.Getenv)
	flags := 0
	eachVerb(e.Root, nil, func(words []string, v *cli.Verb) {
		for _, f := range v.Flags {
			if !cli.TakesValue(f) || cli.OptionalOf(f) != nil || gmProgram.EmptyMeans[cli.FlagNames(f)[0]] != "" {
				continue
			}
			flags++
			for _, name := range cli.FlagNames(f) {
				word := cli.Dashed(name)
				ways := [][]string{{word, ""}}
				if len(name) > 1 {
					ways = append(ways, []string{word + "="})
				}
				for _, way := range ways {
					e, stderr := testEnv(os.Getenv)
					args := append(append([]string{"gm"}, words...), way...)
					code := e.run(context.Background(), args)
					want := "gm: " + strings.Join(words, " ") + ": the value of " + word + " is empty\nhint: "
					if code != cli.ExitUsage || !strings.HasPrefix(stderr.String(), want) {
						t.Errorf("%q: exit code %d, %q, want %d, %q", args, code, stderr, cli.ExitUsage, want)
					}
				}
			}
		}
	})
	if flags < 200 {
		t.Errorf("%d flags were tried, there are more", flags)
	}
}

// TestEmptyArgumentsAreErrors gives each verb without data an empty argument.
func TestEmptyArgumentsAreErrors(t *testing.T) {
	e, _ := testEnv(os.Getenv)
	var data []string
	eachVerb(e.Root, nil, func(words []string, v *cli.Verb) {
		if v.DataArgs {
			data = append(data, strings.Join(words, " "))
			return
		}
		e, stderr := testEnv(os.Getenv)
		code := e.run(context.Background(), append(append([]string{"gm"}, words...), "x", ""))
		want := strings.Join(words, " ") + ": an argument is empty\nhint: "
		if code != cli.ExitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("gm %s x '': exit code %d, %q, want %d, %q", strings.Join(words, " "), code, stderr, cli.ExitUsage, want)
		}
	})
	if got, want := strings.Join(data, ", "), "submit, work, tell warn, tell data"; got != want {
		t.Errorf("verbs whose arguments are data: %s, want %s", got, want)
	}
}

// TestEmptyVariablesAreUnset sets each variable that gm reads to the empty string.
func TestEmptyVariablesAreUnset(t *testing.T) {
	for _, name := range []string{"GEARMAN_SERVERS", "GEARMAN_SERVER", "GM_CONTEXT", "GM_CONFIG", "XDG_CONFIG_HOME", "GM_STORE", "GEARMAND_PORT", "NO_COLOR"} {
		read := false
		e, stderr := testEnv(func(n string) string {
			read = read || n == name
			return ""
		})
		verb := []string{"status"}
		if name == "GM_STORE" || name == "GEARMAND_PORT" {
			verb = []string{"serve", "--check-args"}
		}
		if name == "NO_COLOR" {
			verb = []string{"status", "-s", "127.0.0.1:1"}
		}
		code := e.run(context.Background(), append([]string{"gm"}, verb...))
		if code == cli.ExitUsage {
			t.Errorf("%s empty: exit code %d, %s", name, code, stderr)
		}
		if !read {
			t.Errorf("gm %s does not read %s", strings.Join(verb, " "), name)
		}
	}
}
