package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// YesFlag returns the flag that confirms a change that cannot be undone; see Confirm.
func YesFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask for confirmation"}
}

// Confirm returns nil if yes is set, or if the user at the terminal agrees to the
// change. Otherwise it returns a usage error.
func (e *Env) Confirm(yes bool, change string) error {
	if yes {
		return nil
	}
	if !IsTerminal(e.Stdin) || !IsTerminal(e.Stderr) {
		return WithHint(UsageErrorf("%s: would %s, but cannot ask without a terminal", e.verb, change), "--yes does not ask")
	}
	fmt.Fprintf(e.Stderr, "%s? [y/N] ", Printable(change, false))
	line, err := bufio.NewReader(e.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return ExitWith(ExitIO, fmt.Errorf("read the answer: %w", err))
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return UsageErrorf("%s: not confirmed: nothing was done", e.verb)
}
