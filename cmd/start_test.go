package cmd

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gm/cmd/cli"
)

// The limits of allocations by the packages of gm before main, for any verb. Allocations
// are the same on each machine. A package over the limit fills tables or compiles
// expressions that only some verbs need.
const (
	mostInitAllocs = 48
	mostInitBytes  = 12 << 10
	mostAllAllocs  = 700 // of all packages together
	mostAllBytes   = 120 << 10
)

// moreInit is the packages that may do more, and why they are linked still.
var moreInit = map[string]struct{ allocs, bytes int }{
	"github.com/olekukonko/tablewriter": {230, 24 << 10}, // tables; the next line of versions does 100 times as much
	"github.com/lib/pq/pqerror":         {8, 20 << 10},   // names of PostgreSQL's errors
}

// TestStart runs gm and counts the allocations before main.
func TestStart(t *testing.T) {
	gm := filepath.Join(t.TempDir(), "gm")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", gm, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	start := exec.Command(gm, "--version")
	start.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	start.Stderr = &trace
	if err := start.Run(); err != nil {
		t.Fatal(err)
	}
	packages, allAllocs, allBytes := 0, 0, 0
	lines := bufio.NewScanner(&trace)
	for lines.Scan() {
		var path string
		var at, clock float64
		var size, allocs int
		_, err := fmt.Sscanf(lines.Text(), "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &path, &at, &clock, &size, &allocs)
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		packages, allAllocs, allBytes = packages+1, allAllocs+allocs, allBytes+size
		most := moreInit[path]
		if allocs > max(most.allocs, mostInitAllocs) || size > max(most.bytes, mostInitBytes) {
			t.Errorf("%s: %d allocations, %d bytes before main; want at most %d, %d",
				path, allocs, size, max(most.allocs, mostInitAllocs), max(most.bytes, mostInitBytes))
		}
	}
	if packages < 10 {
		t.Errorf("the trace has %d packages:\n%s", packages, trace.String())
	}
	if allAllocs > mostAllAllocs || allBytes > mostAllBytes {
		t.Errorf("%d allocations, %d bytes before main; want at most %d, %d", allAllocs, allBytes, mostAllAllocs, mostAllBytes)
	}
}

// TestOneVerbIsMade counts the cost of a command line before its action.
func TestOneVerbIsMade(t *testing.T) {
	line := strings.Fields("submit -s host:1 -f func hello")
	var root *cli.Verb
	allocs := testing.AllocsPerRun(10, func() {
		root = newRoot(&env{})
		call, err := cli.ParseArgs(root, line)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Context(); err != nil {
			t.Fatal(err)
		}
	})
	if len(root.Made) != 1 || root.Made["submit"] == nil {
		t.Errorf("got %d verbs made, want submit alone", len(root.Made))
	}
	if allocs > 500 {
		t.Errorf("got %v allocations, want at most 500", allocs)
	}
}
