package systest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFullOutput fills the disk that the results go to. The run ends with 74, and
// its joblog says that a record was done only if its output is there whole: with
// room again, --resume makes the output complete, each record once.
func TestFullOutput(t *testing.T) {
	const records, size = 700, 1 << 20
	tests := []struct {
		name string
		args string // DISK is on the disk that fills up, ROOM is not
	}{
		{"stdout", "map -f echo --joblog ROOM/log --resume >> DISK/out"},
		{"unordered", "submit -n -f echo --joblog ROOM/log --resume >> DISK/out"},
		{"tagged", "map -f echo --tag --joblog ROOM/log --resume >> DISK/out"},
		{"joblog beside it", "map -f echo --joblog DISK/log --resume >> DISK/out"},
		{"joblog alone", "map -f echo --joblog DISK/log --resume >> ROOM/out"},
		{"a file each", "map -f echo --out DISK/{#} --joblog ROOM/log --resume"},
		{"a file each, and the joblog", "map -f echo --out DISK/{#} --joblog DISK/log --resume"},
		{"a folder each", "map -f echo --results DISK/res --joblog ROOM/log --resume"},
	}
	srv := serveGM(t)
	startResumeWorker(t, srv)
	var in strings.Builder
	for n := 1; n <= records; n++ {
		fmt.Fprintf(&in, "%04d %s\n", n, strings.Repeat("x", 1000))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			disk, room := smallDisk(t, size), t.TempDir()
			line := strings.NewReplacer("DISK", disk, "ROOM", room).Replace(tt.args)
			run := func() (code int, stderr string) {
				cmd := exec.Command("sh", "-c", "exec gm "+line)
				cmd.Env = append(os.Environ(), "GEARMAN_SERVERS="+srv.addr())
				cmd.Stdin = strings.NewReader(in.String())
				var said strings.Builder
				cmd.Stderr = &said
				var exit *exec.ExitError
				if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				return cmd.ProcessState.ExitCode(), said.String()
			}
			filler := filepath.Join(disk, "filler")
			free := int64(300 << 10)
			if tt.name == "joblog alone" {
				free = 64 << 10
			}
			fillFile(t, filler, size-int(free))
			for range 2 { // a run that finds it full loses nothing either
				code, stderr := run()
				if code != 74 || !strings.Contains(stderr, "no space left") {
					t.Fatalf("got exit code %d, want 74 for a full disk:\n%s", code, stderr)
				}
			}
			remove(t, filler)
			if err := exec.Command("mount", "-o", "remount,size=64m", disk).Run(); err != nil {
				t.Fatalf("remount: %v", err)
			}
			if code, stderr := run(); code != 0 {
				t.Fatalf("with room: got exit code %d, want 0:\n%s", code, stderr)
			}
			checkFullOutput(t, tt.args, disk, room, in.String())
		})
	}
}

// checkFullOutput compares the results with the records.
func checkFullOutput(t *testing.T, args, disk, room, in string) {
	t.Helper()
	var got []string
	switch path := filepath.Join(disk, "out"); {
	case strings.Contains(args, "--out"), strings.Contains(args, "--results"):
		for n := range strings.Count(in, "\n") {
			name := filepath.Join(disk, fmt.Sprint(n+1))
			if strings.Contains(args, "--results") {
				name = filepath.Join(disk, "res", fmt.Sprint(n+1), "stdout")
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(text)+"\n")
		}
	default:
		if strings.Contains(args, "ROOM/out") {
			path = filepath.Join(room, "out")
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got = strings.SplitAfter(string(text), "\n")
	}
	seen := map[string]int{}
	for _, line := range got {
		if _, tagged, found := strings.Cut(line, "\t"); found {
			line = tagged
		}
		seen[line]++
	}
	for want := range strings.Lines(in) {
		if seen[want] != 1 {
			t.Fatalf("record %.4s is in the output %d times, want once", want, seen[want])
		}
	}
}
