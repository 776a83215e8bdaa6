package udf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCore runs the tests of the C client with sanitizers. make udf-test also runs the
// fuzz driver, and is part of make check, whose tests are short.
func TestCore(t *testing.T) {
	if testing.Short() {
		t.Skip("make udf-test runs the tests of the C client")
	}
	for _, program := range []string{"make", "cc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not there: %v", program, err)
		}
	}
	source := t.TempDir()
	if err := os.CopyFS(source, os.DirFS("core")); err != nil { // go test repeats the test if a file changes
		t.Fatal(err)
	}
	out, err := exec.Command("make", "--no-print-directory", "-C", filepath.Join(source, "test"), "unit", "BUILD="+t.TempDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("make unit: %v\n%s", err, out)
	}
}
