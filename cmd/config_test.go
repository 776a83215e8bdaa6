package cmd

import (
	"strings"
	"testing"
	"time"

	"gm/cmd/cli"
)

func TestConfigErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"servers = [\"a\"]\nport = 1\ncontext = \"x\"\n[contexts.x]\nservers = []\n", ""},
		{"server = \"a\"\n", "c.toml:1: unknown key server"},
		{"servers = [\"a\"]\n\n[context.x]\nservers = [\"a\"]\n", "c.toml:3: context.x: cannot store a table in a string"},
		{"[contexts.a]\nservers = [\"a\"]\n[contexts.b]\nserver = \"b\"\n", "c.toml:4: unknown key contexts.b.server"},
		{"contexts.a.server = \"a\"\n", "c.toml:1: unknown key contexts.a.server"},
		{"servers = \"a\"\n", "c.toml:1: servers: cannot decode TOML string"},
		{"port = 1\nport = 2\n", "c.toml:2: "},
		{"servers = [", "c.toml:1: "},
	}
	for _, test := range tests {
		cfg := &config{path: "c.toml"}
		err := cfg.parse(test.text)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("parse %q: %v", test.text, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
			t.Errorf("parse %q: got %v, want %q", test.text, err, test.want)
		case err != nil && exitCode(err) != cli.ExitUsage:
			t.Errorf("parse %q: exit code %d, want %d", test.text, exitCode(err), cli.ExitUsage)
		}
	}
}

func TestParseDuration(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration // -1 is an error
	}{
		{"0", 0},
		{"250", 250 * time.Millisecond},
		{"1.5", 1500 * time.Microsecond},
		{"500ms", 500 * time.Millisecond},
		{"10s", 10 * time.Second},
		{"1m30s", 90 * time.Second},
		{"2d", 48 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"-1d", -1},
		{"", -1},
		{"-1", -1},
		{"-1s", -1},
		{"ten", -1},
		{"10 s", -1},
		{"NaN", -1},
		{"1e300", -1},
		{"Inf", -1},
	}
	for _, test := range tests {
		got, err := cli.ParseDuration(test.text)
		if err != nil {
			got = -1
		}
		if got != test.want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", test.text, got, err, test.want)
		}
	}
}
