//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// machine is where and when a run was.
type machine struct {
	CPU      string    `json:"cpu"`
	Cores    int       `json:"cores"`
	Memory   string    `json:"memory"`
	Kernel   string    `json:"kernel"`
	Began    time.Time `json:"began"`
	Load     string    `json:"load"`     // average of a minute before the run
	LoadEnd  string    `json:"load_end"` // and at its end, the run's own
	Versions []string  `json:"versions"`
}

// thisMachine describes the machine, and the programs that are measured.
func thisMachine(e *env) machine {
	m := machine{
		CPU: field("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(),
		Kernel: strings.TrimSpace(contents("/proc/sys/kernel/osrelease")),
		Began:  time.Now().UTC(), Load: loadAverage(),
	}
	var kib float64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kib); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", kib/(1<<20))
	}
	for _, p := range [][]string{
		{e.gm, "--version"},
		{"gearmand", "--version"},
		{"beanstalkd", "-v"},
		{"redis-server", "--version"},
		{"socat", "-V"},
	} {
		m.Versions = append(m.Versions, version(p[0], p[1]))
	}
	return m
}

// String is the machine in a sentence's words.
func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, Linux %s, %s; load average before the run %s, at its end %s; %s",
		m.CPU, m.Cores, m.Memory, m.Kernel, m.Began.Format("2006-01-02 15:04 MST"), m.Load, m.LoadEnd, strings.Join(m.Versions, ", "))
}

var versionWord = regexp.MustCompile(`\d+\.\d[\w.+~-]*|devel\S*|[0-9a-f]{7,}\S*`)

// version asks a program of which version it is.
func version(program, flag string) string {
	name := program[strings.LastIndexByte(program, '/')+1:]
	if _, err := exec.LookPath(program); err != nil {
		program = "/usr/sbin/" + program
	}
	out, err := exec.Command(program, flag).Output()
	word := versionWord.Find(out)
	if err != nil || word == nil {
		return name
	}
	return name + " " + string(word)
}

func loadAverage() string {
	first, _, _ := strings.Cut(contents("/proc/loadavg"), " ")
	return first
}

// field returns the value of a name in a file of /proc.
func field(file, name string) string {
	for line := range strings.Lines(contents(file)) {
		if k, v, _ := strings.Cut(line, ":"); strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func contents(file string) string {
	text, _ := os.ReadFile(file)
	return string(bytes.TrimSpace(text))
}
