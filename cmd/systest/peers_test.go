package systest

// gm against the Gearman programs and client libraries of others, which
// scripts/test-deps.sh installs: each library's client and worker with gm
// serve between them, its client with gm work, its worker with gm submit, and
// gm's own client and worker with Debian's gearmand between them. Tests of missing
// programs are skipped and name them. The programs that use the libraries are in
// testdata/peers; all clients take HOST PORT SCENARIO [ARGS] and print one line
// for each event, all workers take HOST PORT and print one line for each job.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// peer is one client library of others.
type peer struct {
	name string

	// build returns the commands of its client and its worker, or the reason why this
	// machine cannot build them. It compiles into dir.
	build func(dir string) (client, worker []string, err error)

	// The limits and peculiarities of the library.
	noWorkerUnique bool // its workers never see a job's unique
	noExceptions   bool // its client can't ask for exceptions
	exceptions     bool // its client always asks for exceptions
	noEmptyPayload bool // its client refuses to send an empty payload
	reducers       bool // its client and worker know reducers
	epoch          bool // its client can delay a job
	dies           bool // its worker's function die sends WORK_EXCEPTION and then WORK_FAIL
}

var peers = []*peer{
	{name: "perl", build: buildPerl, noWorkerUnique: true, dies: true},
	{name: "php", build: buildPHP, exceptions: true, noEmptyPayload: true},
	{name: "node", build: buildNode},
	{name: "go", build: buildGo, noExceptions: true},
	{name: "c", build: buildC, noEmptyPayload: true, reducers: true, epoch: true},
}

const peersDir = "../../testdata/peers"

func buildPerl(string) (client, worker []string, err error) {
	if err := exec.Command("perl", "-MGearman::Client", "-e", "1").Run(); err != nil {
		return nil, nil, errors.New("no Gearman::Client for perl here (libgearman-client-perl)")
	}
	dir := filepath.Join(peersDir, "perl")
	return []string{"perl", filepath.Join(dir, "client.pl")}, []string{"perl", filepath.Join(dir, "worker.pl")}, nil
}

func buildPHP(string) (client, worker []string, err error) {
	if err := exec.Command("php", "-r", "exit(extension_loaded('gearman') ? 0 : 1);").Run(); err != nil {
		return nil, nil, errors.New("no gearman extension for php here (php-gearman)")
	}
	dir := filepath.Join(peersDir, "php")
	return []string{"php", filepath.Join(dir, "client.php")}, []string{"php", filepath.Join(dir, "worker.php")}, nil
}

func buildNode(string) (client, worker []string, err error) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, nil, errors.New("no node here")
	}
	if _, err := os.Stat(filepath.Join(peersDir, "node_modules", "gearman")); err != nil {
		return nil, nil, errors.New("the npm package gearman is not installed")
	}
	dir := filepath.Join(peersDir, "node")
	return []string{"node", filepath.Join(dir, "client.js")}, []string{"node", filepath.Join(dir, "worker.js")}, nil
}

func buildGo(dir string) (client, worker []string, err error) {
	list := exec.Command("go", "list", "-deps", "./...")
	list.Dir = filepath.Join(peersDir, "gearman-go")
	list.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly")
	if err := list.Run(); err != nil {
		return nil, nil, errors.New("the module github.com/mikespook/gearman-go is not in the module cache")
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./client", "./worker")
	cmd.Dir, cmd.Env = list.Dir, list.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("build: %w\n%s", err, out)
	}
	return []string{filepath.Join(dir, "client")}, []string{filepath.Join(dir, "worker")}, nil
}

func buildC(dir string) (client, worker []string, err error) {
	if _, err := os.Stat("/usr/include/libgearman/gearman.h"); err != nil {
		return nil, nil, errors.New("no libgearman/gearman.h here (libgearman-dev)")
	}
	for _, name := range []string{"client", "worker"} {
		cmd := exec.Command("gcc", "-std=gnu11", "-Wall", "-Wextra", "-o", filepath.Join(dir, name),
			filepath.Join(peersDir, "c", name+".c"), "-lgearman")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("compile %s: %w\n%s", name, err, out)
		}
	}
	return []string{filepath.Join(dir, "client")}, []string{filepath.Join(dir, "worker")}, nil
}

func TestPeers(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			client, worker, err := p.build(t.TempDir())
			if err != nil {
				t.Skipf("%s: %v", p.name, err)
			}
			own := peerWorker(p, worker)
			t.Run("client with own worker", func(t *testing.T) {
				t.Parallel()
				testPeerClient(t, serveGM, p, client, own)
			})
			t.Run("client with gm work", func(t *testing.T) {
				t.Parallel()
				testPeerClient(t, serveGM, p, client, gmWorker())
			})
			t.Run("worker with gm submit", func(t *testing.T) {
				t.Parallel()
				testSubmit(t, serveGM, own)
			})
		})
	}
	t.Run("gm with gearmand", func(t *testing.T) {
		t.Parallel()
		testSubmit(t, serveGearmand, gmWorker())
	})
	t.Run("gm with gm", func(t *testing.T) {
		t.Parallel()
		testSubmit(t, serveGM, gmWorker())
	})
}

// worker is something that does the functions that testdata/peers names.
type worker struct {
	peer  *peer // nil: gm work
	start func(t *testing.T, srv peerServer) *jobLog

	// The output of a client for the functions chunks, warn, fail and exception, if it
	// prints one line for each event.
	chunks, fail, exception string
}

// peerWorker returns the worker that command starts.
func peerWorker(p *peer, command []string) worker {
	return worker{
		peer: p,
		start: func(t *testing.T, srv peerServer) *jobLog {
			t.Helper()
			c := start(t, append(command[:len(command):len(command)], srv.host, srv.port)...)
			return &jobLog{path: c.stdout}
		},
		chunks:    "data\ta\ndata\tb\ndata\tc\nresult\tdone\n",
		fail:      "FAIL\n",
		exception: "exception\tx\n",
	}
}

// gmFunctions is the script that gm work runs for a job. Like the workers of the peers it
// writes one line for each job, but only for payloads of printable text.
const gmFunctions = `
note() { printf 'job\t%s\t%s\n' "$GEARMAN_FUNCTION" "$1" >>"$PEER_LOG"; }
case $GEARMAN_FUNCTION in
reverse) exec perl -0777 -ne 'print scalar reverse' ;;
upper) text=$(cat); note "$text"; printf %s "$text" | tr a-z A-Z ;;
echo_unique) printf %s "$GEARMAN_UNIQUE" ;;
chunks) for word in $(cat); do echo "$word"; done ;;
status) for n in 1 2 3; do echo "status $n 3" >&"$GM_CONTROL_FD"; done; printf done ;;
gate) echo 'status 1 3' >&"$GM_CONTROL_FD"; cat "$(cat)"; printf done ;;
warn) echo "warn $(cat)" >&"$GM_CONTROL_FD"; printf done ;;
exception) cat >&2; exit 3 ;;
fail) exit 3 ;;
total) awk '{ for (i = 1; i <= NF; i++) s += $i } END { printf "%d ", s }' ;;
esac`

// gmWorker returns gm work with the functions of the peers' workers. That takes three
// processes, because pieces of a result and exceptions are flags of a worker.
func gmWorker() worker {
	return worker{
		start: func(t *testing.T, srv peerServer) *jobLog {
			t.Helper()
			log := filepath.Join(t.TempDir(), "jobs")
			for _, flags := range [][]string{
				{"-f", "reverse,upper,echo_unique,status,gate,warn,fail,total"},
				{"-f", "chunks", "-n"},
				{"-f", "exception", "--exception"},
			} {
				args := append([]string{"env", "PEER_LOG=" + log, "gm", "work", "-s", srv.addr()}, flags...)
				start(t, append(args, "--shell", gmFunctions)...)
			}
			return &jobLog{path: log}
		},
		chunks:    "data\ta\\x0a\ndata\tb\\x0a\ndata\tc\\x0a\nresult\t\n",
		fail:      "warning\tgm-exit: 3 (exit status 3)\\x0a\nFAIL\n",
		exception: "exception\tx\\x0agm-exit: 3 (exit status 3)\\x0a\n",
	}
}

// jobLog is the log of a worker, with one line for each job.
type jobLog struct {
	path string
}

// payloads returns the payloads of the jobs done for function, in order.
func (l *jobLog) payloads(t *testing.T, function string) []string {
	t.Helper()
	text, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var payloads []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) == 3 && fields[0] == "job" && fields[1] == function {
			payloads = append(payloads, fields[2])
		}
	}
	return payloads
}
