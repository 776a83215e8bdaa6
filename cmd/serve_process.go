package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gm/cmd/cli"
	"gm/pkg/server"
)

const catProcess = "Process"

// daemonFlags returns the flags of serve about its process.
func daemonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "daemon", Aliases: []string{"d"}, Category: catProcess, Usage: "go to the background when the server listens"},
		&cli.StringFlag{
			Name: "user", Aliases: []string{"u"}, Category: catProcess,
			Usage: "become the user `NAME` before opening anything; needs root",
		},
		&cli.StringFlag{Name: "pid-file", Aliases: []string{"P"}, Category: catProcess, Usage: "write the process id to `FILE` when the server listens"},
		&cli.StringFlag{
			Name: "config-file", Category: catProcess,
			Usage: "read more options from `FILE`, in the form of the command line, which wins; SIGHUP reads it again",
		},
	}
}

// becomeProcess sets the limits and the user of the process, before it opens anything.
func (e *env) becomeProcess(c *cli.Context) error {
	if n := c.Int("file-descriptors"); c.IsSet("file-descriptors") {
		if n < 1 {
			return cli.UsageErrorf("--file-descriptors %d: must be 1 or more", n)
		}
		if err := limitFiles(n); err != nil {
			return err
		}
	}
	if err := checkProtocol(c); err != nil {
		return err
	}
	if name := c.String("user"); name != "" {
		if err := switchUser(name); err != nil {
			return err
		}
	}
	if c.Bool("coredump") {
		dumpCore()
	}
	return nil
}

// checkProtocol refuses options for TLS, and protocols that gearmand does not have.
func checkProtocol(c *cli.Context) error {
	switch p := strings.ToLower(c.String("protocol")); p {
	case "", "gear", "http":
	default:
		return cli.UsageErrorf("--protocol %q: want gear or http", p)
	}
	for _, name := range []string{"ssl", "ssl-ca-file", "ssl-certificate", "ssl-key"} {
		if c.IsSet(name) {
			return cli.WithHint(cli.UsageErrorf("--%s: gm serve does not speak TLS", name),
				"leave the option out, and put stunnel or another TLS proxy in front of the server")
		}
	}
	return nil
}

// unneeded has the options of gearmand that gm serve accepts without effect, with the
// reasons.
var unneeded = map[string]string{
	"threads":                  "all processors are used",
	"backlog":                  "the system's limit (net.core.somaxconn) applies",
	"hashtable-buckets":        "the tables grow as needed",
	"libtokyocabinet-optimize": "the file is optimized while it is used",
	"http-port":                "HTTP is not served",
}

// logUnneeded logs each option that was given and has no effect.
func logUnneeded(c *cli.Context, log *slog.Logger) {
	for _, name := range slices.Sorted(maps.Keys(unneeded)) {
		if c.IsSet(name) {
			log.Info("option without effect", "option", cli.Dashed(name), "why", unneeded[name])
		}
	}
	if strings.EqualFold(c.String("protocol"), "http") {
		log.Warn("HTTP is not served", "option", "--protocol http")
	}
	if c.Bool("daemon") && !c.Bool("syslog") && (c.String("log-file") == "" || c.String("log-file") == "stderr") {
		log.Warn("the daemon has no log: neither --log-file nor --syslog is given")
	}
}

// keepaliveValue is the value of --keepalive: a duration, or none for the default.
type keepaliveValue struct{ d time.Duration }

// Set parses a duration, or the boolean of the flag without a value.
func (v *keepaliveValue) Set(s string) error {
	switch s {
	case "true":
		v.d = server.DefaultKeepAlive
		return nil
	case "false":
		v.d = 0
		return nil
	}
	d, err := cli.ParseDuration(s)
	if err == nil {
		v.d = d
	}
	return err
}

// String returns the duration for help texts.
func (v *keepaliveValue) String() string { return v.d.String() }

// AcceptsWord reports whether a word after the flag is its value.
func (v *keepaliveValue) AcceptsWord(word string) bool {
	_, err := cli.ParseDuration(word)
	return err == nil
}

// setKeepalive sets the values of --keepalive and of gearmand's options for it. The
// latter are in seconds, and -1 is the default.
func setKeepalive(c *cli.Context, cfg *server.Config) error {
	cfg.KeepAlive = offIfZero(c.Generic("keepalive").(*keepaliveValue).d)
	for name, set := range map[string]func(n int){
		"keepalive-idle":     func(n int) { cfg.KeepAlive = time.Duration(n) * time.Second },
		"keepalive-interval": func(n int) { cfg.KeepAliveInterval = time.Duration(n) * time.Second },
		"keepalive-count":    func(n int) { cfg.KeepAliveCount = n },
	} {
		n := c.Int(name)
		switch {
		case n < -1 || n > 32767:
			return cli.UsageErrorf("--%s %d: must be from 1 to 32767, or -1", name, n)
		case c.IsSet(name) && n > 0:
			set(n)
		}
	}
	return nil
}

// readConfigFile sets the flags in --config-file that the command line does not set.
func (e *env) readConfigFile(c *cli.Context) error {
	path := c.String("config-file")
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return cli.UsageErrorf("read --config-file: %w", err)
	}
	words, err := splitWords(string(text))
	if err != nil {
		return cli.UsageErrorf("%s: %w", path, err)
	}
	call, err := cli.ParseArgs(e.Root, append([]string{"serve"}, words...))
	switch {
	case err != nil:
		return withHintOf(cli.UsageErrorf("%s: %w", path, err), err)
	case call.Help || call.Version || len(call.Args) > 0:
		return cli.UsageErrorf("%s: want only options", path)
	}
	given := map[string]bool{}
	for _, f := range call.Flags {
		given[f.Name] = c.IsSet(f.Name)
	}
	for _, f := range call.Flags {
		if given[f.Name] {
			continue
		}
		if err := c.Set(f.Name, f.Value); err != nil {
			return cli.UsageErrorf("%s: invalid value %q for flag %s: %w", path, f.Value, cli.Dashed(f.Name), err)
		}
	}
	return nil
}

// withHintOf returns err with the hint of another error, if it has one.
func withHintOf(err, other error) error {
	if hint := hintFor(other); hint != "" {
		return cli.WithHint(err, hint)
	}
	return err
}

var errOpenQuote = errors.New("missing closing quote")

// splitWords splits text at white space. Quotes enclose white space, and # begins a
// comment where a word could begin.
func splitWords(text string) (words []string, err error) {
	var word []byte
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case quote != 0 && b == quote:
			quote = 0
		case quote != 0:
			word = append(word, b)
		case b == '\'' || b == '"':
			inWord, quote = true, b
		case b == '#' && !inWord:
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				end = len(text) - i
			}
			i += end
		case strings.IndexByte(" \t\r\n", b) >= 0:
			if inWord {
				words = append(words, string(word))
			}
			word, inWord = nil, false
		default:
			word, inWord = append(word, b), true
		}
	}
	if quote != 0 {
		return nil, errOpenQuote
	}
	if inWord {
		words = append(words, string(word))
	}
	return words, nil
}

// namesOther reports whether a pid file names another running process.
func namesOther(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 1 || pid == os.Getpid() {
		return false
	}
	p, err := os.FindProcess(pid)
	return err == nil && !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// writePIDFile writes the process id to a file that everybody may read.
func writePIDFile(path string) error {
	if err := os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		return cli.WithHint(cli.ExitWith(cli.ExitIO, fmt.Errorf("write pid file: %w", err)), "--pid-file FILE names another file")
	}
	return nil
}
