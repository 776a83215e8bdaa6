package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// linesValue is the value of a repeatable flag. A comma is part of a value, while a
// StringSliceFlag cuts values at commas.
type linesValue struct{ lines []string }

// Set adds a value.
func (v *linesValue) Set(s string) error {
	v.lines = append(v.lines, s)
	return nil
}

// String returns the values.
func (v *linesValue) String() string { return strings.Join(v.lines, "; ") }

// LinesFlag returns a flag whose values LinesOf returns.
func LinesFlag(f urfave.GenericFlag) *urfave.GenericFlag {
	f.Value = &linesValue{}
	return &f
}

// LinesOf returns the values of a flag made by LinesFlag.
func LinesOf(c *urfave.Context, name string) []string { return c.Generic(name).(*linesValue).lines }

// An optionalValue is the value of a flag that can be omitted: then it is set to "true".
// --flag=VALUE sets any value. The word after the flag is its value only if AcceptsWord
// returns true.
type optionalValue interface {
	urfave.Generic
	AcceptsWord(word string) bool
}

// OptionalFlag returns a flag whose value v can be omitted.
func OptionalFlag(v optionalValue, f urfave.GenericFlag) *urfave.GenericFlag {
	f.Value = v
	return &f
}

// OptionalOf returns the value of a flag made by OptionalFlag, nil for other flags.
func OptionalOf(f urfave.Flag) optionalValue {
	if g, ok := f.(*urfave.GenericFlag); ok {
		if v, ok := g.Value.(optionalValue); ok {
			return v
		}
	}
	return nil
}

// wordsValue is the value of a repeatable flag with other names. A comma is a part of a
// word.
type wordsValue struct{ words []string }

// Set adds a word. It ignores an empty one, because urfave/cli sets the other names of a
// flag to the result of String.
func (v *wordsValue) Set(s string) error {
	if s != "" && !slices.Contains(v.words, s) {
		v.words = append(v.words, s)
	}
	return nil
}

// String returns nothing: there is no default.
func (v *wordsValue) String() string { return "" }

// WordsFlag returns a flag whose values WordsOf returns. Unlike LinesFlag it may have
// other names, and drops empty values.
func WordsFlag(f urfave.GenericFlag) *urfave.GenericFlag {
	f.Value = &wordsValue{}
	return &f
}

// WordsOf returns the values of a flag made by WordsFlag, each once.
func WordsOf(c *urfave.Context, name string) []string { return c.Generic(name).(*wordsValue).words }
