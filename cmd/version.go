package cmd

import (
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is set by the linker: -ldflags "-X gm/cmd.version=1.2.3".
var version string

// Version returns the version of this binary: the linker's, else the
// module's, else the revision that it was built from.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func versionVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "version",
			Usage:       "print the version",
			Description: "Prints the version of this binary. gm admin version asks a server for its own.",
			Action: func(c *cli.Context) error {
				if err := noArgs(c); err != nil {
					return err
				}
				return e.printVersion()
			},
		},
		examples: []example{{"what runs here", "gm version"}},
	}
}
