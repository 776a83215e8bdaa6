package systest

// Workers, servers and clients are killed while records are under way: nothing
// may be lacking in the output, and nothing may be there twice.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/store/storetest"
)

const (
	killRecords = 20_000
	killRounds  = 20
)

// keptEcho is the command of a worker that returns its payload.
var keptEcho = []string{"-f", "echo", "-j", "2", "--keep", "--", "awk", "{ print; fflush() }"}

// mortals are a server with its store, two workers and a client, any of which
// can be killed.
type mortals struct {
	port    string
	data    string
	server  *child
	workers [2]*child
	client  *resumed
	now     *exec.Cmd     // the client's process
	ended   chan struct{} // closed when it has ended
	killed  map[string]int
}

// TestKills kills one of them after the other. In order, a record that is lost
// with its server must keep its place: with a unique it is submitted again.
func TestKills(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		ordered bool
	}{
		{"ordered", []string{"map", "-f", "echo", "-u", "-", "-j", "300"}, true},
		{"unordered", []string{"submit", "-N", "-f", "echo", "-j", "300"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seed := chaosSeedOf(t)
			m := newMortals(t, tt.args...)
			m.run(t, rand.New(rand.NewPCG(seed, 0)))
			t.Logf("killed: %v", m.killed)
			want := make([]string, killRecords)
			for i := range want {
				want[i] = strconv.Itoa(i + 1)
			}
			m.client.check(t, want, tt.ordered)
		})
	}
}

func newMortals(t *testing.T, args ...string) *mortals {
	t.Helper()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	m := &mortals{port: strconv.Itoa(port), data: filepath.Join(t.TempDir(), "data"), killed: map[string]int{}}
	m.startServer(t)
	for i := range m.workers {
		m.startWorker(t, i)
	}
	m.client = newResumed(t, peerServer{host: "127.0.0.1", port: m.port}, killRecords, killRounds, args...)
	return m
}

func (m *mortals) startServer(t *testing.T) {
	t.Helper()
	m.server = start(t, "gm", "serve", "-L", "127.0.0.1", "-p", m.port, "--data", m.data, "--print-port")
	m.server.waitForOutput(t, "\n")
}

func (m *mortals) startWorker(t *testing.T, i int) {
	t.Helper()
	m.workers[i] = start(t, append([]string{"gm", "work", "-s", "127.0.0.1:" + m.port}, keptEcho...)...)
}

// run goes on until all records are done and killRounds are over.
func (m *mortals) run(t *testing.T, random *rand.Rand) {
	t.Helper()
	m.client.in.raise()
	target := m.client.in.target(m.client.logSize(t), random)
	for round := 0; ; {
		if m.now == nil {
			m.startClient(t)
		}
		waitFor(t, "the log to grow", func() bool { return m.hasEnded() || m.client.logSize(t) >= target })
		pause(t, time.Duration(random.IntN(10_000))*time.Microsecond)
		if m.hasEnded() {
			code := m.now.ProcessState.ExitCode()
			m.now = nil
			switch {
			case code == 0 && round < killRounds:
				t.Fatalf("all records were done after %d kills, want %d", round, killRounds)
			case code == 0:
				return
			case code != 75 && code != 69: // lost with a server, or none was there
				t.Fatalf("the client ended with exit code %d", code)
			}
			continue
		}
		if round++; round <= killRounds+5 {
			m.kill(t, random.IntN(4))
		}
		m.client.in.raise()
		target = m.client.in.target(m.client.logSize(t), random)
	}
}

// kill kills one of them; others than the client are started again.
func (m *mortals) kill(t *testing.T, who int) {
	t.Helper()
	switch who {
	case 0:
		m.killed["client"]++
		_ = m.now.Process.Kill()
		<-m.ended
		m.now = nil
	case 1:
		m.killed["server"]++
		killGroup(m.server)
		m.startServer(t)
	default:
		m.killed["worker"]++
		killGroup(m.workers[who-2])
		m.startWorker(t, who-2)
	}
}

// killGroup kills a child and its process group.
func killGroup(c *child) {
	_ = killProcessGroup(c.cmd.Process)
	<-c.done
}

func (m *mortals) startClient(t *testing.T) {
	t.Helper()
	m.now, m.ended = m.client.start(t), make(chan struct{})
	go func(cmd *exec.Cmd, ended chan<- struct{}) {
		defer close(ended)
		_ = cmd.Wait() // ProcessState says it
	}(m.now, m.ended)
}

func (m *mortals) hasEnded() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// Three functions in three languages; a worker of the second one is killed
// midway.
func TestPipelineOfLanguages(t *testing.T) {
	const records = 10_000
	srv := serveGM(t)
	for _, args := range [][]string{
		{"-f", "double", "-j", "2", "--keep", "--", "sh", "-c", `while read -r n; do echo $((n * 2)); done`},
		{"-f", "mark", "-j", "2", "--keep", "--", "perl", "-ne", `BEGIN { $| = 1 } chomp; print "<$_>\n"`},
	} {
		start(t, append([]string{"gm", "work", "-s", srv.addr()}, args...)...)
	}
	increment := []string{"gm", "work", "-s", srv.addr(), "-f", "increment", "-j", "2", "--keep", "--", "awk", "{ print $1 + 1; fflush() }"}
	victim := start(t, increment...)
	start(t, increment...)

	var in, want strings.Builder
	for n := 1; n <= records; n++ {
		fmt.Fprintln(&in, n)
		fmt.Fprintf(&want, "<%d>\n", 2*n+1)
	}
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte(in.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	pipe := start(t, "sh", "-c", `exec gm pipe double increment mark -j 200 -s "$1" < "$2"`, "sh", srv.addr(), path)
	pipe.waitForOutput(t, fmt.Sprintf("<%d>", 2*records/3+1))
	killGroup(victim)
	if got := pipe.wait(t); got != want.String() {
		t.Errorf("got %d bytes of output, want %d:\n%s", len(got), want.Len(), head(got))
	}
}
