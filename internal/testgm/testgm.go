// Package testgm holds the test helpers that packages cmd and cmd/systest share.
package testgm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// RunTests runs the tests of m and exits. While they run, the command gm in PATH
// calls gm with the arguments of the command line, and exits with the code that it
// returns.
func RunTests(m *testing.M, gm func(args []string) int) {
	testscript.Main(plainDebian{m}, map[string]func(){
		"gm": func() { os.Exit(gm(os.Args)) },
	})
}

// plainDebian runs the tests with mawk, the awk of a plain Debian, even if another awk
// is installed: the examples of README and of the help texts must work with it.
type plainDebian struct{ *testing.M }

func (m plainDebian) Run() int {
	mawk, err := exec.LookPath("mawk")
	if err != nil {
		return m.M.Run()
	}
	dir, err := os.MkdirTemp("", "gm-awk")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Symlink(mawk, filepath.Join(dir, "awk")); err != nil {
		panic(err)
	}
	os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return m.M.Run()
}
