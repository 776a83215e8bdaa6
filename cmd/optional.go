package cmd

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// linesValue is the value of a repeatable flag. It keeps commas in values, at which a
// cli.StringSliceFlag cuts them.
type linesValue struct{ lines []string }

// Set adds a value.
func (v *linesValue) Set(s string) error {
	v.lines = append(v.lines, s)
	return nil
}

// String returns the values.
func (v *linesValue) String() string { return strings.Join(v.lines, "; ") }

// linesFlag returns a flag whose values linesOf returns.
func linesFlag(f cli.GenericFlag) *cli.GenericFlag {
	f.Value = &linesValue{}
	return &f
}

// linesOf returns the values of a flag made by linesFlag.
func linesOf(c *cli.Context, name string) []string { return c.Generic(name).(*linesValue).lines }

// An optionalValue is the value of a flag that may stand alone; then it is set to "true".
// --flag=VALUE sets any value. A word after the flag is its value only if acceptsWord
// accepts it.
type optionalValue interface {
	cli.Generic
	acceptsWord(word string) bool
}

// optionalFlag returns a flag with such a value.
func optionalFlag(v optionalValue, f cli.GenericFlag) *cli.GenericFlag {
	f.Value = v
	return &f
}

// optionalOf returns the value of a flag that may stand alone, nil for other flags.
func optionalOf(f cli.Flag) optionalValue {
	if g, ok := f.(*cli.GenericFlag); ok {
		if v, ok := g.Value.(optionalValue); ok {
			return v
		}
	}
	return nil
}
