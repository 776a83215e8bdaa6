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

	"github.com/BurntSushi/toml"
)

// config is the configuration file.
//
//	context = "home"         # used if neither a flag nor the environment names servers
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
// $XDG_CONFIG_HOME, else in ~/.config. A file that is not there is an empty
// one, unless $GM_CONFIG names it.
func (e *env) config() (*config, error) {
	path := e.configPath()
	cfg := &config{path: path}
	if path == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && e.getenv("GM_CONFIG") == "" {
		return cfg, nil
	}
	if err != nil {
		return nil, usageErrorf("read configuration: %w", err)
	}
	if err := cfg.parse(string(text)); err != nil {
		return nil, err
	}
	return cfg, nil
}

func (e *env) configPath() string {
	if path := e.getenv("GM_CONFIG"); path != "" {
		return path
	}
	dir := e.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := e.getenv("HOME")
		if home == "" {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "gm", "config.toml")
}

// parse reads text into cfg. A key that it does not know is an error.
func (cfg *config) parse(text string) error {
	meta, err := toml.Decode(text, cfg)
	if parse := (toml.ParseError{}); errors.As(err, &parse) {
		return usageErrorf("%s:%d: %s", cfg.path, parse.Position.Line, parse.Message)
	}
	if err != nil {
		return usageErrorf("%s: %s", cfg.path, strings.TrimPrefix(err.Error(), "toml: "))
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0]
		return usageErrorf("%s:%d: unknown key %s", cfg.path, keyLine(text, key), key)
	}
	return nil
}

// keyLine returns the line of text where key stands. The decoder doesn't tell
// for keys that it leaves out, so it is looked for: the last part of the key,
// behind its table's heading.
func keyLine(text string, key toml.Key) int {
	table := strings.Join(key[:len(key)-1], ".")
	current := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			current = strings.Trim(line, "[] ")
			if current == key.String() {
				return i + 1
			}
			continue
		}
		name, _, found := strings.Cut(line, "=")
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if found && (current == table && name == key[len(key)-1] || current == "" && name == key.String()) {
			return i + 1
		}
	}
	return 1
}

// contextServers returns the list of servers of the context name, and where
// it stands.
func (cfg *config) contextServers(name string) (list, from string, err error) {
	context, ok := cfg.Contexts[name]
	if !ok {
		err := usageErrorf("unknown context %q in %s", name, cfg.path)
		if known := slices.Sorted(maps.Keys(cfg.Contexts)); len(known) > 0 {
			err = withHint(err, "it has "+strings.Join(known, ", "))
		}
		return "", "", err
	}
	if len(context.Servers) == 0 {
		return "", "", usageErrorf("%s: context %q names no servers", cfg.path, name)
	}
	return strings.Join(context.Servers, ","), fmt.Sprintf("%s: context %q", cfg.path, name), nil
}
