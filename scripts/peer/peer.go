//go:build linux

// Package peer starts the servers that are measured side by side, each on a
// free port of the loopback interface with its files in a directory of its own,
// and reports their use of memory and time.
package peer

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startTimeout is how long a server may take until it answers, and to end.
const startTimeout = 30 * time.Second

// Server is one that was started.
type Server struct {
	Addr string // 127.0.0.1:PORT; a relay has none
	Dir  string // of its files; goes with it

	cmd   *exec.Cmd
	clock int32
}

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(startTimeout, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	kill.Stop()
	_ = os.RemoveAll(s.Dir)
}

// Kill ends the server at once, without the time to write its data.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	s.Stop()
}

// GM starts gm serve with more arguments, in which DIR stands for the server's
// directory. That is below parent, as those of all servers; empty is the
// system's place for such.
func GM(path, parent string, args ...string) (*Server, error) {
	dir, err := os.MkdirTemp(parent, "gm-bench-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, inDir(dir, "serve -p 0 --print-port", args)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s, err := start(cmd, dir)
	if err != nil {
		return nil, err
	}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("%s serve: no port: %w", path, err)
	}
	return s.await(strings.TrimSpace(port), "version\n")
}

// Gearmand starts Debian's gearmand with more arguments, in which DIR stands
// for its directory.
func Gearmand(parent string, args ...string) (*Server, error) {
	return startPort(parent, "gearmand", "gearman-job-server", "version\n", func(dir, port string) []string {
		return inDir(dir, "--listen=127.0.0.1 --log-file=none --file-descriptors=20000 --port="+port, args)
	})
}

// inDir returns all arguments, with the directory in its place.
func inDir(dir, first string, args []string) []string {
	all := strings.Fields(first)
	for _, a := range args {
		all = append(all, strings.ReplaceAll(a, "DIR", dir))
	}
	return all
}

// Beanstalkd starts beanstalkd.
func Beanstalkd(parent string) (*Server, error) {
	return startPort(parent, "beanstalkd", "beanstalkd", "stats\r\n", func(_, port string) []string {
		return []string{"-l", "127.0.0.1", "-p", port}
	})
}

// Redis starts a Redis server that writes nothing to the disk.
func Redis(parent string) (*Server, error) {
	return startPort(parent, "redis-server", "redis-server", "PING\r\n", func(dir, port string) []string {
		return []string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}
	})
}

// Socat starts a relay, which connects to both addresses.
func Socat(parent, a, b string) (*Server, error) {
	path, err := lookPath("socat", "socat")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "socat-bench-")
	if err != nil {
		return nil, err
	}
	return start(exec.Command(path, "TCP:"+a+",nodelay", "TCP:"+b+",nodelay"), dir)
}

func startPort(parent, program, pkg, hello string, args func(dir, port string) []string) (*Server, error) {
	path, err := lookPath(program, pkg)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, program+"-bench-")
	if err != nil {
		return nil, err
	}
	s, err := start(exec.Command(path, args(dir, port)...), dir)
	if err != nil {
		return nil, err
	}
	return s.await(port, hello)
}

// lookPath finds a program of one of Debian's packages.
func lookPath(program, pkg string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		path = "/usr/sbin/" + program // often in the PATH of root only
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s: not found; it is in the package %s", program, pkg)
	}
	return path, nil
}

// start starts a server that logs into its directory.
func start(cmd *exec.Cmd, dir string) (*Server, error) {
	s := &Server{Dir: dir, cmd: cmd}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err == nil {
		defer log.Close()
		cmd.Stderr = log
		Bind(cmd)
		err = cmd.Start()
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s.clock = cpuClock(cmd.Process.Pid)
	return s, nil
}

// Bind has a program end with this one, however that ends.
func Bind(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// await waits until the server answers. If it does not, it is stopped.
func (s *Server) await(port, hello string) (*Server, error) {
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(startTimeout)
	for {
		_, err := s.Ask(hello)
		if err == nil {
			return s, nil
		}
		if time.Now().After(end) {
			s.Stop()
			return nil, fmt.Errorf("%s does not answer: %w", s.cmd.Path, err)
		}
		<-tick.C
	}
}

// Ask sends a line of text and returns the first of the reply.
func (s *Server) Ask(line string) ([]byte, error) {
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Write([]byte(line)); err != nil {
		return nil, err
	}
	return bufio.NewReader(c).ReadBytes('\n')
}
