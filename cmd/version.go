package cmd

import (
	"runtime/debug"

	"gm/cmd/cli"
)

// version is set by the linker: -ldflags "-X gm/cmd.version=1.2.3".
var version string

// Version returns the version of this binary: that of the linker, else that of the module,
// else the revision of the source.
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

func versionVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "version",
			Usage:       "print the version",
			Description: "Prints the version of this binary. gm admin version prints the version of a server.",
			Action: func(c *cli.Context) error {
				if err := cli.NoArgs(c); err != nil {
					return err
				}
				return e.PrintVersion()
			},
		},
		Examples: []cli.Example{{What: "the version of gm", Line: "gm version"}},
	}
}
