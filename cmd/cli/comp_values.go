package cli

import (
	"slices"
	"strings"
)

// Completion describes the values that completions propose, besides the names of verbs and
// flags.
type Completion struct {
	// Choices are the possible values of flags, by the name of the flag, or by the names
	// of the verb and the flag.
	Choices map[string][]string
	// Queries are the values that the program itself lists. Its command line gets the
	// QueryFlags of the command line that is completed; they are flags of the root.
	Queries    []CompQuery
	QueryFlags []string
	// Sections are values in a file.
	Sections CompSections
	// URLs are values that begin with a scheme.
	URLs CompURLs
}

// CompQuery is a kind of value that the program lists.
type CompQuery struct {
	Kind  CompKind
	Value string // the name of such a value in usage lines and flags: FUNC; may be empty
	Args  string // the command line that lists the values, in columns separated by tabs
	Field int    // the number of the column of the values, from 1
}

// CompSections is a kind of value that is the name of a section [TABLE.NAME] in a file.
type CompSections struct {
	Kind     CompKind
	Flag     string // the flag that takes the value
	Table    string
	Variable string // the environment variable that names the file
	Default  string // below $XDG_CONFIG_HOME or ~/.config, if the variable is not set
}

// CompURLs is a kind of value that is a URL. The schemes end with a colon or with ://.
type CompURLs struct {
	Kind  CompKind
	Value string   // the name of such a value in usage lines and flags: URL
	Dirs  []string // schemes before the path of a directory
	Files []string // schemes before the path of a file
	Other []string // other schemes
}

// schemes returns all schemes.
func (u *CompURLs) schemes() []string { return slices.Concat(u.Dirs, u.Files, u.Other) }

// schemeNames returns schemes without their colons.
func schemeNames(schemes []string) []string {
	var names []string
	for _, s := range schemes {
		names = append(names, strings.TrimSuffix(s, ":"))
	}
	return names
}

// CompKind is the kind of a value. The kinds below are the same for every program; others
// are in its Completion.
type CompKind string

const (
	compNone    CompKind = ""        // nothing to propose
	compChoices CompKind = "choices" // one of a few words
	CompFiles   CompKind = "files"
	CompDirs    CompKind = "dirs"
	compCommand CompKind = "command" // another command line
)
