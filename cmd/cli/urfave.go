package cli

import urfave "github.com/urfave/cli/v2"

// The types of urfave/cli that verbs use.
type (
	// Context holds the flags and the arguments of an action.
	Context = urfave.Context
	// Command describes a verb.
	Command = urfave.Command
	// Flag is any flag.
	Flag = urfave.Flag
	// BoolFlag is a flag without a value.
	BoolFlag = urfave.BoolFlag
	// IntFlag is a flag with an integer.
	IntFlag = urfave.IntFlag
	// StringFlag is a flag with a text.
	StringFlag = urfave.StringFlag
	// StringSliceFlag is a flag with texts. It can be repeated, and commas separate texts.
	StringSliceFlag = urfave.StringSliceFlag
	// GenericFlag is a flag with a value of any type that has Set and String.
	GenericFlag = urfave.GenericFlag
)

// RefuseFlags returns a usage error with the reason if one of the flags is set.
func RefuseFlags(c *Context, reason string, flags ...string) error {
	for _, name := range flags {
		if c.IsSet(name) {
			return UsageErrorf("--%s %s", name, reason)
		}
	}
	return nil
}
