package cmd

import "github.com/urfave/cli/v2"

// An optionalValue is the value of a flag that may stand alone: then it is set to
// "true". In --flag=VALUE any value is tried; a word behind the flag is its value
// only if acceptsWord says so.
type optionalValue interface {
	cli.Generic
	acceptsWord(word string) bool
}

// optionalFlag returns a flag with such a value.
func optionalFlag(v optionalValue, f cli.GenericFlag) *cli.GenericFlag {
	f.Value = v
	return &f
}

// optionalOf returns the value of a flag that may stand alone; nil of any other.
func optionalOf(f cli.Flag) optionalValue {
	if g, ok := f.(*cli.GenericFlag); ok {
		if v, ok := g.Value.(optionalValue); ok {
			return v
		}
	}
	return nil
}
