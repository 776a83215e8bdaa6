package tune_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/internal/tune"
	"gm/pkg/gearman"
	"gm/pkg/runner"
	"gm/pkg/server"
)

// The benchmark runs itself as a server and as a worker: role names which, in the
// environment. They end with their standard input.
const (
	role      = "GM_TUNE_TEST_ROLE"
	serverOf  = "GM_TUNE_TEST_SERVER"
	roleServe = "server"
	roleWork  = "worker"
	function  = "bench"

	payloadCommand = "command"
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case roleServe:
		serve()
	case roleWork:
		work()
	default:
		os.Exit(m.Run())
	}
}

// serve is the server: it writes its address.
func serve() {
	tune.LeastProcs()
	tune.Garbage(0, 256<<20)
	s, err := server.New(server.Config{})
	must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go s.Serve(l) //nolint:errcheck // it ends with Close
	fmt.Println(l.Addr())
	awaitInputEnd()
	s.Close()
}

// work is the worker: it writes a line when it is ready. A job with the payload
// "command" runs a command that does nothing; other jobs do nothing themselves.
func work() {
	tune.LeastProcs()
	var awake tune.Awake
	servers, err := gearman.ParseServers(os.Getenv(serverOf), 4730)
	must(err)
	command := runner.Command{Args: []string{"true"}}
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}, Concurrency: clients})
	must(err)
	must(w.Handle(function, func(ctx context.Context, j *gearman.Job) ([]byte, error) {
		awake.Note()
		if string(j.Payload()) == payloadCommand {
			end := command.Run(ctx, runner.Job{})
			return nil, end.Err()
		}
		return nil, nil
	}))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		awaitInputEnd()
		cancel()
	}()
	fmt.Println("ready")
	w.Run(ctx) //nolint:errcheck // it ends with its input
}

func awaitInputEnd() {
	for in := bufio.NewReader(os.Stdin); ; {
		if _, err := in.ReadByte(); err != nil {
			return
		}
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// workload is a number of jobs.
type workload struct {
	jobs    int // of all clients; each waits for a job before it submits the next
	payload string
}

// workloadOf returns small jobs, except for tricks that make other jobs cheaper: the
// collector runs only if there is garbage, and a worker waits in a system call only
// for commands and after long jobs.
func workloadOf(trick tune.Trick) workload {
	switch trick {
	case tune.GarbageTrick:
		return workload{4000, strings.Repeat("x", 64<<10)}
	case tune.PollTrick:
		return workload{1000, payloadCommand}
	}
	return workload{4000, "x"}
}

const (
	clients = 2
	rounds  = 7
	// worthwhile is the saving in percent above which a trick pays.
	worthwhile = 1
)

// BenchmarkTricks measures small jobs with and without each trick, in turns, and
// logs which tricks pay: those that save more than 1 % of the processor time or of
// the time of a job. The medians of 7 rounds on an idle machine differ by about 1 %
// from run to run.
func BenchmarkTricks(b *testing.B) {
	for _, trick := range tune.All() {
		b.Run(trick.String(), func(b *testing.B) {
			for b.Loop() {
				var with, without []cost
				for range rounds {
					with = append(with, measure(b, "", workloadOf(trick)))
					without = append(without, measure(b, "-"+trick.String(), workloadOf(trick)))
				}
				on, off := median(with), median(without)
				cpu, wall := saved(on.cpu, off.cpu), saved(on.wall, off.wall)
				verdict := "pays"
				if max(cpu, wall) < worthwhile {
					verdict = "no longer pays"
				}
				b.ReportMetric(cpu, "%cpu-saved")
				b.ReportMetric(wall, "%time-saved")
				b.Logf("%v: %.1f %% less processor time (%v -> %v a job), %.1f %% less time (%v -> %v): it %s",
					trick, cpu, off.cpu, on.cpu, wall, off.wall, on.wall, verdict)
			}
		})
	}
}

// cost is the time of a job.
type cost struct{ cpu, wall time.Duration }

func median(all []cost) (m cost) {
	slices.SortFunc(all, func(a, b cost) int { return int(a.cpu - b.cpu) })
	m.cpu = all[len(all)/2].cpu
	slices.SortFunc(all, func(a, b cost) int { return int(a.wall - b.wall) })
	m.wall = all[len(all)/2].wall
	return m
}

func saved(with, without time.Duration) float64 { return 100 * (1 - float64(with)/float64(without)) }

// measure runs jobs through a server and a worker with that GM_TUNE, and returns
// their processor time, and the time of the client, for a job.
func measure(b *testing.B, setting string, load workload) cost {
	b.Helper()
	srv, addr := startChild(b, role+"="+roleServe, "GM_TUNE="+setting)
	worker, _ := startChild(b, role+"="+roleWork, "GM_TUNE="+setting, serverOf+"="+addr)
	servers, err := gearman.ParseServers(addr, 4730)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			c, err := gearman.NewClient(gearman.Options{Servers: servers})
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			task := &gearman.Task{Function: function, Payload: []byte(load.payload)}
			for range load.jobs / clients {
				if _, err := c.Do(context.Background(), task); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	wall := time.Since(began)
	cpu := worker.end(b) + srv.end(b)
	return cost{cpu / time.Duration(load.jobs), wall / time.Duration(load.jobs)}
}

// child is a process of this test binary.
type child struct {
	cmd *exec.Cmd
	in  interface{ Close() error }
}

// startChild starts this program with more environment and returns the first line
// that it writes.
func startChild(b *testing.B, env ...string) (*child, string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &child{cmd, in}, strings.TrimSpace(line)
}

// end ends the process and returns its processor time.
func (c *child) end(b *testing.B) time.Duration {
	b.Helper()
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return c.cmd.ProcessState.UserTime() + c.cmd.ProcessState.SystemTime()
}
