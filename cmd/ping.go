package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

func pingVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:      "ping",
			Usage:     "measure the response times of servers",
			ArgsUsage: "[SERVER..]",
			Description: `Sends a few bytes to each server (ECHO_REQ) and checks the reply. The servers are the arguments, or those of -s and the configuration. It fails if one of them does not answer.

Columns of tsv: server, number of the ping, round trip in ms.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.IntFlag{Name: "count", Aliases: []string{"c"}, Value: 1, Usage: "ping each server `N` times"},
				durationFlag(time.Second, cli.GenericFlag{
					Name: "interval", Aliases: []string{"i"},
					Usage: "wait `DURATION` from one ping to the next",
				}),
			}, e.rowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.ping(c) },
		},
		examples: []example{
			{"wait until the server is up", "until gm ping 2>/dev/null; do sleep 1; done"},
			{"the slowest of 100", "gm ping -c 100 -i 10ms -o tsv | cut -f3 | sort -n | tail -1"},
		},
		exits: []int{exitNoServer, exitIO, exitProtocol, exitTimeout, exitSignal},
	}
}

// pingRow is one answer.
type pingRow struct {
	Server string  `json:"server"`
	Seq    int     `json:"seq"` // from 1
	RTTMS  float64 `json:"rtt_ms"`
}

func (r *pingRow) cells(human bool) []string {
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
			return usageErrorf("ping: %w", err)
		}
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	if c.Int("count") < 1 {
		return usageErrorf("--count %d: must be 1 or more", c.Int("count"))
	}
	client, err := gearman.NewClient(o)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	defer client.Close()
	w, err := e.newRows(c, column{"server", false}, column{"seq", true}, column{"rtt", true})
	if err != nil {
		return err
	}
	p := &pinger{client: client, rows: w, timeout: durationOf(c, "timeout"), failed: map[gearman.Server]error{}}
	if err := p.run(c, o.Servers); err != nil {
		return err
	}
	if err := w.close(); err != nil {
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
	rows    *rowWriter
	timeout time.Duration
	failed  map[gearman.Server]error // the last failure of each
}

func (p *pinger) run(c *cli.Context, servers []gearman.Server) error {
	tick := time.NewTicker(max(durationOf(c, "interval"), time.Millisecond))
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
		if err := p.rows.flush(); err != nil {
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
	return p.rows.add(&pingRow{s.String(), seq, float64(rtt.Nanoseconds()) / 1e6})
}
