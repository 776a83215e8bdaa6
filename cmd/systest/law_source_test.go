package systest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestQueueHasNoClock checks that the queue uses package time only for durations.
func TestQueueHasNoClock(t *testing.T) {
	files, err := filepath.Glob("../../pkg/queue/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of the queue: %v", err)
	}
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|AfterFunc|NewTimer|NewTicker|Tick)\b`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if use := clock.Find(text); use != nil && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s uses %s: time is passed in", file, use)
		}
	}
}

// TestCmdStartsNoGoroutine checks that no file of cmd starts a goroutine: an engine belongs
// to another room.
func TestCmdStartsNoGoroutine(t *testing.T) {
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of cmd: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if startsGoroutine(n) {
				t.Errorf("%v: cmd may not start a goroutine", set.Position(n.Pos()))
			}
			return true
		})
	}
}

// startsGoroutine reports whether a node is a go statement, or a call of a method Go as
// sync.WaitGroup has it.
func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		method, ok := n.Fun.(*ast.SelectorExpr)
		return ok && method.Sel.Name == "Go"
	}
	return false
}

// TestGoroutinesAreFound checks startsGoroutine.
func TestGoroutinesAreFound(t *testing.T) {
	for text, want := range map[string]int{
		"go f()": 1, "wg.Go(f)": 1, "f()": 0, "x.Going()": 0, "defer func() { go f() }()": 1,
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc _() { "+text+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		ast.Inspect(parsed, func(n ast.Node) bool {
			if startsGoroutine(n) {
				got++
			}
			return true
		})
		if got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}
