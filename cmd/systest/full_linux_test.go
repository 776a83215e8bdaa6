package systest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gm/pkg/wire"
)

// TestFullDisk fills the disk with jobs. Jobs that do not fit are refused, acknowledged
// jobs come out, and the server works again when there is room: after another file was
// removed, after jobs are done, and after a kill of the server.
func TestFullDisk(t *testing.T) {
	for _, test := range []struct {
		scheme string
		size   int // of the disk; two thirds are other files' at first
	}{
		{"disk", 24 << 20},
		{"sqlite", 24 << 20},
		{"sqlite", 120 << 20}, // FILE-wal gets as long as it may, 16 MiB
	} {
		t.Run(fmt.Sprintf("%s on %d", test.scheme, test.size), func(t *testing.T) {
			t.Parallel()
			dir := smallDisk(t, test.size)
			testFullDisk(t, test.scheme+":"+filepath.Join(dir, "queue"), dir, test.size/3)
		})
	}
}

func testFullDisk(t *testing.T, url, dir string, third int) {
	g := newGMServer(t, "--store", url, "--store-timeout", storeTimeout.String())
	lf := g.start()
	f := &fill{waiting: map[string]bool{}}
	other, last := filepath.Join(dir, "other"), filepath.Join(dir, "last")
	fillFile(t, last, third)
	fillFile(t, other, third)
	first := f.submitUntilRefused(t, lf.addr)
	if first == 0 {
		t.Fatal("nothing was taken")
	}
	checkForeground(t, lf.addr)

	// A file goes.
	remove(t, other)
	second := f.submitUntilRefused(t, lf.addr)
	if second < first/4 {
		t.Errorf("%d jobs were taken, then the room had been doubled, and %d more were", first, second)
	}

	// Jobs are done, on a disk that is full.
	f.work(t, lf.addr, len(f.waiting)*3/4)
	reused := 0
	waitFor(t, "service with jobs done", func() bool {
		reused = f.submitUntilRefused(t, lf.addr)
		return reused > first/4
	})

	// Something else takes all that is left, and the server is killed.
	fillFile(t, other, math.MaxInt)
	f.submitUntilRefused(t, lf.addr)
	g.end(lf, syscall.SIGKILL)
	f.killed = true
	lf = g.start()
	waitFor(t, "the store to be read", func() bool { return !serverStats(t, g).Loading })
	f.work(t, lf.addr, len(f.waiting))
	if n := totalJobs(t, g); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
	remove(t, last)
	waitFor(t, "service with room", func() bool { return f.submit(t, lf.addr, first) > 0 })
	f.work(t, lf.addr, len(f.waiting))
	t.Logf("taken: %d with a third of the disk, %d with two, %d with jobs done", first, first+second, reused)
	checkEmpty(t, g)
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// fill is the jobs with which a disk is filled.
type fill struct {
	n       int
	waiting map[string]bool // payloads that were acknowledged and have not come out
	killed  bool            // the server was killed: jobs without an answer may come out too
}

// submitUntilRefused submits jobs until 20 in a row were refused, and returns
// how many were taken.
func (f *fill) submitUntilRefused(t *testing.T, addr string) int {
	t.Helper()
	return f.submit(t, addr, math.MaxInt)
}

// submit submits jobs of up to 20 KB until so many were taken, or 20 in a row
// refused, and returns how many were taken.
func (f *fill) submit(t *testing.T, addr string, most int) (taken int) {
	t.Helper()
	c := mustDial(t, addr)
	defer c.Close()
	for refusals := 0; refusals < 20 && taken < most; {
		const window = 16
		var payloads []string
		for range window {
			f.n++
			payloads = append(payloads, fmt.Sprintf("%d %s", f.n, strings.Repeat("x", f.n*7919%20_000)))
			c.send(wire.SubmitJobBG, "fill", []string{"", fmt.Sprint("u", f.n)}[f.n%2], payloads[len(payloads)-1])
		}
		for _, payload := range payloads {
			switch p := c.mustReceive(t); p.Type {
			case wire.JobCreated:
				f.waiting[payload] = true
				taken++
				refusals = 0
			case wire.Error:
				refusals++
			default:
				t.Fatalf("answer to a submission: %v", p.Type)
			}
		}
	}
	return taken
}

// work does n jobs that were acknowledged.
func (f *fill) work(t *testing.T, addr string, n int) {
	t.Helper()
	c := mustDial(t, addr)
	defer c.Close()
	c.send(wire.CanDo, "fill")
	for want := len(f.waiting) - n; len(f.waiting) > want; {
		c.send(wire.GrabJob)
		p := c.mustReceive(t)
		if p.Type != wire.JobAssign {
			t.Fatalf("%v instead of a job, with %d jobs acknowledged that have not come out", p.Type, len(f.waiting))
		}
		payload := string(p.Args[2])
		if !f.waiting[payload] && !f.killed {
			t.Fatalf("job %.20q came out, which does not wait", payload)
		}
		delete(f.waiting, payload)
		c.send(wire.WorkComplete, string(p.Args[0]), "")
	}
	// The next request on this connection is answered after the last result.
	c.send(wire.EchoReq, "done")
	if p := c.mustReceive(t); p.Type != wire.EchoRes {
		t.Fatalf("answer to an echo: %v", p.Type)
	}
}

// smallDisk mounts a file system of some bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		t.Skipf("a small file system can't be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fillFile writes a file of some bytes, or until the disk is full.
func fillFile(t *testing.T, name string, size int) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := bytes.Repeat([]byte{1}, 64<<10); len(b) > 0 && size > 0; {
		n, err := f.Write(b[:min(len(b), size)])
		size -= n
		if errors.Is(err, syscall.ENOSPC) {
			b = b[:len(b)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
