package runner

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KeptArgs is a command line for a [Keeper], with the flags and variables that make a
// known program answer immediately.
type KeptArgs struct {
	Args []string
	Env  []string // additional variables
	// Hint is a change that only the author of the command can make; empty if none is
	// known to be needed.
	Hint string
}

// perlUnbuffered is a flag of perl that makes stdout unbuffered: the module
// strict is not used, and the code that follows runs first.
const perlUnbuffered = "-M-strict;BEGIN{$|=1}"

// AdaptKept returns a command line with which programs answer each line immediately,
// although their output is a pipe: mawk, jq, sed, grep and perl get a flag, python a
// variable. gawk and other awks, ruby, small text tools and shell scripts with mawk need
// a change by their author, and get a Hint. The program is found in $PATH, through
// symbolic links such as /etc/alternatives/awk, through env, nice, stdbuf and similar
// programs, and in the first line of a script.
func AdaptKept(args []string, shell bool) KeptArgs {
	k := KeptArgs{Args: args}
	if _, set := os.LookupEnv("PYTHONUNBUFFERED"); !set {
		k.Env = append(k.Env, "PYTHONUNBUFFERED=1") // also for scripts and wrappers of python
	}
	if shell {
		k.Hint = shellHint(strings.Join(args, " "))
		return k
	}
	at, wrapped := skipWrappers(args)
	if at == len(args) {
		return k
	}
	if script := shellScript(args[at:]); script != "" {
		k.Hint = shellHint(script)
		return k
	}
	program, inScript := identify(args[at])
	if program == "busybox" && at+1 < len(args) {
		at++
		program = "busybox " + filepath.Base(args[at])
	}
	k.adapt(program, at, inScript, slices.Contains(wrapped, "stdbuf"))
	return k
}

// adapt adds the flags and variables of a program. inScript means that the program is
// named in the first line of a script, and accepts no more flags.
func (k *KeptArgs) adapt(program string, at int, inScript, stdbuf bool) {
	rest := k.Args[at+1:]
	insert := func(flags ...string) {
		switch {
		case slices.Contains(rest, flags[len(flags)-1]):
		case inScript:
			k.Hint = "add " + strings.Join(flags, " ") + " to the first line of " + k.Args[at]
		default:
			k.Args = slices.Insert(slices.Clone(k.Args), at+1, flags...)
		}
	}
	switch program {
	case "mawk":
		insert("-W", "interactive")
	case "gawk", "original-awk", "nawk", "bwk", "awk", "busybox awk":
		if !mention(rest, "fflush") {
			k.Hint = "awk holds its output in a buffer: call fflush() after each answer"
		}
	case "jq":
		insert("--unbuffered")
	case "sed":
		if runtime.GOOS == "linux" {
			insert("-u")
		} else {
			insert("-l")
		}
	case "grep", "egrep", "fgrep":
		insert("--line-buffered")
	case "perl":
		if inScript {
			k.Env = append(k.Env, "PERL5OPT="+strings.TrimSpace(os.Getenv("PERL5OPT")+" "+perlUnbuffered))
		} else {
			insert(perlUnbuffered)
		}
	case "ruby":
		if !mention(k.Args[at:], "sync") && !mention(k.Args[at:], "flush") {
			k.Hint = "ruby holds its output in a buffer: $stdout.sync = true"
		}
	case "tr", "cut", "rev", "paste", "fold", "nl", "uniq", "expand", "busybox sed", "busybox tr", "busybox cut":
		if !stdbuf {
			k.Hint = program + " holds its output in a buffer: put stdbuf -oL before it"
		}
	}
}

// wrappers are programs that run the program that their arguments name.
var wrappers = []string{"env", "nice", "ionice", "nohup", "setsid", "stdbuf", "chrt", "taskset", "time"}

// skipWrappers returns the index of the program that does the work, and the
// wrappers before it.
func skipWrappers(args []string) (at int, wrapped []string) {
	for at < len(args) && slices.Contains(wrappers, filepath.Base(args[at])) {
		wrapped = append(wrapped, filepath.Base(args[at]))
		for at++; at < len(args); at++ {
			_, err := strconv.Atoi(args[at])
			if !strings.HasPrefix(args[at], "-") && !strings.Contains(args[at], "=") && err != nil {
				break
			}
		}
	}
	return at, wrapped
}

// identify returns the plain name of a program: python for python3.11, mawk for awk if
// that is mawk. inScript means that it is the interpreter of a script.
func identify(name string) (program string, inScript bool) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	switch base := plainName(path); base {
	case "python", "perl", "ruby", "node", "sed", "jq", "mawk", "gawk", "busybox":
		return base, false
	case "awk":
		return awkKind(path), false
	default:
		if interpreter := firstLine(path); interpreter != "" {
			program, nested := identify(interpreter)
			return program, !nested
		}
		return base, false
	}
}

// plainName returns the name of a file without a version at its end.
func plainName(path string) string {
	base := filepath.Base(path)
	if plain := strings.TrimRight(base, "0123456789.-"); plain != "" {
		base = plain
	}
	switch base {
	case "pypy":
		return "python"
	case "nodejs":
		return "node"
	}
	return base
}

// awkKind returns mawk or awk for a program with the name awk.
func awkKind(path string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, path, "-W", "version").CombinedOutput() // most answer with an error
	if bytes.HasPrefix(bytes.ToLower(out), []byte("mawk")) {
		return "mawk"
	}
	return "awk"
}

// firstLine returns the interpreter in the first line of a script, "" if the file is
// not a script. For "#!/usr/bin/env -S perl -w" it is perl.
func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var b [256]byte
	n, _ := io.ReadFull(f, b[:])
	line, ok := bytes.CutPrefix(b[:n], []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	if at, _ := skipWrappers(words); at < len(words) {
		return words[at]
	}
	return ""
}

// mention reports whether a word is in an argument, or in a file that an argument
// names.
func mention(args []string, word string) bool {
	const most = 1 << 20
	for _, arg := range args {
		if strings.Contains(arg, word) {
			return true
		}
		if info, err := os.Stat(arg); err == nil && info.Mode().IsRegular() && info.Size() <= most {
			if text, err := os.ReadFile(arg); err == nil && bytes.Contains(text, []byte(word)) {
				return true
			}
		}
	}
	return false
}

// shellHint returns a hint for a shell script that runs mawk, which reads no line before
// its buffer is full.
func shellHint(script string) string {
	for _, word := range strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune(" \t\n;|&(){}'\"`$", r) }) {
		if base := filepath.Base(word); base != "awk" && base != "mawk" {
			continue
		}
		if program, _ := identify(word); program == "mawk" && !strings.Contains(script, "interactive") {
			return "mawk reads until its buffer is full: " + word + " -W interactive"
		}
	}
	return ""
}

// shellScript returns the script of a command line such as sh -c SCRIPT, "" for other
// command lines.
func shellScript(args []string) string {
	switch filepath.Base(args[0]) {
	case "sh", "bash", "dash", "ksh", "zsh":
		if at := slices.Index(args, "-c"); at > 0 && at+1 < len(args) {
			return args[at+1]
		}
	}
	return ""
}
