package cmd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gm/cmd/cli"
)

// TestExamplesWork pastes each example of each help text into a shell, while a server with
// a worker and jobs runs. The examples of the verbs with records, and of work and tell, have
// scripts of their own, because they need workers of other functions, and so have those of
// outbox, because they need a database.
func TestExamplesWork(t *testing.T) {
	elsewhere := []string{
		"submit", "map", "pipe", "work", "tell status", "tell warn", "tell data",
		"outbox", "outbox install", "outbox trigger", "outbox run", "outbox status", "outbox dead", "outbox retry", "outbox purge",
	}
	data := t.TempDir()
	server := servePiped(t, "--data", filepath.Join(data, "live"), "--keep-results", "1h", "--work", "resize=cat").addr.String()
	for _, args := range [][]string{
		{"submit", "-s", server, "-b", "-f", "resize", "x"},
		{"submit", "-s", server, "-b", "--in", "1h", "-f", "thumbnail", "x"},
	} {
		if out, err := exec.Command("gm", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	e, _ := testEnv(os.Getenv)
	tried := 0
	eachVerb(e.Root, nil, func(words []string, v *cli.Verb) {
		name := strings.Join(words, " ")
		if slices.Contains(elsewhere, name) {
			return
		}
		examples := v.Examples
		if name == "admin shutdown" { // nothing would work behind it
			examples = nil
		}
		for _, x := range examples {
			tried++
			t.Run(name+": "+x.What, func(t *testing.T) { pasteExample(t, name, x.Line, server) })
		}
	})
	for _, x := range e.Root.Examples {
		if !strings.Contains(x.Line, "--watch") && !strings.Contains(x.Line, "submit") {
			t.Run("gm: "+x.What, func(t *testing.T) { pasteExample(t, "serve", x.Line, server) })
		}
	}
	if tried < 30 {
		t.Errorf("%d examples, there are more", tried)
	}
}

// pasteExample runs a line of a help text in an empty directory.
func pasteExample(t *testing.T, verb, line, server string) {
	dir := t.TempDir()
	shell := "sh"
	switch {
	case strings.Contains(line, "Out-String"):
		shell = "pwsh"
	case strings.Contains(line, "completion zsh"):
		shell = "zsh"
		line = "autoload -U compinit; compinit -u; " + line
	case strings.Contains(line, "<("):
		shell = "bash"
	}
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("no %s for %s", shell, line)
	}
	line = strings.NewReplacer(
		"/var/lib/gm", dir+"/gm", "/var/lib/gearmand.db", dir+"/gearmand.db", "postgres://gm@db/jobs", "disk:"+dir+"/target",
		"redis://localhost/0", "disk:"+dir+"/source", "disk:old", "disk:"+dir+"/source", "sleep 60", "true", "sleep 1", "true",
		"localhost,127.0.0.1:4731", server+",127.0.0.1:1",
	).Replace(line)
	if strings.HasPrefix(verb, "store") {
		for _, to := range []string{"disk:" + dir + "/gm", "disk:" + dir + "/source", "sqlite:" + dir + "/gearmand.db", "sqlite:" + dir + "/gm/queue.db"} {
			if strings.Contains(line, "load "+to) {
				continue // it must be empty
			}
			if strings.Contains(to, "gm/queue.db") && !strings.Contains(line, "gm/queue.db") || to == "disk:"+dir+"/gm" && strings.Contains(line, "gm/queue.db") {
				continue
			}
			if strings.Contains(to, "gm/queue.db") {
				os.Mkdir(dir+"/gm", 0o700) //nolint:errcheck // the load fails then
			}
			load := exec.Command("gm", "store", "load", "--partial", to)
			load.Stdin = strings.NewReader(`{"function":"resize","payload":"eA=="}` + "\n")
			if out, err := load.CombinedOutput(); err != nil {
				t.Fatalf("load %s: %v\n%s", to, err, out)
			}
		}
	}
	if verb == "serve" {
		line += " --check-args"
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptPatience)
	defer cancel()
	line = strings.Replace(line, "--watch", "--watch --count 1", 1)
	cmd := exec.CommandContext(ctx, shell, "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "GEARMAN_SERVERS="+server)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) || strings.Contains(string(out), "gm: unknown") {
		t.Errorf("%s: %v\n%s", line, err, head(string(out)))
	}
}

// head returns the beginning of a text.
func head(text string) string { return text[:min(len(text), 2000)] }
