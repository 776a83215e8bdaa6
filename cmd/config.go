package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"gm/cmd/cli"
)

// config is the configuration file.
//
//	context = "home"         # used if neither flags nor the environment name servers
//	servers = ["a", "b:4731"]
//	port = 4730              # of servers without one
//
//	[contexts.home]
//	servers = ["unix:/run/gm.sock"]
type config struct {
	Context  string                   `toml:"context"`
	Servers  []string                 `toml:"servers"`
	Port     int                      `toml:"port"`
	Color    string                   `toml:"color"`
	Contexts map[string]configContext `toml:"contexts"`

	path string
}

// configContext is a named set of servers.
type configContext struct {
	Servers []string `toml:"servers"`
}

// config reads the configuration file: $GM_CONFIG, else gm/config.toml in
// $XDG_CONFIG_HOME, else in ~/.config. A missing file counts as empty, unless
// $GM_CONFIG names it.
func (e *env) config() (*config, error) {
	path := e.configPath()
	cfg := &config{path: path}
	if path == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && e.Getenv("GM_CONFIG") == "" {
		return cfg, nil
	}
	if err != nil {
		return nil, cli.UsageErrorf("read configuration: %w", err)
	}
	if err := cfg.parse(string(text)); err != nil {
		return nil, cli.WithHint(err, "correct that line; gm man describes the file under FILES")
	}
	return cfg, nil
}

func (e *env) configPath() string {
	if path := e.Getenv("GM_CONFIG"); path != "" {
		return path
	}
	dir := e.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := e.Getenv("HOME")
		if home == "" {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "gm", "config.toml")
}

// parse reads text into cfg. An unknown key is an error.
func (cfg *config) parse(text string) error {
	d := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields()
	err := d.Decode(cfg)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		first := &unknown.Errors[0]
		line, _ := first.Position()
		return cli.UsageErrorf("%s:%d: unknown key %s", cfg.path, line, strings.Join(first.Key(), "."))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		text, _, _ := strings.Cut(strings.TrimPrefix(wrong.Error(), "toml: "), " into struct field")
		if key := wrong.Key(); len(key) > 0 {
			text = strings.Join(key, ".") + ": " + text
		}
		return cli.UsageErrorf("%s:%d: %s", cfg.path, line, text)
	case err != nil:
		return cli.UsageErrorf("%s: %s", cfg.path, strings.TrimPrefix(err.Error(), "toml: "))
	}
	return nil
}

// contextServers returns the list of servers of the named context, and its place for
// error messages.
func (cfg *config) contextServers(name string) (list, from string, err error) {
	context, ok := cfg.Contexts[name]
	if !ok {
		err := cli.UsageErrorf("unknown context %q in %s", name, cfg.path)
		if known := slices.Sorted(maps.Keys(cfg.Contexts)); len(known) > 0 {
			err = cli.WithHint(err, "the file has the contexts "+strings.Join(known, ", "))
		}
		return "", "", err
	}
	if len(context.Servers) == 0 {
		return "", "", cli.UsageErrorf("%s: context %q has no servers", cfg.path, name)
	}
	return strings.Join(context.Servers, ","), fmt.Sprintf("%s: context %q", cfg.path, name), nil
}
