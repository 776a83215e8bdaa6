package cmd

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"gm/cmd/cli"
	"gm/pkg/store/storetest"
)

// readmeBlocks returns the indented blocks of README.
func readmeBlocks(t *testing.T) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	inBlock := false
	for line := range strings.Lines(string(text)) {
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case indented && !inBlock:
			blocks = append(blocks, code)
		case indented:
			blocks[len(blocks)-1] += code
		}
		inBlock = indented
	}
	return blocks
}

// TestReadmeCommandsParse parses each command of gm in README, with its flags.
func TestReadmeCommandsParse(t *testing.T) {
	parsed := 0
	for _, block := range readmeBlocks(t) {
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, " #")
			line = strings.ReplaceAll(line, "$(", "\n")
			_, afterVariable, ok := strings.Cut(line, "jobs gm serve") // GM_STORE=URL gm serve
			if ok {
				line = "gm serve" + afterVariable
			}
			for _, words := range gmCommands(line) {
				if len(words) > 0 && strings.HasSuffix(words[0], ",") {
					continue // a line of the picture
				}
				parsed++
				if _, err := cli.ParseArgs(testRoot(), words); err != nil {
					t.Errorf("%s: %v", line, err)
				}
			}
		}
	}
	if parsed < 25 {
		t.Errorf("%d commands, want more", parsed)
	}
}

// TestReadmeBegins pastes the first block of README into a shell, which stops the
// programs at its end.
func TestReadmeBegins(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the block is for a Unix shell")
	}
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	script := "trap 'kill %1; wait; gm admin shutdown --yes' EXIT\n" + readmeBlocks(t)[0]
	cmd := exec.CommandContext(t.Context(), "bash", "-m", "-e", "-c", script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "GEARMAND_PORT="+strconv.Itoa(port), "GEARMAN_SERVERS=localhost:"+strconv.Itoa(port))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := strings.Split(stdout.String(), "\n")
	if lines[0] != "HELLO" || len(lines) < 5 || lines[1] != strings.ToUpper(lines[1]) || !strings.HasPrefix(lines[4], "upper\t0\t0\t4") {
		t.Errorf("printed\n%s", stdout.String())
	}
}
