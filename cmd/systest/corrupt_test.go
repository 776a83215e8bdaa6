package systest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gm/pkg/wire"
)

// TestCorruption damages the file of a queue: the server starts all the same, logs the
// records that it sets aside, and hands out only payloads that were submitted.
func TestCorruption(t *testing.T) {
	for _, test := range []struct{ name, url, file string }{
		{"disk", "disk:", "queue.db"},
		{"sqlite", "sqlite:", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			seed := chaosSeedOf(t)
			const jobs = 1000
			whole := fileOfQueue(t, test.url, test.file, jobs)
			random := rand.New(rand.NewPCG(seed, 0))
			damage := func(what string, file []byte) {
				came, lost := damagedQueue(t, what, test.url, test.file, file)
				t.Logf("%s: %d of %d jobs came out, set aside: %v", what, came, jobs, lost)
				if came < jobs && !lost {
					t.Errorf("%s: %d of %d jobs came out, and the log says nothing of the others", what, came, jobs)
				}
			}
			for i := range 20 {
				at := (i*len(whole) + random.IntN(len(whole))) / 20
				file := append([]byte(nil), whole...)
				file[at] ^= 1 << random.IntN(8)
				damage(fmt.Sprintf("byte %d of %d", at, len(whole)), file)
			}
			for i := range 5 {
				size := (i*len(whole) + random.IntN(len(whole))) / 5
				damage(fmt.Sprintf("the first %d of %d bytes", size, len(whole)), whole[:size])
			}
		})
	}
}

// fileOfQueue returns the file of a queue with jobs, left by a server that was
// stopped.
func fileOfQueue(t *testing.T, url, name string, jobs int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue")
	g := newGMServer(t, "--store", url+path)
	lf := g.start()
	c := mustDial(t, lf.addr)
	defer c.Close()
	const window = 8 // small: a store reserves space for a batch, where damage would have no effect
	for n := range jobs + window {
		if n < jobs {
			c.send(wire.SubmitJobBG, "f", []string{"", fmt.Sprint("u", n)}[n%2], string(checked(n)))
		}
		if n < window {
			continue
		}
		if p := c.mustReceive(t); p.Type != wire.JobCreated {
			t.Fatalf("answer to a submission: %v", p.Type)
		}
	}
	g.end(lf, syscall.SIGTERM)
	file, err := os.ReadFile(filepath.Join(path, name))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// damagedQueue serves a file, checks the jobs that come out, and checks that the next
// start finds none left. It returns the number of jobs, and whether the log reports
// damage.
func damagedQueue(t *testing.T, what, url, name string, file []byte) (came int, told bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue")
	if name != "" {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, name), file, 0o644); err != nil {
		t.Fatal(err)
	}
	g := newGMServer(t, "--store", url+path)
	lf := g.start()
	waitFor(t, "the queue to be read", func() bool { return !serverStats(t, g).Loading })
	c := mustDial(t, lf.addr)
	defer c.Close()
	c.send(wire.CanDo, "f")
	seen := map[string]bool{}
	for {
		c.send(wire.GrabJobUniq)
		p := c.mustReceive(t)
		if p.Type == wire.NoJob {
			break
		}
		if p.Type != wire.JobAssignUniq {
			t.Fatalf("%s: answer to a grab: %v", what, p.Type)
		}
		payload := string(p.Args[3])
		switch n := binary.BigEndian.Uint32([]byte(payload + "\x00\x00\x00\x00")); {
		case !isChecked(payload):
			t.Errorf("%s: a wrong payload came out: %.60q", what, payload)
		case seen[payload]:
			t.Errorf("%s: %.60q came out twice", what, payload)
		case string(p.Args[2]) != []string{"", fmt.Sprint("u", n)}[n%2]:
			t.Errorf("%s: job %d came out with the unique %q", what, n, p.Args[2])
		}
		seen[payload] = true
		c.send(wire.WorkComplete, string(p.Args[0]), "")
	}
	c.Close()
	g.end(lf, syscall.SIGTERM)
	if !lf.clean() {
		t.Errorf("%s: gm serve ended with %v", what, lf.err)
	}
	log := g.logText()
	told = strings.Contains(log, "set aside") || strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR")

	lf = g.start()
	waitFor(t, "the queue to be read", func() bool { return !serverStats(t, g).Loading })
	if n := totalJobs(t, g); n != 0 {
		t.Errorf("%s: %d jobs are left after the next start", what, n)
	}
	g.end(lf, syscall.SIGKILL)
	return len(seen), told
}

// checked returns a payload that shows damage: its number, bytes of all kinds, and their
// checksum.
func checked(n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	random := rand.New(rand.NewPCG(uint64(n), 0))
	for range random.IntN(4000) {
		b = append(b, byte(random.Uint32()))
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func isChecked(payload string) bool {
	n := len(payload) - 4
	return n >= 4 && binary.BigEndian.Uint32([]byte(payload[n:])) == crc32.ChecksumIEEE([]byte(payload[:n]))
}
