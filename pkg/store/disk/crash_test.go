package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
)

// childDir names the variable that makes the test binary a process that
// commits to the store in that directory until it is killed.
const childDir = "GM_TEST_DISK_DIR"

// child prints the number of each batch that is durable. A batch adds ten jobs
// and ends five of those of the batch before.
func child() int {
	s, err := Open(context.Background(), Config{Dir: os.Getenv(childDir)})
	if err == nil {
		err = s.TryLock(context.Background(), fmt.Sprint("child.example, pid ", os.Getpid()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	first, _ := strconv.Atoi(os.Getenv(childDir + "_FIRST"))
	for n := first; ; n++ {
		if err := s.Commit(context.Background(), childBatch(n)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(n)
	}
}

func childBatch(n int) []store.Op {
	var batch []store.Op
	for i := range 10 {
		r := childJob(n, i)
		batch = append(batch, store.Op{Kind: store.Add, Record: &r})
		if i < 5 && n > 0 {
			r := childJob(n-1, i)
			batch = append(batch, store.Op{Kind: store.Done, Record: &r})
		}
	}
	return batch
}

func childJob(n, i int) store.Record {
	return store.Record{
		Seq: uint64(n*10 + i + 1), Function: "f", Unique: fmt.Sprint(n, "/", i),
		Payload: []byte(strings.Repeat(fmt.Sprint(n), 1+(n*7+i)%900)),
	}
}

// startChild starts a child and returns it with its output.
func startChild(t *testing.T, dir string, first int) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childDir+"_FIRST="+strconv.Itoa(first))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, out
}

// TestKilled kills a process that commits, again and again: no batch that it
// reported as durable is lost.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	random := rand.New(rand.NewPCG(7, 8))
	last := -1
	for round := range rounds {
		cmd, out := startChild(t, dir, last+1)
		time.AfterFunc(time.Duration(20+random.IntN(200))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			last = n
		}
		_ = cmd.Wait()

		s := openDir(t, dir)
		found := make(map[uint64]string)
		err := s.Replay(t.Context(), func(r *store.Record) error {
			found[r.Seq] = string(r.Payload)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// The batch after the last that was printed is there or not.
		next := last + 1
		if r := childJob(next, 0); found[r.Seq] == "" {
			next = last
		}
		for n := 0; n <= next; n++ {
			for i := range 10 {
				r := childJob(n, i)
				got, ok := found[r.Seq]
				if want := i >= 5 || n == next; ok != want || ok && got != string(r.Payload) {
					t.Fatalf("round %d: job %d of batch %d of %d: there %v, want %v; %d bytes", round, i, n, last, ok, want, len(got))
				}
				delete(found, r.Seq)
			}
		}
		if len(found) > 0 {
			t.Fatalf("round %d: %d jobs that were never added", round, len(found))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		last = next
	}
	verifyFile(t, filepath.Join(dir, "queue.db"))
	t.Logf("%d batches in %d rounds", last+1, rounds)
}

// TestHeldByProcess sees that a directory is another process's until it ends.
func TestHeldByProcess(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startChild(t, dir, 0)
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("child says nothing")
	}
	s := openDir(t, dir)
	defer s.Close()
	for what, err := range map[string]error{
		"lock":   s.TryLock(t.Context(), "parent.example"),
		"replay": s.Replay(t.Context(), func(*store.Record) error { return nil }),
		"commit": s.Commit(t.Context(), nil),
	} {
		var held *store.HeldError
		if !errors.As(err, &held) {
			t.Errorf("%s: got %v, want a *HeldError", what, err)
			continue
		}
		if want := fmt.Sprintf("child.example, pid %d, since ", cmd.Process.Pid); !strings.HasPrefix(held.By, want) {
			t.Errorf("%s: held by %q, want %q and the time", what, held.By, want)
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := s.TryLock(t.Context(), "parent.example"); err != nil {
		t.Errorf("lock after the holder's end: %v", err)
	}
}
