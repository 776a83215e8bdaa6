package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func manVerb(e *cliEnv) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "man",
			Usage:       "show or write the manual pages",
			ArgsUsage:   "[VERB]",
			Description: `Shows the manual page of gm or of a verb. On a terminal it uses man, mandoc or groff, and $PAGER; elsewhere it prints the page in roff. With --dir it writes all pages into a directory: gm.1 and gm-VERB.1.`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "dir", Aliases: []string{"d"}, Usage: "write all pages into the directory `DIR`, and create it if necessary"},
			},
			Action: func(c *cli.Context) error { return e.man(c) },
		},
		examples: []example{
			{"read a page", "gm man submit"},
			{"install all pages for one user", "gm man --dir ~/.local/share/man/man1"},
			{"a page as plain text", "gm man submit | groff -man -Tutf8 | col -b"},
		},
		exits: []int{exitIO},
	}
}

// man is the verb's action.
func (e *cliEnv) man(c *cli.Context) error {
	if dir := c.String("dir"); dir != "" {
		if err := noArgs(c); err != nil {
			return err
		}
		return e.writeManPages(dir)
	}
	path := []*verb{e.root}
	if c.NArg() > 1 {
		return usageErrorf("man: %d arguments, want one verb or none", c.NArg())
	}
	if name := c.Args().First(); name != "" {
		v := e.root.sub(name)
		if v == nil {
			return usageErrorf("man: unknown verb %q", name)
		}
		path = append(path, v)
	}
	page := manPage(path, buildDate())
	if columns, _ := terminalSize(e.stdout); columns > 0 {
		return e.showManPage(page, path)
	}
	_, err := e.stdout.Write(page)
	return err
}

func (e *cliEnv) writeManPages(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return exitWith(exitIO, err)
	}
	paths := [][]*verb{{e.root}}
	for _, v := range e.root.subs() {
		if !v.Hidden {
			paths = append(paths, []*verb{e.root, v})
		}
	}
	for _, path := range paths {
		name := filepath.Join(dir, manName(path)+".1")
		if err := os.WriteFile(name, manPage(path, buildDate()), 0o644); err != nil {
			return fmt.Errorf("man: %w", err)
		}
	}
	return nil
}

// buildDate returns the day of the revision that this binary was built from.
func buildDate() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			day, _, _ := strings.Cut(s.Value, "T")
			return day
		}
	}
	return ""
}

func manName(path []*verb) string {
	return strings.ReplaceAll(fullName(path), " ", "-")
}

// manPage returns the page of the last verb of path, with its subcommands. The page of the
// root only lists the verbs, which have pages of their own.
func manPage(path []*verb, date string) []byte {
	m := &manWriter{}
	v := path[len(path)-1]
	m.title(strings.ToUpper(manName(path)), date, path[0].version())
	m.macro("SH", "NAME")
	m.text(manName(path) + " \\- " + roff(renameProgram(v.Usage)))
	m.macro("SH", "SYNOPSIS")
	m.synopsis(path)
	m.macro("SH", "DESCRIPTION")
	if v.Description == "" {
		m.prose(upperFirst(renameProgram(v.Usage)) + ".")
	}
	m.paragraphs(renameProgram(v.Description))
	isRoot := len(path) == 1
	switch {
	case isRoot:
		m.macro("SH", "COMMANDS")
		m.commands(path)
	case v.hasVerbs():
		m.macro("SH", "COMMANDS")
		for _, sub := range v.subs() {
			m.command(append(slices.Clone(path), sub))
		}
	}
	m.macro("SH", "OPTIONS")
	for _, group := range groupFlags(v, true) {
		m.options(group)
	}
	m.list("ENVIRONMENT", v.environment)
	m.list("FILES", v.files)
	m.exitStatus(v)
	m.examples(v)
	m.seeAlso(path)
	return m.Bytes()
}

// A manItem is a term of a manual page and its explanation.
type manItem struct{ name, text string }

// manWriter writes roff with the man macros.
type manWriter struct{ bytes.Buffer }

// title writes the head of a page. The date is not escaped: mandoc reads it.
func (m *manWriter) title(name, date, version string) {
	fmt.Fprintf(m, ".TH \"%s\" \"1\" \"%s\" \"gm %s\" \"Gearman\"\n", roff(name), date, roff(version))
}

// macro writes a request; its arguments are plain text.
func (m *manWriter) macro(name string, args ...string) {
	m.WriteString("." + name)
	for _, arg := range args {
		fmt.Fprintf(m, ` "%s"`, strings.ReplaceAll(roff(arg), `"`, `\(dq`))
	}
	m.WriteByte('\n')
}

// text writes lines of roff, none of which can be read as a request.
func (m *manWriter) text(s string) {
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		m.WriteString(line + "\n")
	}
}

func (m *manWriter) paragraphs(text string) {
	for i, p := range paragraphs(text) {
		if i > 0 {
			m.macro("PP")
		}
		if strings.HasPrefix(p, " ") {
			m.verbatim(p)
			continue
		}
		m.prose(p)
	}
}

// prose writes plain text in lines that fit a screen.
func (m *manWriter) prose(text string) {
	m.text(strings.TrimSuffix(roff(wrap(text, "", "", 66)), "\n"))
}

// verbatim writes lines without filling them.
func (m *manWriter) verbatim(text string) {
	m.macro("nf")
	m.text(roff(text))
	m.macro("fi")
}

func (m *manWriter) synopsis(path []*verb) {
	name, rest := fullName(path), strings.TrimPrefix(usageLine(path), fullName(path))
	m.text(`\fB` + roff(name) + `\fR` + roff(rest))
}

// item writes a paragraph with a tag; tag is roff.
func (m *manWriter) item(tag, text string) {
	m.macro("TP")
	m.text(tag)
	m.prose(text)
}

func (m *manWriter) commands(path []*verb) {
	v := path[len(path)-1]
	for _, sub := range v.subs() {
		if !sub.Hidden {
			m.item(`\fB`+roff(manName(append(slices.Clone(path), sub)))+`\fR(1)`, renameProgram(sub.Usage))
		}
	}
}

// command writes a subcommand that has no page of its own.
func (m *manWriter) command(path []*verb) {
	v := path[len(path)-1]
	if v.Hidden {
		return
	}
	m.macro("SS", v.Name)
	m.synopsis(path)
	m.macro("PP")
	m.prose(upperFirst(renameProgram(v.Usage)) + ".")
	if v.Description != "" {
		m.macro("PP")
		m.paragraphs(renameProgram(v.Description))
	}
	parent := path[len(path)-2]
	for _, group := range flagGroups(v) {
		for _, f := range group.flags {
			if parent.flag(f.names[len(f.names)-1]) == nil && !slices.Contains(f.names, "help") {
				m.option(f)
			}
		}
	}
}

func (m *manWriter) options(group flagGroup) {
	m.macro("SS", group.title)
	for _, f := range group.flags {
		m.option(f)
	}
}

func (m *manWriter) option(f flagDoc) {
	var words []string
	for _, name := range f.names {
		words = append(words, `\fB`+roff(dashed(name))+`\fR`)
	}
	tag := strings.Join(words, ", ")
	switch {
	case f.value != "":
		tag += ` \fI` + roff(f.value) + `\fR`
	case f.optional != "":
		tag += `[=\fI` + roff(f.optional) + `\fR]`
	}
	m.item(tag, f.text)
}

func (m *manWriter) list(title string, items []manItem) {
	if len(items) == 0 {
		return
	}
	m.macro("SH", title)
	for _, item := range items {
		m.item(`\fB`+roff(item.name)+`\fR`, renameProgram(item.text))
	}
}

func (m *manWriter) exitStatus(v *verb) {
	var items []manItem
	for _, code := range exitCodes(v) {
		items = append(items, manItem(code))
	}
	m.list("EXIT STATUS", items)
}

func (m *manWriter) examples(v *verb) {
	if len(v.examples) == 0 {
		return
	}
	m.macro("SH", "EXAMPLES")
	for i, x := range v.examples {
		if i > 0 {
			m.macro("PP")
		}
		m.prose(upperFirst(renameProgram(x.what)) + ":")
		m.macro("PP")
		m.verbatim("    " + strings.ReplaceAll(renameProgram(x.line), "\n", "\n    "))
	}
}

func (m *manWriter) seeAlso(path []*verb) {
	root, v := path[0], path[len(path)-1]
	var pages []string
	if v != root {
		pages = append(pages, `\fB`+root.Name+`\fR(1)`)
	}
	for _, other := range root.subs() {
		if other != v && v != root && !other.Hidden {
			pages = append(pages, `\fB`+roff(manName([]*verb{root, other}))+`\fR(1)`)
		}
	}
	if len(pages) > 0 {
		m.macro("SH", "SEE ALSO")
		m.text(strings.Join(pages, ",\n"))
	}
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// roff escapes plain text for roff.
func roff(text string) string { return roffEscapes.Replace(text) }

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
