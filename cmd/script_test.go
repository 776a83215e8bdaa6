package cmd

// The scripts in testdata/*.txt, and for each kind of store those in
// testdata/stores/*.txt, run the real gm, with these commands besides
// testscript's own (exec, stdout, stderr, cmp, stdin, env, grep, ...):
//
//	gmserve [NAME] [-- FLAG...]  start gm serve on a free port of 127.0.0.1 and wait
//	                             until it listens. NAME is server if it is left out, and
//	                             so is a FLAG that is empty.
//	gearmand [NAME] [-- FLAG...] the same with the C server, Debian's gearman-job-server.
//	                             Both set $NAME in capitals ($SERVER) to host:port, and
//	                             GEARMAN_SERVERS to it unless that is set already.
//	start NAME CMD ARG...        run CMD in the background; its stdout goes to NAME.out,
//	                             its stderr to NAME.err, its stdin is empty
//	signal -SIG NAME [REGEX]     send SIG (TERM, INT, HUP, QUIT, ALRM, KILL, STOP, CONT) to the
//	                             process that gmserve, gearmand or start named NAME. With
//	                             REGEX, send it again and again until NAME.err matches:
//	                             the same signal within half a second counts once
//	ended CODE NAME              wait until NAME has ended; its exit code must be CODE,
//	                             128+n if signal n has ended it
//	exits CODE CMD ARG...        run CMD; its exit code must be CODE. stdout, stderr and
//	                             cmp work on its output, stdin gives it input
//	waitfor REGEX CMD ARG...     run CMD again and again until its stdout matches;
//	                             waitfor REGEX cat NAME.out waits for output of a
//	                             background command
//
// The end of a script kills its processes. No command waits longer than scriptPatience.

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"gm/internal/testgm"
	"gm/pkg/store/storetest"
)

const scriptPatience = 20 * time.Second

func TestMain(m *testing.M) { testgm.RunTests(m, Main) }

func TestScripts(t *testing.T) { runScripts(t, "testdata", nil) }

// runScripts runs the scripts in a directory, with more variables in their
// environment.
func runScripts(t *testing.T, dir string, variables map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			p := &processes{named: map[string]*process{}}
			env.Values[processesKey{}] = p
			env.Defer(p.stop)
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else each gm of a race build lasts a second longer
			for name, value := range variables {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"gmserve":  scriptServe,
			"gearmand": scriptGearmand,
			"start":    scriptStart,
			"signal":   scriptSignal,
			"ended":    scriptEnded,
			"exits":    scriptExits,
			"waitfor":  scriptWaitFor,
		},
	})
}

// processes are the running processes of a script.
type processes struct {
	mu    sync.Mutex
	named map[string]*process
}

type processesKey struct{}

// process is one background command. Its waiter owns err until done is closed.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

func processesOf(ts *testscript.TestScript) *processes {
	return ts.Value(processesKey{}).(*processes)
}

// start runs cmd under name. Its output goes to files called after it.
func (p *processes) start(ts *testscript.TestScript, name string, cmd *exec.Cmd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.named[name]; old != nil {
		select {
		case <-old.done:
		default:
			ts.Fatalf("%s runs already", name)
		}
	}
	var files []*os.File
	for _, ext := range []string{".out", ".err"} {
		f, err := os.Create(ts.MkAbs(name + ext))
		ts.Check(err)
		files = append(files, f)
	}
	cmd.Stdout, cmd.Stderr = files[0], files[1]
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = scriptEnv(ts)
	ts.Check(cmd.Start())
	proc := &process{cmd: cmd, done: make(chan struct{})}
	p.named[name] = proc
	go func() {
		defer close(proc.done)
		proc.err = cmd.Wait()
		for _, f := range files {
			f.Close()
		}
	}()
}

func (p *processes) get(ts *testscript.TestScript, name string) *process {
	p.mu.Lock()
	defer p.mu.Unlock()
	proc := p.named[name]
	if proc == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return proc
}

// stop ends everything: gently, then harder (gm work stops the running jobs at
// the second signal), then for sure.
func (p *processes) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for _, proc := range p.named {
		continueStopped(proc.cmd.Process)
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
			proc.cmd.Process.Signal(sig)
			select {
			case <-proc.done:
			case <-tick.C:
			}
		}
		<-proc.done
	}
}

// scriptEnv returns the script's environment, which testscript does not
// hand out.
func scriptEnv(ts *testscript.TestScript) []string {
	ts.Check(ts.Exec("env", "-0"))
	return strings.Split(strings.TrimSuffix(ts.ReadFile("stdout"), "\x00"), "\x00")
}

// nameAndFlags splits [NAME] [-- FLAG...].
func nameAndFlags(ts *testscript.TestScript, args []string) (name string, flags []string) {
	name = "server"
	if len(args) > 0 && args[0] != "--" {
		name, args = args[0], args[1:]
	}
	if len(args) > 0 && args[0] != "--" {
		ts.Fatalf("usage: gmserve|gearmand [NAME] [-- FLAG...]")
	}
	if len(args) > 0 {
		flags = args[1:]
	}
	return name, flags
}

func scriptServe(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	name, flags := nameAndFlags(ts, args)
	flags = append([]string{"serve", "--print-port"}, slices.DeleteFunc(flags, func(f string) bool { return f == "" })...)
	if !slices.Contains(flags, "-p") {
		port, err := storetest.FreePort()
		ts.Check(err)
		flags = append(flags, "-p", strconv.Itoa(port))
	}
	processesOf(ts).start(ts, name, exec.Command("gm", flags...))
	port := ""
	poll(ts, processesOf(ts).get(ts, name), "the port of "+name, func() bool {
		text, _ := os.ReadFile(ts.MkAbs(name + ".out"))
		line, _, whole := strings.Cut(string(text), "\n")
		port = strings.TrimSpace(line)
		return whole
	})
	serverStarted(ts, name, net.JoinHostPort("127.0.0.1", port))
}

func scriptGearmand(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	path, err := exec.LookPath("gearmand")
	if err != nil {
		path = "/usr/sbin/gearmand" // often only in the PATH of root
	}
	name, flags := nameAndFlags(ts, args)
	addr := freeAddr(ts)
	_, port, _ := net.SplitHostPort(addr)
	flags = append([]string{"-L", "127.0.0.1", "-p", port, "-l", "stderr"}, flags...)
	processesOf(ts).start(ts, name, exec.Command(path, flags...))
	poll(ts, processesOf(ts).get(ts, name), name+" to listen", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	serverStarted(ts, name, addr)
}

func serverStarted(ts *testscript.TestScript, name, addr string) {
	ts.Setenv(strings.ToUpper(name), addr)
	if ts.Getenv("GEARMAN_SERVERS") == "" {
		ts.Setenv("GEARMAN_SERVERS", addr)
	}
}

// freeAddr returns an address on which nothing listens. gearmand can't be told
// to take any port and say which.
func freeAddr(ts *testscript.TestScript) string {
	port, err := storetest.FreePort()
	ts.Check(err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: start NAME CMD ARG...")
	}
	path := args[1]
	if strings.Contains(path, string(filepath.Separator)) {
		path = ts.MkAbs(path)
	}
	processesOf(ts).start(ts, args[0], exec.Command(path, args[2:]...))
}

func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	if len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: signal -SIG NAME [REGEX]")
	}
	sig, ok := signalsByName[strings.TrimPrefix(args[0], "-")]
	if !ok {
		ts.Fatalf("unknown signal %s", args[0])
	}
	proc := processesOf(ts).get(ts, args[1])
	ts.Check(proc.cmd.Process.Signal(sig))
	if len(args) == 2 {
		return
	}
	re, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	poll(ts, nil, args[2], func() bool {
		if re.MatchString(ts.ReadFile(args[1] + ".err")) {
			return true
		}
		_ = proc.cmd.Process.Signal(sig) // it may have ended, with its last words written
		return false
	})
}

func scriptEnded(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	if len(args) != 2 {
		ts.Fatalf("usage: ended CODE NAME")
	}
	proc := processesOf(ts).get(ts, args[1])
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	select {
	case <-proc.done:
		checkCode(ts, args[0], proc.err)
	case <-ctx.Done():
		ts.Fatalf("%s still runs after %s", args[1], scriptPatience)
	}
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD ARG...")
	}
	checkCode(ts, args[0], ts.Exec(args[1], args[2:]...))
}

// checkCode fails the script unless err, of a command's end, is the exit code.
func checkCode(ts *testscript.TestScript, want string, err error) {
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			code = 128 + int(status.Signal())
		}
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

func scriptWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg)
	if len(args) < 2 {
		ts.Fatalf("usage: waitfor REGEX CMD ARG...")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	env := scriptEnv(ts)
	last := ""
	defer func() { ts.Logf("[last output of %s]\n%s", strings.Join(args[1:], " "), last) }()
	poll(ts, nil, args[0], func() bool {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), env
		out, _ := cmd.Output()
		last = string(out)
		return re.Match(out)
	})
}

// poll asks ok every few milliseconds until it says yes, or patience ends, or
// proc does.
func poll(ts *testscript.TestScript, proc *process, what string, ok func() bool) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(scriptPatience)
	defer late.Stop()
	var ended chan struct{}
	if proc != nil {
		ended = proc.done
	}
	for !ok() {
		select {
		case <-tick.C:
		case <-ended:
			ts.Fatalf("waiting for %s: it has ended: %v\n%s", what, proc.err, errText(proc))
		case <-late.C:
			ts.Fatalf("waiting for %s: not within %s", what, scriptPatience)
		}
	}
}

// errText returns the stderr of an ended process, at most 4 KB.
func errText(proc *process) string {
	f, err := os.Open(proc.cmd.Stderr.(*os.File).Name())
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	text, _ := bufio.NewReaderSize(f, 4096).Peek(4096)
	return string(text)
}

func refuseNeg(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("! does not go with this command; exits CODE tells how a command ended")
	}
}
