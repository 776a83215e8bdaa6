package cmd

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"gm/cmd/cli"
)

func TestNameOf(t *testing.T) {
	for _, test := range []struct{ arg0, want string }{
		{"gm", "gm"},
		{"/usr/bin/gm", "gm"},
		{"./jobber", "jobber"},
		{"gm-1.2", "gm-1.2"},
		{"gm.exe", "gm"},
		{"my_gm", "my_gm"},
		{"-gm", "gm"}, // a login shell
		{"", "gm"},
		{"/", "gm"},
		{"two words", "gm"},
		{"a;b", "gm"},
		{"größe", "gm"},
	} {
		if got := cli.NameOf(test.arg0); got != test.want {
			t.Errorf("%q: got %q, want %q", test.arg0, got, test.want)
		}
	}
}

// nameProgram gives the program another name for one test.
func nameProgram(t *testing.T, name string) {
	old := cli.ProgramName
	cli.ProgramName = name
	t.Cleanup(func() { cli.ProgramName = old })
}

func TestRenameProgram(t *testing.T) {
	nameProgram(t, "jobber")
	for _, test := range []struct{ text, want string }{
		{"gm", "jobber"},
		{"gm help VERB tells more; gm man VERB too", "jobber help VERB tells more; jobber man VERB too"},
		{"(gm serve)", "(jobber serve)"},
		{"the pages gm.1 and gm-VERB.1", "the pages jobber.1 and jobber-VERB.1"},
		{"stop gm. Start gm: wait", "stop jobber. Start jobber: wait"},
		{"by gm.", "by jobber."},
		{"sh -c 'gm tell status 3 10'", "sh -c 'jobber tell status 3 10'"},
		{"seq 9 | gm map", "seq 9 | jobber map"},
		{"gm's own", "jobber's own"},
		{`"gm-exit: 3 (exit status 3)"`, `"gm-exit: 3 (exit status 3)"`},
		{"~/.config/gm/config.toml", "~/.config/gm/config.toml"},
		{"disk:/var/lib/gm", "disk:/var/lib/gm"},
		{"/usr/local/bin/gm serve", "/usr/local/bin/jobber serve"},
		{"postgres://gm@db/jobs", "postgres://gm@db/jobs"},
		{"GM_STORE and sigma", "GM_STORE and sigma"},
		{"nothing", "nothing"},
		{"", ""},
	} {
		if got := cli.RenameProgram(test.text); got != test.want {
			t.Errorf("%q: got %q, want %q", test.text, got, test.want)
		}
	}
}

// TestOtherNameEverywhere renders every help text, manual page and completion under
// another name and looks for the old one.
func TestOtherNameEverywhere(t *testing.T) {
	nameProgram(t, "jobber")
	e, stderr := testEnv(os.Getenv)
	e.Root = newRoot(e)
	texts := map[string]string{}
	eachVerb(e.Root, nil, func(_ []string, v *cli.Verb) {
		path := []*cli.Verb{e.Root, v}
		texts["help of "+v.Name] = string(cli.FullHelp(path))
		texts["short help of "+v.Name] = string(cli.ShortHelp(path))
		texts["page of "+v.Name] = string(cli.ManPage(path, ""))
	})
	for i := range e.Root.Program.Topics {
		topic := &e.Root.Program.Topics[i]
		texts["help of "+topic.Name] = string(cli.TopicHelp(topic))
		texts["page of "+topic.Name] = string(cli.TopicPage(e.Root, topic, ""))
	}
	texts["help"] = string(cli.FullHelp([]*cli.Verb{e.Root}))
	texts["page"] = string(cli.ManPage([]*cli.Verb{e.Root}, ""))
	for _, shell := range cli.Shells {
		texts["completion of "+shell.Name] = cli.RenameCompletion(shell.Write(cli.CompVerbs(e.Root)))
	}
	e.Report(cli.UsageErrorf("no"), cli.ExitUsage, "gm help tells more")
	texts["message"] = stderr.String()
	if len(texts) < 60 {
		t.Errorf("%d texts, want more", len(texts))
	}
	for name, text := range texts {
		if !strings.Contains(text, "jobber") {
			t.Errorf("%s: the new name is missing", name)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, ".TH ") {
				line = strings.Replace(line, `"gm `, `"`, 1) // the version of gm
			}
			line = strings.ReplaceAll(line, "/var/lib/gm ", "")
			if strings.Contains(line, "gm ") || strings.Contains(line, "_gm") || strings.Contains(line, `gm\-V`) {
				t.Errorf("%s: has the old name: %s", name, line)
			}
		}
	}
}

// TestInstall installs gm twice into one directory, under its own name and under
// another one.
func TestInstall(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts/install.sh needs bash")
	}
	dir := t.TempDir()
	gm := filepath.Join(dir, "built")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", gm, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	install := func(bin string) error {
		c := exec.Command("bash", "../scripts/install.sh", gm)
		c.Env = append(os.Environ(), "PREFIX=/usr", "BIN="+bin, "DESTDIR="+filepath.Join(dir, "root"))
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	for _, bin := range []string{"gm", "jobber"} {
		if err := install(bin); err != nil {
			t.Fatalf("install %s: %v", bin, err)
		}
	}
	for _, bin := range []string{"gm", "jobber"} {
		checkInstalled(t, filepath.Join(dir, "root", "usr"), bin)
	}
	if err := install("../x"); err == nil {
		t.Error("BIN=../x was installed")
	}
}

// checkInstalled checks the files that scripts/install.sh writes.
func checkInstalled(t *testing.T, prefix, bin string) {
	for file, want := range map[string]string{
		"share/man/man1/" + bin + ".1":                     `\fB` + bin + `\-serve\fR(1)`,
		"share/man/man1/" + bin + "-submit.1":              `\fB` + bin + ` submit\fR`,
		"share/man/man7/" + bin + "-sql.7":                 `\fB` + bin + `\-outbox\fR(1)`,
		"share/bash-completion/completions/" + bin:         "complete -o bashdefault -F _" + bin + " " + bin + "\n",
		"share/zsh/site-functions/_" + bin:                 "#compdef " + bin + "\n",
		"share/fish/vendor_completions.d/" + bin + ".fish": "complete -c " + bin + " -f\n",
	} {
		text, err := os.ReadFile(filepath.Join(prefix, file))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(string(text), want) {
			t.Errorf("%s: no %q", file, want)
		}
	}
	out, err := exec.Command(filepath.Join(prefix, "bin", bin), "help", "submit").Output()
	if err != nil || !strings.HasPrefix(string(out), bin+" submit - ") {
		t.Errorf("%s help submit: %v\n%s", bin, err, head(string(out)))
	}
	for _, shell := range []struct{ name, file string }{
		{"bash", "share/bash-completion/completions/" + bin},
		{"zsh", "share/zsh/site-functions/_" + bin},
		{"fish", "share/fish/vendor_completions.d/" + bin + ".fish"},
	} {
		if _, err := exec.LookPath(shell.name); err != nil {
			t.Logf("%s is not installed: it does not read its completion", shell.name)
			continue
		}
		if out, err := exec.Command(shell.name, "-n", filepath.Join(prefix, shell.file)).CombinedOutput(); err != nil {
			t.Errorf("%s -n %s: %v\n%s", shell.name, shell.file, err, out)
		}
	}
}
