package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// helpWidth is the maximum width of help texts.
const helpWidth = 80

// FullHelp returns the whole help of the last verb of path.
func FullHelp(path []*Verb) []byte {
	var b bytes.Buffer
	v := path[len(path)-1]
	fmt.Fprintf(&b, "%s - %s\n\nUsage: %s\n", FullName(path), RenameProgram(v.Usage), usageLine(path))
	for _, p := range paragraphs(RenameProgram(v.Description)) {
		fmt.Fprintf(&b, "\n%s", wrap(p, "", "", helpWidth))
	}
	helpVerbs(&b, v)
	helpTopics(&b, &v.Program)
	for _, group := range FlagGroups(v) {
		fmt.Fprintf(&b, "\n%s:\n", group.title)
		for _, f := range group.Flags {
			helpFlag(&b, f)
		}
	}
	if len(v.Examples) > 0 {
		b.WriteString("\nExamples:\n")
		for _, x := range v.Examples {
			fmt.Fprintf(&b, "  # %s\n  %s\n", RenameProgram(x.What), strings.ReplaceAll(RenameProgram(x.Line), "\n", "\n  "))
		}
	}
	b.WriteString("\nExit codes:\n")
	for _, code := range exitCodes(path) {
		fmt.Fprintf(&b, "  %-5s %s\n", code.name, code.text)
	}
	return b.Bytes()
}

// The size of the help of -h: a terminal of 80 x 24, less one line for the prompt.
const (
	shortHelpLines    = 23
	shortHelpExamples = 3
	shortHelpBody     = shortHelpLines - shortHelpExamples - 5 // title, usage, last line, two empty lines
)

// ShortHelp returns help that fits on a screen: usage, a line for each flag or for the most
// used flags, and three examples.
func ShortHelp(path []*Verb) []byte {
	var b bytes.Buffer
	v := path[len(path)-1]
	line := func(text string) { b.WriteString(Shorten(text, helpWidth) + "\n") }
	line(FullName(path) + " - " + RenameProgram(v.Usage))
	line("Usage: " + usageLine(path))
	b.WriteByte('\n')
	body, left := shortVerbs(v)
	what := "commands"
	if body == nil {
		body, left = ShortFlags(v)
		what = "flags"
	}
	for _, text := range body {
		line(text)
	}
	b.WriteByte('\n')
	for _, x := range ShortExamples(v) {
		line("  " + x)
	}
	tail := ProgramName + " help " + strings.TrimPrefix(FullName(path)+" ", ProgramName+" ")
	if left > 0 {
		line(fmt.Sprintf("%sshows all: %d more %s, examples and exit codes", tail, left, what))
	} else {
		line(tail + "shows all: descriptions, examples and exit codes")
	}
	return b.Bytes()
}

// shortVerbs returns a line for each subcommand, and the number of omitted subcommands.
func shortVerbs(v *Verb) (lines []string, left int) {
	var names []string
	for _, sub := range v.Subs() {
		if !sub.Hidden {
			names = append(names, sub.Name)
		}
	}
	width := 0
	for _, name := range names {
		width = max(width, len(name))
	}
	for i, name := range names {
		if len(lines) == shortHelpBody-1 && i < len(names)-1 {
			return append(lines, fmt.Sprintf("  and %s", strings.Join(names[i:], ", "))), 0
		}
		lines = append(lines, fmt.Sprintf("  %-*s  %s", width, name, RenameProgram(v.Sub(name).Usage)))
	}
	return lines, 0
}

// ShortFlags returns a line for each flag, and the number of omitted flags.
func ShortFlags(v *Verb) (lines []string, left int) {
	var all []flagDoc
	for _, group := range FlagGroups(v) {
		all = append(all, group.Flags...)
	}
	shown := all
	if len(all) > shortHelpBody {
		shown = nil
		for _, name := range v.MostUsed {
			if i := slices.IndexFunc(all, func(f flagDoc) bool { return slices.Contains(f.Names, name) }); i >= 0 {
				shown = append(shown, all[i])
			}
		}
		if shown == nil {
			shown = all
		}
		shown = shown[:min(len(shown), shortHelpBody)]
	}
	width := 0
	for _, f := range shown {
		width = max(width, min(len(f.Spelling()), 26))
	}
	for _, f := range shown {
		spelling := fmt.Sprintf("  %-*s  ", width, f.Spelling())
		lines = append(lines, spelling+firstClause(f.summary(), helpWidth-len(spelling)))
	}
	return lines, len(all) - len(shown)
}

// firstClause returns the beginning of text that fits into width columns, up to the end
// of a clause if possible.
func firstClause(text string, width int) string {
	if TextWidth(text) <= width {
		return text
	}
	end := 0
	for _, mark := range []string{", ", ": ", " ("} {
		end = max(end, strings.LastIndex(text[:min(len(text), width)], mark))
	}
	if end < width/3 {
		return Shorten(text, width)
	}
	return text[:end]
}

// ShortExamples returns the first examples that fit on one line.
func ShortExamples(v *Verb) (lines []string) {
	for _, x := range v.Examples {
		line := RenameProgram(x.Line)
		if len(lines) < shortHelpExamples && !strings.Contains(line, "\n") && len(line) <= helpWidth-2 {
			lines = append(lines, line)
		}
	}
	return lines
}

// helpVerbs writes the list of subcommands.
func helpVerbs(b *bytes.Buffer, v *Verb) {
	if !v.HasVerbs() {
		return
	}
	b.WriteString("\nCommands:\n")
	width := 0
	for _, sub := range v.Subs() {
		width = max(width, len(sub.Name))
	}
	for _, sub := range v.Subs() {
		if !sub.Hidden {
			fmt.Fprintf(b, "  %-*s  %s\n", width, sub.Name, RenameProgram(sub.Usage))
		}
	}
}

// helpFlag writes a flag and its text.
func helpFlag(b *bytes.Buffer, f flagDoc) {
	const indent = "      "
	fmt.Fprintf(b, "  %s\n", f.Spelling())
	b.WriteString(wrap(f.Text, indent, indent, helpWidth))
}

// usageLine returns the synopsis of the last verb of path.
func usageLine(path []*Verb) string {
	v := path[len(path)-1]
	line := FullName(path)
	if v.HasVerbs() {
		return line + " COMMAND [FLAG..] [ARG..]"
	}
	line += " [FLAG..]"
	if v.ArgsUsage != "" {
		line += " " + v.ArgsUsage
	}
	return line
}

// FullName returns the names of all verbs of path: gm admin create.
func FullName(path []*Verb) string {
	var names []string
	for _, v := range path {
		names = append(names, v.Name)
	}
	return strings.Join(names, " ")
}

// exitDoc is an exit code as help and manual pages show it.
type exitDoc struct{ name, text string }

// exitCodes returns the exit codes of the last verb of path.
func exitCodes(path []*Verb) []exitDoc {
	texts := path[0].Program.ExitTexts
	codes := append([]int{ExitOK, ExitUsage}, path[len(path)-1].Exits...)
	slices.Sort(codes)
	var docs []exitDoc
	for _, code := range slices.Compact(codes) {
		name := fmt.Sprint(code)
		if code == ExitSignal {
			name = "128+n"
		}
		docs = append(docs, exitDoc{name, strings.TrimPrefix(texts[code], "128+n: ")})
	}
	return docs
}
