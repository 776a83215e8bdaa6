package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gm/pkg/wire"
)

// startTimeout is how long a server may take until it answers, and to end.
const startTimeout = 30 * time.Second

// child is a server that was started, with its files in a directory of its
// own.
type child struct {
	cmd  *exec.Cmd
	dir  string
	addr string
}

// stop ends the server and removes its files.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(startTimeout, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait()
	kill.Stop()
	_ = os.RemoveAll(c.dir)
}

// startGM starts gm serve --data, which syncs each batch.
func startGM(path, parent string) (*child, error) {
	dir, err := os.MkdirTemp(parent, "gm-bench-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1", "-p", "0", "--print-port", "--log-level", "warn")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	c := &child{cmd: cmd, dir: dir}
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("%s serve: no port: %w", path, err)
	}
	c.addr = "127.0.0.1:" + strings.TrimSpace(port)
	return c, c.await()
}

// startGearmand starts Debian's gearmand with its jobs in SQLite.
func startGearmand(parent string) (*child, error) {
	path, err := exec.LookPath("gearmand")
	if err != nil {
		path = "/usr/sbin/gearmand" // often not in the PATH of those who are not root
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "gearmand-bench-")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, "--listen=127.0.0.1", "--port="+port, "--log-file=none",
		"--queue-type=libsqlite3", "--libsqlite3-db="+filepath.Join(dir, "queue.db"))
	if err := cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("gearmand (gearman-job-server): %w", err)
	}
	c := &child{cmd: cmd, dir: dir, addr: addr}
	return c, c.await()
}

// freeAddr returns an address on which nothing listens.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the server answers. If it does not, it is stopped.
func (c *child) await() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(startTimeout)
	for {
		_, err := c.admin("version")
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			c.stop()
			return fmt.Errorf("%s does not answer: %w", c.cmd.Path, err)
		}
		<-tick.C
	}
}

// admin sends a line of the admin protocol and returns the first of the reply.
func (c *child) admin(line string) ([]byte, error) {
	nc, err := net.Dial("tcp", c.addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if _, err := fmt.Fprintln(nc, line); err != nil {
		return nil, err
	}
	return bufio.NewReader(nc).ReadBytes('\n')
}

// stats returns what gm serve says of itself.
func (c *child) stats() (stats wire.ServerStats, err error) {
	line, err := c.admin(wire.CmdStats)
	if err == nil {
		err = json.Unmarshal(line, &stats)
	}
	return stats, err
}
