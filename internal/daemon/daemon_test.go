package daemon

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPIDFile writes a pid file, and removes it only if this process has written it.
func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	other := strconv.Itoa(os.Getppid()) + "\n"
	if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &PIDFile{Path: path}
	if err := f.WriteIfFree(); err != nil {
		t.Fatal(err)
	}
	f.Remove()
	if text, err := os.ReadFile(path); err != nil || string(text) != other {
		t.Errorf("the file of a running process: got %q, %v, want %q", text, err, other)
	}

	for name, text := range map[string]string{"this process": strconv.Itoa(os.Getpid()), "no process": "0\n", "no number": "x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := &PIDFile{Path: path}
		if err := f.WriteIfFree(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := os.ReadFile(path)
		if want := strconv.Itoa(os.Getpid()) + "\n"; err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
		f.Remove()
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: after Remove: %v, want no file", name, err)
		}
	}
}

// TestPIDFileWithoutPath calls the methods of a pid file without a path.
func TestPIDFileWithoutPath(t *testing.T) {
	t.Chdir(t.TempDir())
	var f PIDFile
	if err := f.Write(); err != nil {
		t.Error(err)
	}
	if err := f.WriteIfFree(); err != nil {
		t.Error(err)
	}
	f.Remove()
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("got %v, %v, want no file", files, err)
	}
}

// TestPIDFileThatCannotBeWritten checks that the error names the operation and the file.
func TestPIDFileThatCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nosuch", "pid")
	err := (&PIDFile{Path: path}).Write()
	if err == nil || !strings.HasPrefix(err.Error(), "write pid file: ") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want write pid file and %s", err, path)
	}
}
