package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gm/cmd/cli"
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
			Action: func(c *cli.Context) error { return e.ping(c) },
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

// ping is the verb's action.
func (e *env) ping(c *cli.Context) error {
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
	w, err := e.NewRows(c, cli.Column{Name: "server", Right: false}, cli.Column{Name: "seq", Right: true}, cli.Column{Name: "rtt", Right: true})
	if err != nil {
		return err
	}
	p := &pinger{client: client, rows: w, timeout: cli.DurationOf(c, "timeout"), failed: map[gearman.Server]error{}}
	if err := p.run(c, o.Servers); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	var errs []error
	for _, s := range o.Servers {
		errs = append(errs, p.failed[s])
	}
	return errors.Join(errs...)
}

type pinger struct {
	client  *gearman.Client
	rows    *cli.RowWriter
	timeout time.Duration
	failed  map[gearman.Server]error // the last failure of each
}

func (p *pinger) run(c *cli.Context, servers []gearman.Server) error {
	tick := time.NewTicker(max(cli.DurationOf(c, "interval"), time.Millisecond))
	defer tick.Stop()
	for seq := 1; seq <= c.Int("count"); seq++ {
		if seq > 1 {
			select {
			case <-tick.C:
			case <-c.Context.Done():
				return context.Cause(c.Context)
			}
		}
		for _, s := range servers {
			if err := p.once(c.Context, s, seq); err != nil {
				return err
			}
		}
		if err := p.rows.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// once pings one server. It returns only errors of printing; the error of a server that
// does not answer is kept for the end.
func (p *pinger) once(ctx context.Context, s gearman.Server, seq int) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	rtt, err := p.client.Ping(ctx, s)
	if err != nil {
		p.failed[s] = err
		return nil
	}
	return p.rows.Add(&pingRow{s.String(), seq, float64(rtt.Nanoseconds()) / 1e6})
}
