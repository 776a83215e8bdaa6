package cli

import (
	"github.com/fatih/color"
	urfave "github.com/urfave/cli/v2"
)

// Style colours text, or returns it unchanged.
type Style struct{ bold, good, Warn, Bad *color.Color }

// Style returns the style for stdout.
func (e *Env) Style(c *urfave.Context) (*Style, error) {
	on, err := e.coloured(c.String("color"))
	if err != nil {
		return nil, err
	}
	s := &Style{}
	s.Set(on)
	return s, nil
}

// Set turns colour on or off.
func (s *Style) Set(on bool) {
	for _, p := range []struct {
		colour **color.Color
		code   color.Attribute
	}{{&s.bold, color.Bold}, {&s.good, color.FgGreen}, {&s.Warn, color.FgYellow}, {&s.Bad, color.FgRed}} {
		*p.colour = color.New(p.code)
		if on {
			(*p.colour).EnableColor()
		} else {
			(*p.colour).DisableColor()
		}
	}
}

// coloured reports whether output has colour. when is the value of --color; auto depends
// on NO_COLOR, TERM and stdout.
func (e *Env) coloured(when string) (bool, error) {
	switch when {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return e.Getenv("NO_COLOR") == "" && e.Getenv("TERM") != "dumb" && IsTerminal(e.Stdout), nil
	}
	return false, UsageErrorf("--color %q: want auto, always or never", when)
}
