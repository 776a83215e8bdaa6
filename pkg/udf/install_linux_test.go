package udf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall checks the directories into which make udf-install would install, with
// programs of our own in place of those of the databases.
func TestInstall(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skipf("make is not there: %v", err)
	}
	dir := t.TempDir()
	script := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
		return file
	}
	config := script("config", "[ \"$*\" = --plugindir ] && echo /from/config\n")
	server := script("server", "[ \"$*\" = '--no-defaults --verbose --help' ] && printf 'pid-file  /x\\nplugin-dir      /from/server/\\n'\n")
	for _, test := range []struct {
		variables []string
		want      string // "": it fails
	}{
		{[]string{"SERVER=" + server}, "/from/server"},
		{[]string{"SERVER=" + server, "MARIADB_CONFIG=" + config}, "/from/config"},
		{[]string{"SERVER=", "MYSQL_CONFIG=" + config}, "/from/config"},
		{[]string{"SERVER=" + server, "MYSQL_CONFIG=" + config, "PLUGIN_DIR=/named/"}, "/named"},
		{[]string{"SERVER="}, ""},
	} {
		root := filepath.Join(dir, "root")
		library := filepath.Join(dir, "gearman_udf.so")
		if err := os.WriteFile(library, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		// The built library is not older than any file.
		cmd := exec.Command("make", append([]string{"-C", "mysql", "install", "BUILD=" + dir, "--assume-old=" + library, "DESTDIR=" + root, "PREFIX=/usr"}, test.variables...)...)
		out, err := cmd.CombinedOutput()
		if test.want == "" {
			if err == nil || !strings.Contains(string(out), "name the directory with PLUGIN_DIR= or MYSQL_CONFIG=") {
				t.Errorf("%v: %v\n%s", test.variables, err, out)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v\n%s", test.variables, err, out)
			continue
		}
		for _, file := range []string{test.want + "/gearman_udf.so", "/usr/share/gearman-udf/install.sql", "/usr/share/gearman-udf/uninstall.sql"} {
			if _, err := os.Stat(root + file); err != nil {
				t.Errorf("%v: %v\n%s", test.variables, err, out)
			}
		}
		note := strings.Contains(string(out), "note: "+server+" has its plugins in /from/server/")
		if want := test.want == "/from/config" && test.variables[0] != "SERVER="; note != want {
			t.Errorf("%v: a note on the server's directory: %v, want %v\n%s", test.variables, note, want, out)
		}
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
	}
}
