package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// flagDoc is a flag as help, manual pages and completions show it.
type flagDoc struct {
	Names    []string // without dashes, the short ones first
	Value    string   // the name of its value; empty if it takes none
	optional string   // the name of its value, if the value can be omitted
	Text     string
	category string
}

// Spelling returns the flag with its names and its value: -o, --output FORMAT.
func (f flagDoc) Spelling() string {
	var words []string
	for _, name := range f.Names {
		words = append(words, Dashed(name))
	}
	s := strings.Join(words, ", ")
	switch {
	case f.Value != "":
		s += " " + f.Value
	case f.optional != "":
		s += "[=" + f.optional + "]"
	}
	return s
}

// NewFlagDoc reads a flag's definition. The word in backquotes in its Usage is the name of
// its value.
func NewFlagDoc(f urfave.Flag) flagDoc {
	d := flagDoc{Names: slices.Clone(FlagNames(f))}
	slices.SortStableFunc(d.Names, func(a, b string) int { return min(len(a), 2) - min(len(b), 2) })
	doc := f.(urfave.DocGenerationFlag)
	d.Text = RenameProgram(doc.GetUsage())
	if before, rest, ok := strings.Cut(d.Text, "`"); ok {
		name, after, _ := strings.Cut(rest, "`")
		d.Value = name
		d.Text = before + name + after
	}
	if doc.TakesValue() {
		if d.Value == "" {
			d.Value = "VALUE"
		}
		if def := defaultOf(doc); def != "" && !strings.Contains(d.Text, "(default ") {
			d.Text += " (default " + def + ")"
		}
	}
	if OptionalOf(f) != nil {
		d.optional, d.Value = d.Value, ""
	}
	if c, ok := f.(urfave.CategorizableFlag); ok {
		d.category = c.GetCategory()
	}
	return d
}

// defaultOf returns the default of a flag, empty if it has none. It returns a default of 0
// only if the text of the flag explains 0.
func defaultOf(doc urfave.DocGenerationFlag) string {
	switch def := strings.Trim(doc.GetValue(), `"`); def {
	case "", "0":
		if strings.Contains(doc.GetUsage(), "; 0 ") {
			return "0"
		}
		return ""
	case "[]":
		return ""
	default:
		return def
	}
}

// flagGroup is the flags of a category.
type flagGroup struct {
	title string
	Flags []flagDoc
}

// FlagGroups returns the visible flags of a verb by category. Its own flags come first.
func FlagGroups(v *Verb) []flagGroup { return groupFlags(v, false) }

// groupFlags returns the flags of a verb by category, with hidden flags if all is set.
func groupFlags(v *Verb, all bool) []flagGroup {
	titles := []string{"", CatOutput, CatServers, catCommon}
	byTitle := map[string][]flagDoc{}
	for _, f := range v.Flags {
		if visible, ok := f.(urfave.VisibleFlag); ok && !visible.IsVisible() && !all {
			continue
		}
		d := NewFlagDoc(f)
		if !slices.Contains(titles, d.category) {
			titles = slices.Insert(titles, slices.Index(titles, CatOutput), d.category)
		}
		byTitle[d.category] = append(byTitle[d.category], d)
	}
	help := flagDoc{Names: []string{"h", "help"}, Text: "print this help"}
	byTitle[catCommon] = append(byTitle[catCommon], help)
	var groups []flagGroup
	for _, title := range titles {
		if flags := byTitle[title]; len(flags) > 0 {
			if title == "" {
				title = "Flags"
			}
			groups = append(groups, flagGroup{title, flags})
		}
	}
	return groups
}

// summary returns the first clause of the text of the flag, for menus.
func (f flagDoc) summary() string {
	text, _, _ := strings.Cut(f.Text, ";")
	text, _, _ = strings.Cut(text, " (default")
	return text
}
