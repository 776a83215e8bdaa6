package cli

import (
	"slices"
	"strings"
)

// compVerb is a verb as completions see it.
type compVerb struct {
	Path  string // the words after gm: "", "admin", "admin create"
	usage string
	Flags []compFlag
	subs  []compVerb
	args  CompKind
	// choices are the words for args of kind compChoices.
	choices []string
	endArgs bool // flags end at the first argument

	completion *Completion // of the root
	topics     []string    // of the root
}

// compFlag is a flag with the kind of its value.
type compFlag struct {
	flagDoc
	Kind    CompKind
	choices []string
}

// CompVerbs returns the root and every visible verb below it, parents first.
func CompVerbs(root *Verb) []compVerb {
	completion := &Completion{}
	if root.Program.Completion != nil {
		completion = root.Program.Completion()
	}
	var all []compVerb
	var walk func(v *Verb, path []string) compVerb
	walk = func(v *Verb, path []string) compVerb {
		cv := newCompVerb(completion, v, strings.Join(path, " "))
		i := len(all)
		all = append(all, cv)
		for _, sub := range v.Subs() {
			if !sub.Hidden {
				cv.subs = append(cv.subs, walk(sub, append(slices.Clone(path), sub.Name)))
			}
		}
		all[i] = cv
		return cv
	}
	walk(root, nil)
	all[0].completion, all[0].topics = completion, root.Program.topicNames()
	return all
}

func newCompVerb(c *Completion, v *Verb, path string) compVerb {
	cv := compVerb{Path: path, usage: v.Usage, endArgs: v.ArgsEndFlags}
	for _, group := range FlagGroups(v) {
		for _, f := range group.Flags {
			cv.Flags = append(cv.Flags, newCompFlag(c, path, f))
		}
	}
	if path == "" {
		cv.Flags = append(cv.Flags, compFlag{flagDoc: flagDoc{Names: []string{"version"}, Text: "print the version"}})
	}
	query := slices.IndexFunc(c.Queries, func(q CompQuery) bool { return q.Value != "" && strings.Contains(v.ArgsUsage, q.Value) })
	switch args := v.ArgsUsage; {
	case v.ArgsKind != "":
		cv.args = v.ArgsKind
	case query >= 0:
		cv.args = c.Queries[query].Kind
	case c.URLs.Value != "" && strings.Contains(args, c.URLs.Value):
		cv.args = c.URLs.Kind
	case strings.Contains(args, "CMD"):
		cv.args = compCommand
	case strings.Contains(args, "VERB"):
		cv.args, cv.choices = compChoices, manPages
	case args != "" && !strings.ContainsAny(args, "[. ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
		cv.args, cv.choices = compChoices, strings.Split(args, "|")
	case strings.Contains(args, "DATA"), strings.Contains(args, "FILE"):
		cv.args = CompFiles
	}
	return cv
}

// manPages stands for all verbs and topics of the root.
var manPages = []string{"*"}

func newCompFlag(c *Completion, path string, f flagDoc) compFlag {
	cf := compFlag{flagDoc: f}
	long := f.Names[len(f.Names)-1]
	query := slices.IndexFunc(c.Queries, func(q CompQuery) bool { return q.Value != "" && q.Value == f.Value })
	switch {
	case f.Value == "":
	case c.Choices[path+" "+long] != nil:
		cf.Kind, cf.choices = compChoices, c.Choices[path+" "+long]
	case c.Choices[long] != nil:
		cf.Kind, cf.choices = compChoices, c.Choices[long]
	case query >= 0:
		cf.Kind = c.Queries[query].Kind
	case long == c.Sections.Flag:
		cf.Kind = c.Sections.Kind
	case f.Value == c.URLs.Value:
		cf.Kind = c.URLs.Kind
	case strings.Contains(f.Value, "FILE"), strings.Contains(f.Value, "PATH"):
		cf.Kind = CompFiles
	case strings.Contains(f.Value, "DIR"):
		cf.Kind = CompDirs
	}
	return cf
}

// words returns the names of the flag with their dashes.
func (f compFlag) words() []string {
	var words []string
	for _, name := range f.Names {
		words = append(words, Dashed(name))
	}
	return words
}

// pages returns the names of the verbs and topics that have pages in the manual.
func (v compVerb) pages() []string { return append(v.names(), v.topics...) }

// names returns the subcommands' names.
func (v compVerb) names() []string {
	var names []string
	for _, sub := range v.subs {
		words := strings.Fields(sub.Path)
		names = append(names, words[len(words)-1])
	}
	return names
}

// queryFlagWords returns the names of the QueryFlags, and the patterns of the long ones
// with a value.
func (v compVerb) queryFlagWords() (words, withValue []string) {
	for _, name := range v.completion.QueryFlags {
		for _, f := range v.Flags {
			if f.Names[len(f.Names)-1] == name {
				words = append(words, f.words()...)
			}
		}
		withValue = append(withValue, Dashed(name)+"=*")
	}
	return words, withValue
}

// joinPatterns joins the patterns of a case in a shell. Without patterns it returns the
// pattern of an empty word, because a case needs one.
func joinPatterns(patterns []string, separator string) string {
	if len(patterns) == 0 {
		return "''"
	}
	return strings.Join(patterns, separator)
}
