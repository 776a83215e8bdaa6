// Command english counts phrases in the project's prose that make a reader read
// a sentence twice, and compares the counts with ceilings.
//
// It reads the comments of Go files, the string literals of Go files that are not
// tests (help texts, errors, log lines), the comments of shell scripts and of the
// Makefile, and the Markdown at the root. Code in any of these is left out.
//
// The file scripts/english/ceilings has one line for each package: its path and the
// number of sentences with a finding that it may have. A package without a line may
// have none. A package with more than its ceiling fails, and so does one with fewer,
// so that the ceiling comes down with it. The flag -update lowers the ceilings and
// never raises one; it gives a new package a ceiling only if others lost as much.
//
//	go run ./scripts/english           # compare
//	go run ./scripts/english -v        # list each finding too
//	go run ./scripts/english -v -only pkg/wire
//	go run ./scripts/english -update   # lower the ceilings
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	var opts options
	flag.StringVar(&opts.root, "root", ".", "the root of the repository")
	flag.BoolVar(&opts.update, "update", false, "lower the ceilings to the counts")
	flag.BoolVar(&opts.list, "v", false, "list each finding")
	flag.StringVar(&opts.only, "only", "", "list the findings of one package")
	flag.Parse()
	if err := run(os.Stdout, opts); err != nil {
		fmt.Fprintln(os.Stderr, "english:", err)
		os.Exit(1)
	}
}

// options are the flags of the command.
type options struct {
	root   string
	update bool
	list   bool
	only   string
}

// run counts the findings below the root, prints them, and returns an error if a
// package differs from its ceiling.
func run(out io.Writer, opts options) error {
	all, err := readProse(opts.root)
	if err != nil {
		return err
	}
	name := filepath.Join(opts.root, "scripts", "english", "ceilings")
	limits, err := readCeilings(name)
	if err != nil {
		return err
	}
	counts := countFindings(all, func(s sentence, names []string) {
		if opts.list && (opts.only == "" || opts.only == s.pkg) {
			fmt.Fprintf(out, "%s:%d: %s: %s\n", s.file, s.line, strings.Join(names, ", "), s.text)
		}
	})
	printTotal(out, counts)
	if opts.update {
		limits = lowerCeilings(limits, counts)
		if err := writeCeilings(name, limits); err != nil {
			return err
		}
	}
	return compareCeilings(limits, counts)
}

// printTotal prints the sentences, the findings and their share over all packages.
func printTotal(out io.Writer, counts map[string]count) {
	var total count
	for _, c := range counts {
		total.sentences += c.sentences
		total.findings += c.findings
	}
	percent := 0.0
	if total.sentences > 0 {
		percent = 100 * float64(total.findings) / float64(total.sentences)
	}
	fmt.Fprintf(out, "english: %d sentences, %d findings, %.1f %%\n", total.sentences, total.findings, percent)
}
