//go:build linux

package main

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gm/scripts/load"
	"gm/scripts/peer"
)

// processBenches compare programs from their start to their end: those of gm
// with those of the C library, on gm's server.
func processBenches(e *env) []*bench {
	submits := &bench{
		name:  "process-submit",
		title: "`gm submit`, the whole process, one job; `gearman`",
		contenders: []contender{
			{gm, func() (figures, error) { return e.submits(e.gm, "submit", "-s", "ADDR") }},
			{gearmanC, func() (figures, error) { return e.submits(gearmanC, "-h", "HOST", "-p", "PORT") }},
		},
		targets: []target{{took, atMost, 1.5, gearmanC}},
	}
	versions := &bench{
		name:  "process-version",
		title: "`gm --version`, the whole process; `gearman -H`",
		contenders: []contender{
			{gm, func() (figures, error) { return e.runs(e.gm, "--version") }},
			{gearmanC, func() (figures, error) { return e.runs(gearmanC, "-H") }},
		},
		targets: []target{{took, atMost, 1.2, gearmanC}},
	}
	theirs := contender{gearmanC, func() (figures, error) {
		return e.works(1, gearmanC, "-w", "-h", "HOST", "-p", "PORT", "-f", load.ForegroundFunction, "true")
	}}
	works := func(slots int, factor float64) *bench {
		j := "-j" + strconv.Itoa(slots)
		return &bench{
			name:  "process-work" + j,
			title: fmt.Sprintf("`gm work %s -- true`, a process a job; `gearman -w`", j),
			contenders: []contender{{gm, func() (figures, error) {
				return e.works(slots, e.gm, "work", "-s", "ADDR", "-f", load.ForegroundFunction, j, "--", "true")
			}}, theirs},
			targets: []target{{rate, atLeast, factor, gearmanC}},
		}
	}
	return []*bench{submits, versions, works(1, 1), works(2, 1.6)}
}

// runs measures a program that is run again and again.
func (e *env) runs(program string, args ...string) (figures, error) {
	var all []time.Duration
	for range e.n(100) {
		began := time.Now()
		if err := exec.Command(program, args...).Run(); err != nil {
			return nil, fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
		}
		all = append(all, time.Since(began))
	}
	return figures{took: micros(load.Quantile(all, 0.5)) / 1e3}, nil
}

// submits measures a program that submits a job and waits for it. In its
// arguments, ADDR, HOST and PORT are the server's.
func (e *env) submits(program string, args ...string) (f figures, err error) {
	s, _, err := e.start(gm)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	worker, err := load.Foreground(s.Addr, load.Pairs{Size: payloadSize, Workers: 1})
	if err != nil {
		return nil, err
	}
	defer worker.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := worker.Run(fillLimit)
		ended <- err
	}()
	f, err = e.runs(program, append(placed(s, args), "-f", load.ForegroundFunction, "hello")...)
	worker.Stop()
	if werr := <-ended; err == nil {
		err = werr
	}
	return f, err
}

// works measures a program that is a worker with so many slots.
func (e *env) works(slots int, program string, args ...string) (figures, error) {
	s, _, err := e.start(gm)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	end, err := startWorker(s, slots, program, args...)
	if err != nil {
		return nil, err
	}
	defer end()
	l, err := load.Foreground(s.Addr, load.Pairs{Size: payloadSize, Clients: 8, Window: 1})
	f, err := measure(s, e.period(), l, err)
	if err != nil {
		return nil, err
	}
	return figures{rate: f[rate]}, nil
}

// startWorker starts a program that is a worker with so many slots of the
// server's only function, and returns when it is known there.
func startWorker(s *peer.Server, slots int, program string, args ...string) (end func(), err error) {
	cmd := exec.Command(program, placed(s, args)...)
	peer.Bind(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	if err := awaitWorkers(s, slots); err != nil {
		end()
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	return end, nil
}

// placed returns arguments with the server's address in its places.
func placed(s *peer.Server, args []string) (all []string) {
	host, port, _ := net.SplitHostPort(s.Addr)
	r := strings.NewReplacer("ADDR", s.Addr, "HOST", host, "PORT", port)
	for _, a := range args {
		all = append(all, r.Replace(a))
	}
	return all
}

// awaitWorkers waits until so many have the only function.
func awaitWorkers(s *peer.Server, n int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(10 * time.Second)
	for {
		line, err := s.Ask("status\n")
		if err != nil {
			return err
		}
		words := strings.Fields(string(line))
		if got, _ := strconv.Atoi(words[len(words)-1]); got >= n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("no worker; the server's status is %q", line)
		}
		<-tick.C
	}
}
