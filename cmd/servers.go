package cmd

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/wire"
)

// connFlags are the flags of verbs that talk to servers; options reads them.
func (e *env) connFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "server", Aliases: []string{"s"}, Category: catServers,
			Usage: "`HOST[:PORT]` of a server, [::1]:4730 or unix:/path; repeatable, or divided by commas. Else GEARMAN_SERVERS, GEARMAN_SERVER, the configuration, localhost"},
		&cli.IntFlag{Name: "port", Aliases: []string{"p"}, Value: gearman.DefaultPort, Category: catServers,
			Usage: "`PORT` of servers named without one"},
		&cli.StringFlag{Name: "context", Category: catServers,
			Usage: "`NAME` of the configuration's context to use; else GM_CONTEXT"},
		&cli.StringFlag{Name: "trace", Category: catServers,
			Usage: "write every packet, readable, to `FILE`; - is stderr"},
	}
}

// options returns what connFlags, the environment and the configuration say,
// in this order of precedence. Its Servers are never empty.
func (e *env) options(c *cli.Context) (gearman.Options, error) {
	var o gearman.Options
	servers, err := e.servers(c)
	if err != nil {
		return o, err
	}
	o.Servers = servers
	if file := c.String("trace"); file != "" {
		if o.Trace, err = e.tracer(file); err != nil {
			return o, err
		}
	}
	return o, nil
}

// servers returns the servers that a verb is to use.
func (e *env) servers(c *cli.Context) ([]gearman.Server, error) {
	cfg, err := e.config()
	if err != nil {
		return nil, err
	}
	list, from, err := e.serverList(c, cfg)
	if err != nil {
		return nil, err
	}
	port := c.Int("port")
	if !c.IsSet("port") && cfg.Port != 0 {
		port = cfg.Port
	}
	if port < 1 || port > 65535 {
		return nil, usageErrorf("port %d: not between 1 and 65535", port)
	}
	servers, err := gearman.ParseServers(list, port)
	if err != nil {
		return nil, usageErrorf("%s: %w", from, err)
	}
	return servers, nil
}

// serverList returns the list of servers as it is written, and where. A
// context that is named by a flag goes before a list in the environment; one
// that is named otherwise, behind it.
func (e *env) serverList(c *cli.Context, cfg *config) (list, from string, err error) {
	if c.IsSet("server") {
		return strings.Join(c.StringSlice("server"), ","), "--server", nil
	}
	if name := c.String("context"); name != "" {
		return cfg.contextServers(name)
	}
	for _, name := range []string{"GEARMAN_SERVERS", "GEARMAN_SERVER"} {
		if list := e.getenv(name); list != "" {
			return list, name, nil
		}
	}
	if name := e.getenv("GM_CONTEXT"); name != "" {
		return cfg.contextServers(name)
	}
	if cfg.Context != "" {
		return cfg.contextServers(cfg.Context)
	}
	if len(cfg.Servers) > 0 {
		return strings.Join(cfg.Servers, ","), cfg.path, nil
	}
	return "localhost", "default", nil
}

// tracer returns a tracer to file, or to stderr for "-".
func (e *env) tracer(file string) (*wire.Tracer, error) {
	if file == "-" {
		return wire.NewTracer(e.stderr), nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	e.closers = append(e.closers, f)
	return wire.NewTracer(f), nil
}
