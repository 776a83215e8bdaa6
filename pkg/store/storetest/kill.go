package storetest

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

// killFile is the environment variable that makes a test's program commit to a
// file until it is killed.
const killFile = "GM_TEST_KILL_FILE"

// KillMain is the TestMain of a package that calls RunKill. It runs the tests and
// exits or, in the child of RunKill, commits until the process is killed.
func KillMain(m *testing.M, open func(ctx context.Context, file string) (store.Store, error)) {
	if file := os.Getenv(killFile); file != "" {
		ctx := context.Background()
		s, err := open(ctx, file)
		if err == nil {
			err = commitForEver(ctx, s)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// jobsPerBatch is the number of jobs that a batch of the child adds. A batch ends
// half of the jobs of the batch before.
const jobsPerBatch = 20

// commitForEver commits batches and prints the number of the first job of each.
func commitForEver(ctx context.Context, s store.Store) error {
	first := uint64(1)
	if err := s.Replay(ctx, func(j *store.Record) error { first = j.Seq + 1; return nil }); err != nil {
		return err
	}
	first = (first/jobsPerBatch + 1) * jobsPerBatch
	for {
		var batch []store.Op
		for i := range uint64(jobsPerBatch) {
			batch = append(batch, store.Op{Kind: store.Add, Record: childJob(first + i)})
			if i%2 == 0 {
				batch = append(batch, done(store.Op{Record: childJob(first + i - jobsPerBatch)}))
			}
		}
		if err := s.Commit(ctx, batch); err != nil {
			return err
		}
		fmt.Println(first)
		first += jobsPerBatch
	}
}

func childJob(seq uint64) *store.Record {
	return &store.Record{
		Seq: seq, Function: "f", Unique: fmt.Sprint("u", seq), Payload: fmt.Append(nil, "payload ", seq), Priority: 1,
	}
}

// RunKill kills a program that commits to a file of that name, again and again:
// the store has each batch completely or not at all, and all committed ones.
// crash leaves a store as the end of its process would. The package's TestMain is
// KillMain.
func RunKill(t *testing.T, name string, open func(t testing.TB, file string) store.Store, crash func(t testing.TB, s store.Store)) {
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
		checkBatches(t, s, acknowledged)
		if round%3 > 0 {
			crash(t, s)
		} else if err := s.Close(); err != nil { // the next round begins with one file
			t.Fatal(err)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d batches were committed in %d rounds", len(acknowledged), rounds)
}

// checkBatches checks that the store has each batch completely or not at all, and
// all acknowledged ones.
func checkBatches(t *testing.T, s store.Store, acknowledged map[uint64]bool) {
	t.Helper()
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
	if err := s.(store.Checker).Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Error(err)
	}
}

// runAndKill runs the child until it has committed some batches and kills it
// a little later. It returns the batches that it has committed.
func runAndKill(t *testing.T, file string, batches int) (firsts []uint64) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killFile+"="+file)
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
