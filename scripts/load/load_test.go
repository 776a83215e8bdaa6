//go:build linux

package load

import (
	"net"
	"strings"
	"testing"
	"time"

	"gm/pkg/server"
)

// serve starts a job server for a test and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	s, err := server.New(server.Config{Host: "test"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	return l.Addr().String()
}

// run runs a load until its end.
func run(t *testing.T, l *Load, err error) Result {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r, err := l.Run(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSubmittedJobsAreDrained(t *testing.T) {
	for _, tc := range []struct {
		name    string
		job     Job
		conns   int
		window  int
		workers int
	}{
		{"one by one", Job{Size: 10}, 1, 1, 1},
		{"pipelined", Job{Size: 100}, 8, 64, 8},
		{"more than a send holds", Job{Size: 1}, 2, 200, 3},
		{"uniques", Job{Size: 100, Unique: true}, 3, 7, 2},
		{"functions", Job{Size: 100, Functions: 50}, 3, 7, 2},
		{"nothing in them", Job{Unique: true}, 1, 10, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const jobs = 1000
			addr := serve(t)
			l, err := Submit(Gearman, addr, Submission{Job: tc.job, Jobs: jobs, Conns: tc.conns, Window: tc.window})
			if got := run(t, l, err).Jobs; got != jobs {
				t.Errorf("submitted %d jobs, want %d", got, jobs)
			}
			all := func(int) (names []string) {
				for i := range max(tc.job.Functions, 1) {
					names = append(names, Function(i))
				}
				return names
			}
			// One more than there are: it ends when nothing is left.
			l, err = Drain(Gearman, addr, tc.workers, jobs+1, all)
			if got := run(t, l, err).Jobs; got != jobs {
				t.Errorf("drained %d jobs, want %d", got, jobs)
			}
		})
	}
}

func TestForeground(t *testing.T) {
	const jobs = 20
	for _, p := range []Pairs{
		{Size: 100, Clients: 1, Window: 1, Workers: 1},
		{Size: 0, Clients: 3, Window: 1, Workers: 2},
		{Size: 1 << 20, Clients: 2, Window: 4, Workers: 2},
		{Size: 1, Clients: 1, Window: 1, Workers: 1, Every: time.Millisecond},
	} {
		p.Jobs = jobs
		l, err := Foreground(serve(t), p)
		r := run(t, l, err)
		if r.Jobs < jobs {
			t.Errorf("%+v: %d jobs", p, r.Jobs)
		}
		want := 0
		if p.Window == 1 {
			want = r.Jobs
		}
		if len(r.Latencies) != want {
			t.Errorf("%+v: %d latencies of %d jobs, want %d", p, len(r.Latencies), r.Jobs, want)
		}
	}
}

func TestStopEndsARun(t *testing.T) {
	l, err := Foreground(serve(t), Pairs{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := l.Run(time.Hour)
		ended <- err
	}()
	l.Stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLargeJobs(t *testing.T) {
	r, err := LargeJobs(serve(t), 3<<20, 3)
	if err != nil || r.Jobs != 3 {
		t.Errorf("%d jobs, %v; want 3", r.Jobs, err)
	}
}

func TestServerThatRefusesEndsTheRun(t *testing.T) {
	addr := serve(t)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("maxqueue " + Function(0) + " 10\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	l, err := Submit(Gearman, addr, Submission{Jobs: 100, Conns: 1, Window: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Run(time.Minute); err == nil || !strings.Contains(err.Error(), "queue is full") {
		t.Errorf("error %v, want the server's", err)
	}
}

func TestNumbersOfASubmission(t *testing.T) {
	s := Gearman.submission(Job{Size: 1, Unique: true, Functions: 3})
	got := string(s.take(3))
	for _, want := range []string{
		Function(1) + "\x000000000000000001\x00x",
		Function(2) + "\x000000000000000002\x00x",
		Function(0) + "\x000000000000000003\x00x",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("packets %q have no %q", got, want)
		}
	}
}

func TestAnswersOfPeers(t *testing.T) {
	for _, tc := range []struct {
		p    Protocol
		in   string
		out  string
		used int
		a    answer
	}{
		{Beanstalk, "RESERVED 7 3\r\nabc\r\nDEL", "delete 7\r\nreserve-with-timeout 0\r\n", 19, job},
		{Beanstalk, "RESERVED 7 3\r\nab", "", 0, partly},
		{Beanstalk, "DELETED\r\n", "", 9, other},
		{Beanstalk, "TIMED_OUT\r\n", "", 11, nothing},
		{Redis, "$3\r\nabc\r\n", "*2\r\n$4\r\nRPOP\r\n$5\r\nbench\r\n", 9, job},
		{Redis, "$3\r\nab", "", 0, partly},
		{Redis, "$-1\r\n", "", 5, nothing},
	} {
		out, used, a, err := tc.p.assigned(nil, []byte(tc.in))
		if string(out) != tc.out || used != tc.used || a != tc.a || err != nil {
			t.Errorf("%T %q: %q, %d, %v, %v; want %q, %d, %v", tc.p, tc.in, out, used, a, err, tc.out, tc.used, tc.a)
		}
	}
	for _, tc := range []struct {
		p  Protocol
		in string
	}{
		{Beanstalk, "OUT_OF_MEMORY\r\n"},
		{Redis, "-ERR no\r\n"},
		{Gearman, "\x00RES\x00\x00\x00\x13\x00\x00\x00\x00"},
	} {
		if _, _, _, err := tc.p.assigned(nil, []byte(tc.in)); err == nil {
			t.Errorf("%T: no error for the answer %q", tc.p, tc.in)
		}
		if _, _, err := tc.p.accepted([]byte(tc.in)); err == nil {
			t.Errorf("%T: no error for the acknowledgement %q", tc.p, tc.in)
		}
	}
}
