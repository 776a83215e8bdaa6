package cmd

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/work"
)

// tellLine is the maximum length in bytes of a line that tell writes. A pipe takes this
// much in one piece, so that lines of several processes do not mix.
const tellLine = 4096

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

func (e *env) tellStatus(c *cli.Context) error {
	num, den, err := work.ParseProgress(c.Args().Slice())
	if err != nil {
		return cli.UsageErrorf("tell status: %w", err)
	}
	return e.tell(func(line func(string) error) error { return line(fmt.Sprintf("status %d %d", num, den)) })
}

func (e *env) tellWarn(c *cli.Context) error {
	if c.NArg() == 0 {
		return cli.UsageErrorf("tell warn: no text")
	}
	text := strings.TrimRight(strings.Join(c.Args().Slice(), " "), "\n")
	return e.tell(func(line func(string) error) error {
		for l := range strings.SplitSeq(text, "\n") {
			if err := line("warn " + l); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *env) tellData(c *cli.Context) error {
	var from io.Reader = strings.NewReader(strings.Join(c.Args().Slice(), " ") + "\n")
	if c.NArg() == 0 {
		e.announceStdin("the data")
		from = e.Stdin
	}
	return e.tell(func(line func(string) error) error {
		const word = "data64 "
		in := bufio.NewReader(from)
		buf := make([]byte, base64.StdEncoding.DecodedLen(tellLine-len(word)-1))
		for {
			n, err := io.ReadFull(in, buf)
			if n > 0 {
				if err := line(word + base64.StdEncoding.EncodeToString(buf[:n])); err != nil {
					return err
				}
			}
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return nil
			case err != nil:
				return cli.ExitWith(cli.ExitIO, fmt.Errorf("read data: %w", err))
			}
		}
	})
}

// tell calls say with a function that writes a line to the control pipe of the job.
func (e *env) tell(say func(line func(string) error) error) error {
	value := e.Getenv("GM_CONTROL_FD")
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return cli.WithHint(cli.UsageErrorf("tell: GM_CONTROL_FD is %q: not in a job", value), "gm tell works in commands that gm work runs")
	}
	f := os.NewFile(uintptr(fd), "control pipe")
	defer f.Close()
	return say(func(line string) error {
		if _, err := f.WriteString(line + "\n"); err != nil {
			return cli.ExitWith(cli.ExitIO, fmt.Errorf("tell: %w", err))
		}
		return nil
	})
}
