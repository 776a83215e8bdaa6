package systest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// renamedPath is the path that the test gives to a copy of the module.
const renamedPath = "example.org/somebody/gm"

// A copy of the module under another path builds, and a program of another module
// imports its packages and runs a job with them.
func TestRenamedModuleIsImported(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the module under another path")
	}
	t.Parallel()
	renamed, outside := t.TempDir(), t.TempDir()
	copyModule(t, "../..", renamed)
	runIn(t, renamed, "bash", "scripts/rename-module.sh", renamedPath)
	if got := strings.TrimSpace(runIn(t, renamed, "go", "list", "-m")); got != renamedPath {
		t.Fatalf("the module is %s, want %s", got, renamedPath)
	}
	law, err := os.ReadFile("law_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(renamed, "cmd", "systest", "law_test.go")); err != nil || string(got) != string(law) {
		t.Errorf("the law has changed, %v", err)
	}
	if rest := oldImports(t, renamed); len(rest) > 0 {
		t.Errorf("these files still name the old path: %q", rest)
	}
	runIn(t, renamed, "bash", "scripts/rename-module.sh", renamedPath) // changes nothing more
	runIn(t, renamed, "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", os.DevNull, ".")

	copyFile(t, filepath.Join(renamed, "go.sum"), filepath.Join(outside, "go.sum"))
	writeText(t, filepath.Join(outside, "go.mod"), "module example.com/outside\n\ngo 1.26\n\n"+
		"require "+renamedPath+" v0.0.0\n\nreplace "+renamedPath+" => "+renamed+"\n")
	writeText(t, filepath.Join(outside, "main.go"), outsideProgram)
	got := runIn(t, outside, "go", "run", "-trimpath", "-mod=mod", ".")
	if want := "client: OLLEH\nbatch: ENO OWT EERHT\nwork: HELLO, <nil>\nadmin: upside-down 0\n"; got != want {
		t.Errorf("the program prints %q, want %q", got, want)
	}
}

// The script refuses texts that are no module path, and changes nothing.
func TestRenameModuleRefusesPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o700); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "../../scripts/rename-module.sh", filepath.Join(dir, "scripts", "rename-module.sh"))
	writeText(t, filepath.Join(dir, "go.mod"), "module gm\n")
	for _, path := range []string{"", "gm", "you/gm", "github.com", "github.com/", "github.com/you/gm/", "https://github.com/you/gm", "github.com/you/g m", "github.com/you/g#m"} {
		cmd := exec.Command("bash", "scripts/rename-module.sh", path)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "usage: ") {
			t.Errorf("%q: %v, %s", path, err, out)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "go.mod")); err != nil || string(got) != "module gm\n" {
		t.Errorf("go.mod is %q, %v", got, err)
	}
}

// outsideProgram starts a server and two workers, of which one runs a program, and uses
// them with a client, a batch and an administrator.
const outsideProgram = `package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"slices"

	"` + renamedPath + `/pkg/batch"
	"` + renamedPath + `/pkg/gearman"
	"` + renamedPath + `/pkg/server"
	"` + renamedPath + `/pkg/work"
)

func main() {
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)
	defer srv.Close()
	o := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}}}

	upper := func(next gearman.Handler) gearman.Handler {
		return func(ctx context.Context, j *gearman.Job) ([]byte, error) {
			data, err := next(ctx, j)
			return bytes.ToUpper(data), err
		}
	}
	worker, err := gearman.NewWorker(gearman.WorkerOptions{
		Options: o, Middleware: []func(gearman.Handler) gearman.Handler{upper},
	})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("upside-down", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		data := bytes.Clone(j.Payload())
		slices.Reverse(data)
		return data, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	go worker.Run(ctx)
	defer worker.Stop()

	client, err := gearman.NewClient(o)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result, err := client.Do(ctx, &gearman.Task{Function: "upside-down", Payload: []byte("hello"), Priority: gearman.High})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("client: %s\n", result.Data)

	fmt.Print("batch:")
	b := &batch.Batch{
		Client: client,
		Task:   gearman.Task{Function: "upside-down"},
		Data:   func(r *batch.Record, piece []byte) error { fmt.Printf(" %s", piece); return nil },
	}
	words := batch.Records{{Payload: []byte("one")}, {Payload: []byte("two")}, {Payload: []byte("three")}}
	if _, err := b.Run(ctx, &words); err != nil {
		log.Fatal(err)
	}
	fmt.Println()

	program, err := work.New(work.Config{Options: o, Functions: []string{"shout"}, Command: []string{"tr", "a-z", "A-Z"}})
	if err != nil {
		log.Fatal(err)
	}
	ended, stop := context.WithCancel(ctx)
	stopped := make(chan error)
	go func() { stopped <- program.Run(ended) }()
	if result, err = client.Do(ctx, &gearman.Task{Function: "shout", Payload: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	stop()
	fmt.Printf("work: %s, %v\n", result.Data, <-stopped)

	admin := gearman.NewAdmin(o.Servers[0], o)
	defer admin.Close()
	var functions []gearman.FunctionStatus
	if functions, err = admin.Status(ctx); err != nil {
		log.Fatal(err)
	}
	for _, f := range functions[:1] {
		fmt.Printf("admin: %s %d\n", f.Function, f.Total)
	}
}
`

// copyModule copies the files of a module without its history, programs and the
// modules of node.
func copyModule(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch {
		case entry.Name() == ".git", entry.Name() == "node_modules", rel == "bin":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case entry.Type().IsRegular():
			copyFile(t, name, filepath.Join(to, rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, to, string(data))
}

// oldImports returns the Go files below dir that import a package of the module by its
// old path.
func oldImports(t *testing.T, dir string) (names []string) {
	t.Helper()
	old := modulePath(t)
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil && under(path, old) {
				names = append(names, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// runIn runs a command in dir, without network, and returns its stdout.
func runIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.String())
	}
	return string(out)
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
