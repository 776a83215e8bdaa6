package cmd

import (
	"fmt"
	"io"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/work"
)

func tellVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "tell",
			Usage: "report from within a job of gm work",
			Description: `
Reports to the client of a job. The command of gm work calls it, or a program that
the command runs. The report goes through the file descriptor GM_CONTROL_FD.`,
		},
		Verbs: []*cli.Verb{
			{
				Command: &cli.Command{
					Name:        "status",
					Usage:       "report progress",
					ArgsUsage:   "NUMERATOR DENOMINATOR",
					Description: "The server sends each report to the client, and keeps the last one for status requests.",
					Action:      e.tellStatus,
				},
				Examples: []cli.Example{{What: "3 of 10 are done", Line: "gm work -f slow -c 1 --shell 'gm tell status 3 10; cat'"}},
				Exits:    []int{cli.ExitIO},
			},
			{
				Command: &cli.Command{
					Name:        "warn",
					Usage:       "send a warning",
					ArgsUsage:   "TEXT..",
					Description: "Joins the words with blanks. Each line is a warning.",
					Action:      e.tellWarn,
				},
				Examples: []cli.Example{{What: "a warning for the client", Line: "gm work -f slow -c 1 --shell 'gm tell warn the disk is nearly full; cat'"}},
				Exits:    []int{cli.ExitIO},
				DataArgs: true,
			},
			{
				Command: &cli.Command{
					Name:        "data",
					Usage:       "send part of the result",
					ArgsUsage:   "[TEXT..]",
					Description: "Sends the words, joined by blanks, with a newline; without words, all of stdin unchanged. The data reaches the client at once, before the output that the command has written to stdout.",
					Action:      e.tellData,
				},
				Examples: []cli.Example{{What: "the first line of a result, before the rest", Line: "gm work -f slow -c 1 --shell 'date | gm tell data; cat'"}},
				Exits:    []int{cli.ExitIO},
				DataArgs: true,
			},
		},
	}
}

// tellStatus is the action of gm tell status.
func (e *env) tellStatus(c *cli.Context) error {
	num, den, err := work.ParseProgress(c.Args().Slice())
	if err != nil {
		return cli.UsageErrorf("tell status: %w", err)
	}
	return e.reportToClient(func(r *work.Reporter) error { return r.Status(num, den) })
}

// tellWarn is the action of gm tell warn.
func (e *env) tellWarn(c *cli.Context) error {
	if c.NArg() == 0 {
		return cli.UsageErrorf("tell warn: no text")
	}
	text := strings.TrimRight(strings.Join(c.Args().Slice(), " "), "\n")
	return e.reportToClient(func(r *work.Reporter) error { return r.Warn(text) })
}

// tellData is the action of gm tell data.
func (e *env) tellData(c *cli.Context) error {
	var from io.Reader = strings.NewReader(strings.Join(c.Args().Slice(), " ") + "\n")
	if c.NArg() == 0 {
		e.announceStdin("the data")
		from = e.Stdin
	}
	return e.reportToClient(func(r *work.Reporter) error { return r.Data(from) })
}

// reportToClient calls f with a Reporter to the client of the job.
func (e *env) reportToClient(f func(r *work.Reporter) error) error {
	r, err := work.OpenReporter(e.Getenv("GM_CONTROL_FD"))
	if err != nil {
		return cli.WithHint(cli.UsageErrorf("tell: %w", err), "gm tell works in commands that gm work runs")
	}
	defer r.Close()
	if err := f(r); err != nil {
		return cli.ExitWith(cli.ExitIO, fmt.Errorf("tell: %w", err))
	}
	return nil
}
