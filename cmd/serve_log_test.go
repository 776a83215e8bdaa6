package cmd

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/store/storetest"
)

// pipedServer is a gm serve whose stderr is a pipe.
type pipedServer struct {
	cmd    *exec.Cmd
	stderr *os.File
	addr   gearman.Server
	done   chan error
}

func servePiped(t *testing.T, flags ...string) *pipedServer {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gm", append([]string{"serve", "-L", "127.0.0.1", "-p", "0", "--print-port"}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := &pipedServer{cmd: cmd, stderr: r, done: make(chan error, 1)}
	s.addr = gearman.Server{Network: "tcp", Addr: "127.0.0.1:" + strings.TrimSpace(port)}
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		r.Close()
	})
	return s
}

// submit submits n background jobs.
func (s *pipedServer) submit(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range n {
		if _, err := client.Background(ctx, &gearman.Task{Function: "f"}); err != nil {
			t.Fatal(err)
		}
	}
}

// stop ends the server with SIGTERM and fails unless it exits with 0.
func (s *pipedServer) stop(t *testing.T) {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("gm serve: %v", err)
		}
	case <-time.After(scriptPatience):
		t.Fatal("SIGTERM does not end the server")
	}
}

func TestServeSurvivesTheReaderOfItsLog(t *testing.T) {
	s := servePiped(t, "-v")
	s.stderr.Close()
	s.submit(t, 20)
	s.stop(t)
}

func TestServeSurvivesAFullLogPipe(t *testing.T) {
	s := servePiped(t, "-v", "--trace", "-")
	s.submit(t, 3000) // some 600 bytes a job; a pipe takes 65536
	s.stop(t)
}

// TestServeWithDebiansLine starts gm as Debian's init script and unit start
// gearmand, and stops and rotates it as they do.
func TestServeWithDebiansLine(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "gm-debian")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	pidFile, logFile := filepath.Join(dir, "run", "gearmand.pid"), filepath.Join(dir, "log", "gearmand.log")
	args := []string{"serve", "--pid-file=" + pidFile}
	uid := os.Geteuid()
	if u, err := user.Lookup("nobody"); err == nil && uid == 0 {
		args = append(args, "--user=nobody")
		uid, _ = strconv.Atoi(u.Uid)
	}
	for _, d := range []string{dir, filepath.Dir(pidFile), filepath.Dir(logFile)} {
		os.Mkdir(d, 0o755) //nolint:errcheck // one is there
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	// PARAMS of /etc/default/gearman-job-server, on another port
	args = append(args, "--listen=localhost", "--daemon", "--log-file="+logFile, "--port", strconv.Itoa(port))
	out, err := exec.Command("gm", args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("gm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatalf("after the start: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	nc, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatalf("after the start: %v", err)
	}
	nc.Close()
	var st syscall.Stat_t
	if err := syscall.Stat(logFile, &st); err != nil || int(st.Uid) != uid || st.Mode&0o777 != 0o600 {
		t.Errorf("log file: %v, uid %d, mode %o, want uid %d, mode 600", err, st.Uid, st.Mode&0o777, uid)
	}
	if sid, err := getsid(pid); err != nil || sid != pid {
		t.Errorf("session %d of process %d: %v", sid, pid, err)
	}

	// logrotate: rename, then kill -HUP
	if err := os.Rename(logFile, logFile+".1"); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGHUP)
	waitUntil(t, "a new log file", func() bool {
		text, _ := os.ReadFile(logFile)
		return strings.Contains(string(text), "log file reopened")
	})

	syscall.Kill(pid, syscall.SIGTERM)
	waitUntil(t, "the end of the daemon", func() bool {
		_, err := os.Stat(pidFile)
		return os.IsNotExist(err)
	})
}

func getsid(pid int) (int, error) {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

// waitUntil polls until ok reports true.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(scriptPatience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waiting for %s: not within %v", what, scriptPatience)
		}
	}
}

func TestDaemonThatFailsReportsIt(t *testing.T) {
	dir := t.TempDir()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	cmd := exec.Command("gm", "serve", "-d", "-L", "127.0.0.1", "-p", strconv.Itoa(busy.Addr().(*net.TCPAddr).Port), "-l", filepath.Join(dir, "log"))
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != exitAgain || !strings.Contains(string(out), "address already in use") {
		t.Errorf("exit code %d, %v, want %d\n%s", code, err, exitAgain, out)
	}
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	there, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	defer func(paths []string) { syslogSockets = paths }(syslogSockets)
	syslogSockets = []string{path}

	l := &serveLog{}
	handler, err := l.handlerOf("text")
	if err != nil {
		t.Fatal(err)
	}
	to := &syslogWriter{}
	sink := newLogSink(to, testLostLine)
	log := slog.New(newSyslogHandler(sink, handler)).With("a", 1)
	log.Warn("two\nlines", "b", 2)
	log.Error("bad")
	sink.Close()
	for _, want := range []string{
		`^<28>... .\d ..:..:.. gm\[\d+\]: level=WARN msg="two\\nlines" a=1 b=2$`,
		`^<27>... .\d ..:..:.. gm\[\d+\]: level=ERROR msg=bad a=1$`,
	} {
		buf := make([]byte, 1024)
		there.SetReadDeadline(time.Now().Add(scriptPatience)) //nolint:errcheck // the read fails then
		n, _, err := there.ReadFrom(buf)
		if err != nil || !regexp.MustCompile(want).Match(buf[:n]) {
			t.Errorf("got %q, %v, want %s", buf[:n], err, want)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"--port=1 --daemon\n", []string{"--port=1", "--daemon"}},
		{"# all\n-v # loud\r\n--a#b", []string{"-v", "--a#b"}},
		{`--libpq-conninfo='host=a dbname=b' "x y"'z' ''`, []string{"--libpq-conninfo=host=a dbname=b", "x yz", ""}},
		{"# no end", nil},
	} {
		got, err := splitWords(tc.text)
		if err != nil || strings.Join(got, "|") != strings.Join(tc.want, "|") || len(got) != len(tc.want) {
			t.Errorf("splitWords(%q) = %q, %v, want %q", tc.text, got, err, tc.want)
		}
	}
	if _, err := splitWords(`a "b`); err == nil {
		t.Error("an open quote is taken")
	}
}

// TestDaemonThatStandsByIsReady starts two daemons on one store: the second one goes
// to the background as well, with a pid file of its own.
func TestDaemonThatStandsByIsReady(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		pidFile := filepath.Join(dir, name+".pid")
		out, err := exec.Command("gm", "serve", "-d", "-L", "127.0.0.1", "-p", "0", "--data", filepath.Join(dir, "data"),
			"--pid-file", pidFile, "-l", filepath.Join(dir, name+".log")).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		text, err := os.ReadFile(pidFile)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			syscall.Kill(pid, syscall.SIGKILL)
			waitUntil(t, "the end of "+name, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH || isZombie(pid) })
		})
	}
	text, err := os.ReadFile(filepath.Join(dir, "two.log"))
	if err != nil || !strings.Contains(string(text), "standing by") {
		t.Errorf("the log of the second: %v, %s", err, text)
	}
}

// isZombie reports whether a process has ended and nobody has waited for it: a
// container may have no init that does.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
