//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gm/pkg/store"
)

// childFile is the variable that makes of this test's program one that commits
// to a file until it is killed.
const childFile = "GM_TEST_TOKYOCABINET_FILE"

// TestMain runs that program if it is asked for.
func TestMain(m *testing.M) {
	if file := os.Getenv(childFile); file != "" {
		fmt.Fprintln(os.Stderr, commitForEver(file))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// jobsPerBatch is how many jobs a batch of the child adds. It ends half of
// those of the batch before.
const jobsPerBatch = 20

// commitForEver commits batches and says which it has committed.
func commitForEver(file string) error {
	ctx := context.Background()
	s, err := Open(ctx, Config{File: file})
	if err != nil {
		return err
	}
	first := uint64(1)
	if err := s.Replay(ctx, func(j *store.Record) error { first = j.Seq + 1; return nil }); err != nil {
		return err
	}
	first = (first/jobsPerBatch + 1) * jobsPerBatch
	for {
		var batch []store.Op
		for i := range uint64(jobsPerBatch) {
			seq := first + i
			batch = append(batch, add(seq, "f", fmt.Sprint("u", seq), fmt.Sprint("payload ", seq)))
			if seq%2 == 0 {
				old := add(seq-jobsPerBatch, "f", fmt.Sprint("u", seq-jobsPerBatch), "")
				batch = append(batch, storeDone(*old.Record))
			}
		}
		if err := s.Commit(ctx, batch); err != nil {
			return err
		}
		fmt.Println(first)
		first += jobsPerBatch
	}
}

// TestKill kills a program that commits, again and again: every batch is there
// whole or not at all, and every one that was committed is.
func TestKill(t *testing.T) { eachKind(t, testKill) }

func testKill(t *testing.T, name string) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	file := filepath.Join(t.TempDir(), name)
	acknowledged := make(map[uint64]bool)
	for round := range rounds {
		for _, first := range runAndKill(t, file, 1+round*7) {
			acknowledged[first] = true
		}
		s := open(t, file)
		there := make(map[uint64]int) // jobs of a batch
		err := s.Replay(t.Context(), func(j *store.Record) error {
			if want := fmt.Sprint("payload ", j.Seq); string(j.Payload) != want {
				t.Errorf("job %d: got %q, want %q", j.Seq, j.Payload, want)
			}
			there[j.Seq/jobsPerBatch*jobsPerBatch]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for first, n := range there {
			if n != jobsPerBatch && n != jobsPerBatch/2 {
				t.Errorf("batch %d: got %d jobs, want all or half", first, n)
			}
		}
		for first := range acknowledged {
			if there[first] == 0 {
				t.Errorf("batch %d was committed and is not there", first)
			}
		}
		if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
			t.Error(err)
		}
		if round%3 == 0 { // and go on from one file
			err = s.Close()
		} else {
			crash(t, s)
		}
		if err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
	t.Logf("%d batches were committed in %d rounds", len(acknowledged), rounds)
}

// runAndKill runs the child until it has committed some batches and kills it
// a little later. It returns the batches that it has committed.
func runAndKill(t *testing.T, file string, batches int) (firsts []uint64) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFile+"="+file)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		first, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			break // the line was not finished
		}
		if firsts = append(firsts, first); len(firsts) == batches {
			time.AfterFunc(time.Duration(batches)*137*time.Microsecond, func() { _ = child.Process.Kill() })
		}
	}
	_ = child.Wait()
	if len(firsts) < batches {
		t.Fatalf("the child has committed %d batches, want %d: %s", len(firsts), batches, stderr.String())
	}
	return firsts
}
