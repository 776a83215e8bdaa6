package open

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/dump"
)

func TestPlaceName(t *testing.T) {
	for url, want := range map[string]string{
		"disk:/var/lib/gm":                      "disk:/var/lib/gm",
		"sqlite:a.db?table=t":                   "sqlite:a.db",
		"postgres://u:secret@h:1/db?password=x": "postgres://h:1/db",
		"postgres:host=a password=secret":       "postgres",
		"redis://:secret@h/0":                   "redis://h/0",
	} {
		p, err := Parse(url)
		if err != nil || p.Name() != want {
			t.Errorf("%s: got %q, %v, want %q", url, p.Name(), err, want)
		}
	}
}

// TestUsageErrors checks that each mistake in a URL or setting is a UsageError, with
// no password in it.
func TestUsageErrors(t *testing.T) {
	if _, err := Parse("nothing"); !errors.As(err, new(*UsageError)) {
		t.Errorf("not a URL: got %v, want a UsageError", err)
	}
	for _, url := range []string{
		"disk:x?nosuch=hush", "disk:x?sync=hush", "sqlite:x?nosuch=hush", "postgres://u:hush@h/d?nosuch=x", "postgresql://u:hush@h/d?nosuch=x",
		"mysql://u:hush@h/d?nosuch=x", "mariadb:x", "redis://:hush@h/0?nosuch=x", "rediss://:hush@h/x", "memcached://h:1?nosuch=x", "unheard://u:hush@h",
	} {
		p, err := Parse(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		s, err := p.Open(t.Context())
		if s != nil || !errors.As(err, new(*UsageError)) {
			t.Errorf("%s: got %v, %v, want a UsageError", url, s, err)
		}
		if strings.Contains(url, "@") && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the error has the password: %v", url, err)
		}
		if wrong := new(UsageError); errors.As(err, &wrong) && (wrong.Hint != "") != strings.HasPrefix(url, "unheard") {
			t.Errorf("%s: got the hint %q, want one for an unknown scheme only", url, wrong.Hint)
		}
	}
}

// TestSync checks that engines elsewhere refuse the setting, instead of ignoring it.
func TestSync(t *testing.T) {
	for url, want := range map[string]bool{
		"disk:x": true, "sqlite:x": true, "tokyocabinet:x.tch": false,
		"postgres://h/d": false, "mysql://h/d": false, "redis://h": false, "memcached://h": false,
	} {
		p, err := Parse(url)
		if err != nil || p.TakesSync() != want {
			t.Errorf("%s: got %v, %v, want %v", url, p.TakesSync(), err, want)
			continue
		}
		if p.Sync = "never"; !want {
			if _, err := p.Open(t.Context()); !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), "sync") {
				t.Errorf("%s: got %v, want that it has no such setting", url, err)
			}
		}
	}
}

// TestOpen opens the stores that are files: they are missing before, and keep the
// committed job.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, url := range []string{"disk:" + filepath.Join(dir, "queue"), "sqlite:" + filepath.Join(dir, "a.db"), "sqlite://" + filepath.Join(dir, "b.db")} {
		p, err := Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		if p.Sync = "never"; !p.Missing() {
			t.Errorf("%s: not missing before it was opened", url)
		}
		for i := range 2 {
			s, err := p.Acquire(t.Context(), "test", false)
			if err != nil {
				t.Fatalf("%s: %v", url, err)
			}
			var text strings.Builder
			if err := dump.Write(t.Context(), &text, s); err != nil || !strings.Contains(text.String(), [...]string{`"jobs":0`, `"jobs":1`}[i]) {
				t.Errorf("%s: %v, dump of %q", url, err, text.String())
			}
			r := &store.Record{Seq: 1, Function: "f"}
			if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: r}}); err != nil {
				t.Errorf("%s: %v", url, err)
			}
			if err := Close(s); err != nil {
				t.Errorf("%s: %v", url, err)
			}
		}
		if p.Missing() {
			t.Errorf("%s: missing after it was opened", url)
		}
	}
	if err := Close(nil); err != nil {
		t.Errorf("close of no store: %v", err)
	}
}

// TestOpenFails checks that an error of a driver is neither hidden nor one of usage.
func TestOpenFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Parse("disk:" + filepath.Join(file, "queue"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Open(t.Context())
	if s != nil || err == nil || errors.As(err, new(*UsageError)) {
		t.Errorf("below a file: got %v, %v, want an error of the system", s, err)
	}
}
