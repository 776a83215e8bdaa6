package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// ManVerb returns the verb that shows or writes the manual pages.
func ManVerb(e *Env) *Verb {
	return &Verb{
		Command: &urfave.Command{
			Name:        "man",
			Usage:       "show or write the manual pages",
			ArgsUsage:   "[VERB|TOPIC]",
			Description: `Shows the manual page of gm, of a verb or of a topic. On a terminal it uses man, mandoc or groff, and $PAGER; elsewhere it prints the page in roff. With --dir it writes all pages into a directory: gm.1, gm-VERB.1 and gm-TOPIC.7. If the directory is called man1, the pages of topics go into man7 in the same directory.`,
			Flags: []urfave.Flag{
				&urfave.StringFlag{Name: "dir", Aliases: []string{"d"}, Usage: "write all pages into the directory `DIR`, and create it if necessary"},
			},
			Action: func(c *urfave.Context) error { return e.showManual(c) },
		},
		Examples: []Example{
			{"read a page", "gm man submit"},
			{"install all pages for one user", "gm man --dir ~/.local/share/man/man1"},
			{"a page as plain text", "gm man submit | groff -man -Tutf8 | col -b"},
		},
		Exits: []int{ExitIO},
	}
}

// showManual is the action of man.
func (e *Env) showManual(c *urfave.Context) error {
	if dir := c.String("dir"); dir != "" {
		if err := NoArgs(c); err != nil {
			return err
		}
		return e.writeManPages(dir)
	}
	if c.NArg() > 1 {
		return UsageErrorf("man: %d arguments, want one verb, one topic or none", c.NArg())
	}
	name := c.Args().First()
	if t := e.Root.Program.Topic(name); t != nil {
		return e.showManPage(TopicPage(e.Root, t, buildDate()), func() []byte { return TopicHelp(t) })
	}
	path := []*Verb{e.Root}
	if name != "" {
		v := e.Root.Sub(name)
		if v == nil {
			return UsageErrorf("man: unknown verb or topic %q", name)
		}
		path = append(path, v)
	}
	return e.showManPage(ManPage(path, buildDate()), func() []byte { return FullHelp(path) })
}

// writeManPages writes the pages of all visible verbs and of all topics into a directory.
func (e *Env) writeManPages(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return ExitWith(ExitIO, err)
	}
	paths := [][]*Verb{{e.Root}}
	for _, v := range e.Root.Subs() {
		if !v.Hidden {
			paths = append(paths, []*Verb{e.Root, v})
		}
	}
	for _, path := range paths {
		name := filepath.Join(dir, ManName(path)+".1")
		if err := os.WriteFile(name, ManPage(path, buildDate()), 0o644); err != nil {
			return fmt.Errorf("man: %w", err)
		}
	}
	return e.writeTopicPages(dir)
}

// writeTopicPages writes the pages of all topics into a directory, or into the directory
// man7 next to it if it is called man1.
func (e *Env) writeTopicPages(dir string) error {
	if filepath.Base(dir) == "man1" {
		dir = filepath.Join(filepath.Dir(dir), "man7")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return ExitWith(ExitIO, err)
		}
	}
	for i := range e.Root.Program.Topics {
		t := &e.Root.Program.Topics[i]
		name := filepath.Join(dir, t.PageName()+".7")
		if err := os.WriteFile(name, TopicPage(e.Root, t, buildDate()), 0o644); err != nil {
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

// ManName returns the name of the page of the last verb of path: gm-admin.
func ManName(path []*Verb) string {
	return strings.ReplaceAll(FullName(path), " ", "-")
}

// ManPage returns the manual page of the last verb of path, with its subcommands. The page
// of the root only lists the verbs, because they have pages of their own.
func ManPage(path []*Verb, date string) []byte {
	m := &ManWriter{}
	v := path[len(path)-1]
	m.title(strings.ToUpper(ManName(path)), "1", date, &path[0].Program)
	m.Macro("SH", "NAME")
	m.Text(ManName(path) + " \\- " + Roff(RenameProgram(v.Usage)))
	m.Macro("SH", "SYNOPSIS")
	m.synopsis(path)
	m.Macro("SH", "DESCRIPTION")
	if v.Description == "" {
		m.prose(upperFirst(RenameProgram(v.Usage)) + ".")
	}
	m.paragraphs(RenameProgram(v.Description))
	isRoot := len(path) == 1
	switch {
	case isRoot:
		m.Macro("SH", "COMMANDS")
		m.commands(path)
	case v.HasVerbs():
		m.Macro("SH", "COMMANDS")
		for _, sub := range v.Subs() {
			m.command(append(slices.Clone(path), sub))
		}
	}
	m.Macro("SH", "OPTIONS")
	for _, group := range groupFlags(v, true) {
		m.options(group)
	}
	m.list("ENVIRONMENT", v.Environment)
	m.list("FILES", v.Files)
	m.exitStatus(path)
	m.examples(v)
	m.seeAlso(path)
	return m.Bytes()
}

// ManWriter writes roff with the man macros.
type ManWriter struct{ bytes.Buffer }

// title writes the head of a page. It does not escape the date, which mandoc parses.
func (m *ManWriter) title(name, section, date string, p *Program) {
	fmt.Fprintf(m, ".TH \"%s\" \"%s\" \"%s\" \"gm %s\" \"%s\"\n", Roff(name), section, date, Roff(p.Version()), Roff(p.Manual))
}

// Macro writes a request. Its arguments are plain text.
func (m *ManWriter) Macro(name string, args ...string) {
	m.WriteString("." + name)
	for _, arg := range args {
		fmt.Fprintf(m, ` "%s"`, strings.ReplaceAll(Roff(arg), `"`, `\(dq`))
	}
	m.WriteByte('\n')
}

// Text writes lines of roff. It escapes the beginning of a line that would be a request.
func (m *ManWriter) Text(s string) {
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		m.WriteString(line + "\n")
	}
}

// paragraphs writes a text of several paragraphs.
func (m *ManWriter) paragraphs(text string) {
	for i, p := range paragraphs(text) {
		if i > 0 {
			m.Macro("PP")
		}
		if strings.HasPrefix(p, " ") {
			m.verbatim(p)
			continue
		}
		m.prose(p)
	}
}

// prose writes plain text in lines that fit a screen.
func (m *ManWriter) prose(text string) {
	m.Text(strings.TrimSuffix(Roff(wrap(text, "", "", 66)), "\n"))
}

// verbatim writes lines without filling them.
func (m *ManWriter) verbatim(text string) {
	m.Macro("nf")
	m.Text(Roff(text))
	m.Macro("fi")
}

// synopsis writes the usage line of a verb.
func (m *ManWriter) synopsis(path []*Verb) {
	name, rest := FullName(path), strings.TrimPrefix(usageLine(path), FullName(path))
	m.Text(`\fB` + Roff(name) + `\fR` + Roff(rest))
}

// item writes a paragraph with a tag. The tag is roff, the text is plain.
func (m *ManWriter) item(tag, text string) {
	m.Macro("TP")
	m.Text(tag)
	m.prose(text)
}

// commands writes the list of the verbs of the root.
func (m *ManWriter) commands(path []*Verb) {
	v := path[len(path)-1]
	for _, sub := range v.Subs() {
		if !sub.Hidden {
			m.item(`\fB`+Roff(ManName(append(slices.Clone(path), sub)))+`\fR(1)`, RenameProgram(sub.Usage))
		}
	}
}

// command writes a subcommand that has no page of its own.
func (m *ManWriter) command(path []*Verb) {
	v := path[len(path)-1]
	if v.Hidden {
		return
	}
	m.Macro("SS", v.Name)
	m.synopsis(path)
	m.Macro("PP")
	m.prose(upperFirst(RenameProgram(v.Usage)) + ".")
	if v.Description != "" {
		m.Macro("PP")
		m.paragraphs(RenameProgram(v.Description))
	}
	parent := path[len(path)-2]
	for _, group := range FlagGroups(v) {
		for _, f := range group.Flags {
			if parent.Flag(f.Names[len(f.Names)-1]) == nil && !slices.Contains(f.Names, "help") {
				m.option(f)
			}
		}
	}
}

// options writes the flags of a category.
func (m *ManWriter) options(group flagGroup) {
	m.Macro("SS", group.title)
	for _, f := range group.Flags {
		m.option(f)
	}
}

// option writes a flag.
func (m *ManWriter) option(f flagDoc) {
	var words []string
	for _, name := range f.Names {
		words = append(words, `\fB`+Roff(Dashed(name))+`\fR`)
	}
	tag := strings.Join(words, ", ")
	switch {
	case f.Value != "":
		tag += ` \fI` + Roff(f.Value) + `\fR`
	case f.optional != "":
		tag += `[=\fI` + Roff(f.optional) + `\fR]`
	}
	m.item(tag, f.Text)
}

// list writes a section of items, if there are any.
func (m *ManWriter) list(title string, items []ManItem) {
	if len(items) == 0 {
		return
	}
	m.Macro("SH", title)
	for _, item := range items {
		m.item(`\fB`+Roff(item.Name)+`\fR`, RenameProgram(item.Text))
	}
}

// exitStatus writes the section of the exit codes.
func (m *ManWriter) exitStatus(path []*Verb) {
	var items []ManItem
	for _, code := range exitCodes(path) {
		items = append(items, ManItem{code.name, code.text})
	}
	m.list("EXIT STATUS", items)
}

// examples writes the section of the examples.
func (m *ManWriter) examples(v *Verb) {
	if len(v.Examples) == 0 {
		return
	}
	m.Macro("SH", "EXAMPLES")
	for i, x := range v.Examples {
		if i > 0 {
			m.Macro("PP")
		}
		m.prose(upperFirst(RenameProgram(x.What)) + ":")
		m.Macro("PP")
		m.verbatim("    " + strings.ReplaceAll(RenameProgram(x.Line), "\n", "\n    "))
	}
}

// seeAlso writes the section that names the other pages.
func (m *ManWriter) seeAlso(path []*Verb) {
	root, v := path[0], path[len(path)-1]
	var pages []string
	if v != root {
		pages = append(pages, `\fB`+root.Name+`\fR(1)`)
	}
	for _, other := range root.Subs() {
		if other != v && v != root && !other.Hidden {
			pages = append(pages, `\fB`+Roff(ManName([]*Verb{root, other}))+`\fR(1)`)
		}
	}
	for _, t := range topicsOf(root, v) {
		pages = append(pages, `\fB`+Roff(t.PageName())+`\fR(7)`)
	}
	if len(pages) > 0 {
		m.Macro("SH", "SEE ALSO")
		m.Text(strings.Join(pages, ",\n"))
	}
}

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// Roff escapes plain text for roff.
func Roff(text string) string { return roffEscapes.Replace(text) }
