package cmd

import (
	"gm/cmd/cli"
	"gm/pkg/gearman"
)

// env is the environment of one run of gm.
type env struct {
	cli.Env

	leftOut map[gearman.Server]bool // servers whose failure was noted
}

// note prints a line on stderr that is not the error of the verb.
func (e *env) note(format string, args ...any) {
	e.Notef(format, args...)
}
