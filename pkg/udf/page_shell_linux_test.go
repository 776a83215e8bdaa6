package udf_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// pageShell is a shell that runs the blocks of the page one after the other. Its
// commands in the background end with it. It ends with this process.
type pageShell struct {
	in       io.WriteCloser
	done     *os.File // gets a line after each block
	lines    *bufio.Reader
	out, err string // the files of its output
	end      func() // ends it and its commands
}

func startPageShell(t *testing.T, dir string, env ...string) *pageShell {
	t.Helper()
	s := &pageShell{out: filepath.Join(dir, "page.out"), err: filepath.Join(dir, "page.err")}
	cmd := exec.Command("bash", "-e", "-u", "-o", "pipefail")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.done, s.lines = read, bufio.NewReader(read)
	cmd.ExtraFiles = []*os.File{write}
	for file, stream := range map[string]*io.Writer{s.out: &cmd.Stdout, s.err: &cmd.Stderr} {
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		*stream = f
	}
	if s.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	s.end = sync.OnceFunc(func() {
		s.in.Close()
		_ = cmd.Wait() // the code of a command that was killed
		read.Close()
	})
	t.Cleanup(s.end)
	fmt.Fprintln(s.in, "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT")
	return s
}

// run runs commands and waits for the end of those in the foreground.
func (s *pageShell) run(t *testing.T, commands string) {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null 3>&-\necho >&3\n", commands); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, s.errors())
	}
	if err := s.done.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.lines.ReadString('\n'); err != nil {
		t.Fatalf("%s: %v\n%s", commands, err, s.errors())
	}
}

// waitOutput waits until the commands have printed a text.
func (s *pageShell) waitOutput(t *testing.T, text string) {
	t.Helper()
	late := time.Now().Add(patience)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		out, err := os.ReadFile(s.out)
		switch {
		case err != nil:
			t.Fatal(err)
		case strings.Contains(string(out), strings.TrimSpace(text)):
			return
		case time.Now().After(late):
			t.Fatalf("the output after %s is\n%s\nwithout\n%s\n%s", patience, out, text, s.errors())
		}
	}
}

func (s *pageShell) errors() string {
	text, _ := os.ReadFile(s.err)
	return string(text)
}
