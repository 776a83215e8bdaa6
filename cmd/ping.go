package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

func pingVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "ping",
			Usage:     "measure the response times of servers",
			ArgsUsage: "[SERVER..]",
			Description: `Sends a few bytes to each server (ECHO_REQ) and checks the reply. The servers are the arguments, or those of -s and the configuration. It fails if one of them does not answer.

Columns of tsv: server, number of the ping, round trip in ms.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Value: 1, Usage: "ping each server `N` times"},
				cli.DurationFlag(time.Second, cli.GenericFlag{
					Name: "interval", Aliases: []string{"i"},
					Usage: "wait `DURATION` from one ping to the next",
				}),
			}, e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.pingServers(c) },
		},
		Examples: []cli.Example{
			{What: "wait until the server is up", Line: "until gm ping 2>/dev/null; do sleep 1; done"},
			{What: "the slowest of 100", Line: "gm ping -c 100 -i 10ms -o tsv | cut -f3 | sort -n | tail -1"},
		},
		Exits: []int{cli.ExitNoServer, cli.ExitIO, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

// pingRow is one answer.
type pingRow struct {
	Server string  `json:"server"`
	Seq    int     `json:"seq"` // from 1
	RTTMS  float64 `json:"rtt_ms"`
}

func (r *pingRow) Cells(human bool) []string {
	rtt := strconv.FormatFloat(r.RTTMS, 'f', 3, 64)
	if human {
		rtt += " ms"
	}
	return []string{r.Server, strconv.Itoa(r.Seq), rtt}
}

// pingServers is the action of gm ping.
func (e *env) pingServers(c *cli.Context) error {
	if c.NArg() > 0 {
		if err := c.Set("server", strings.Join(c.Args().Slice(), ",")); err != nil {
			return cli.UsageErrorf("ping: %w", err)
		}
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	if c.Int("count") < 1 {
		return cli.UsageErrorf("--count %d: must be 1 or more", c.Int("count"))
	}
	client, err := gearman.NewClient(o)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	defer client.Close()
	w, err := e.NewRows(c, serverColumn, cli.Column{Name: "seq", Right: true}, cli.Column{Name: "rtt", Right: true})
	if err != nil {
		return err
	}
	failed := map[gearman.Server]error{} // the last failure of each
	err = fleet.Ping(c.Context, client, o.Servers, c.Int("count"), cli.DurationOf(c, "interval"), cli.DurationOf(c, "timeout"),
		func(s gearman.Server, round int, took time.Duration, err error) error {
			if err != nil {
				failed[s] = err
				return nil
			}
			if err := w.Add(&pingRow{s.String(), round, float64(took.Nanoseconds()) / 1e6}); err != nil {
				return err
			}
			return w.Flush()
		})
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	var errs []error
	for _, s := range o.Servers {
		errs = append(errs, failed[s])
	}
	return errors.Join(errs...)
}
