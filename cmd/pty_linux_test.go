package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"gm/cmd/cli"
)

// terminal is a pseudo-terminal with a program, and the text that the program has drawn.
// It interprets the escapes that gm writes, and counts flaws: wrapped lines, and lines that
// scroll away on the alternate screen.
type terminal struct {
	master *os.File
	cmd    *exec.Cmd
	done   chan error

	mu                sync.Mutex
	columns, lines    int
	alternate         bool
	cells             [][]rune
	row, column       int
	wrapped, scrolled int
	frames            int    // times that the cursor has gone home
	pending           []byte // the beginning of a sequence or of a rune, whose rest comes later
	log               bytes.Buffer
}

// runInTerminal starts a command in a terminal of that size.
func runInTerminal(t *testing.T, columns, lines int, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, done: make(chan error, 1)}
	term.resize(t, columns, lines)
	term.cmd = exec.Command(args[0], args[1:]...)
	term.cmd.Env = append(os.Environ(), "TERM=xterm")
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go func() {
		io.Copy(term, master) //nolint:errcheck // it ends with EIO
		term.done <- term.cmd.Wait()
	}()
	t.Cleanup(func() {
		term.cmd.Process.Kill()
		master.Close()
		if t.Failed() {
			t.Logf("%q", term.log.String())
		}
	})
	return term
}

// resize sets the size, which the program is told by SIGWINCH.
func (m *terminal) resize(t *testing.T, columns, lines int) {
	t.Helper()
	m.mu.Lock()
	m.columns, m.lines = columns, lines
	m.mu.Unlock()
	err := unix.IoctlSetWinsize(int(m.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(lines)})
	if err != nil {
		t.Fatal(err)
	}
}

// wait waits for the program's end and returns its exit code.
func (m *terminal) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-m.done:
		return m.cmd.ProcessState.ExitCode()
	case <-time.After(scriptPatience):
		t.Fatal("the program does not end")
	}
	return 0
}

// text returns the visible text.
func (m *terminal) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, line := range m.cells {
		b.WriteString(strings.TrimRight(string(line), " \x00") + "\n")
	}
	return b.String()
}

// check fails the test if something was wrapped or has scrolled.
func (m *terminal) check(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wrapped > 0 || m.scrolled > 0 {
		t.Errorf("%d lines wrapped, %d lines scrolled away while drawing", m.wrapped, m.scrolled)
	}
}

// Write takes the output of the program.
func (m *terminal) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log.Write(p)
	text := append(m.pending, p...)
	for m.pending = nil; len(text) > 0; {
		if text[0] == '\x1b' {
			end := bytes.IndexFunc(text[min(2, len(text)):], func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				m.pending = text
				break
			}
			m.control(string(text[2 : 2+end+1]))
			text = text[2+end+1:]
			continue
		}
		if !utf8.FullRune(text) {
			m.pending = text
			break
		}
		r, n := utf8.DecodeRune(text)
		m.put(r)
		text = text[n:]
	}
	return len(p), nil
}

func (m *terminal) control(sequence string) {
	switch sequence {
	case "?1049h", "?1049l":
		m.alternate = sequence == "?1049h"
		m.cells, m.row, m.column = nil, 0, 0
	case "H":
		m.row, m.column = 0, 0
		m.frames++
	case "K":
		if m.row < len(m.cells) {
			m.cells[m.row] = m.cells[m.row][:min(m.column, len(m.cells[m.row]))]
		}
	case "J":
		m.cells = m.cells[:min(m.row+1, len(m.cells))]
	}
}

func (m *terminal) put(r rune) {
	switch r {
	case '\r':
		m.column = 0
		return
	case '\b':
		m.column = max(0, m.column-1)
		return
	case '\n':
		m.row++
		if m.alternate && m.row >= m.lines {
			m.scrolled++
		}
		return
	}
	width := cli.TextWidth(string(r))
	if m.column+width > m.columns {
		m.wrapped++
		m.row, m.column = m.row+1, 0
	}
	for len(m.cells) <= m.row {
		m.cells = append(m.cells, nil)
	}
	for len(m.cells[m.row]) < m.column+width {
		m.cells[m.row] = append(m.cells[m.row], 0)
	}
	m.cells[m.row][m.column] = r
	m.column += width
}

// sizes are those of the terminals that must show everything well.
var sizes = []struct{ columns, lines int }{{80, 24}, {40, 10}, {200, 50}}

// terminalServer is a server with many functions and jobs with long names.
func terminalServer(t *testing.T) string {
	t.Helper()
	server := servePiped(t, "--host", "some-quite-long-host-name.example.org").addr.String()
	args := []string{"admin", "create", "-s", server}
	for i := range 60 {
		args = append(args, fmt.Sprintf("a.function.with.a.long.name.like.those.of.PHP\\Jobs\\%03d", i))
	}
	args = append(args, "日本語の関数の名前はとても長いものになることがあります")
	for _, args := range [][]string{
		args,
		{"submit", "-s", server, "-b", "-f", "日本語の関数の名前はとても長いものになることがあります", "-u", strings.Repeat("unique", 10), "x"},
		{"submit", "-s", server, "-b", "-f", "short", "x"},
		{"submit", "-s", server, "-b", "-f", "short", "--in", "1h", "x"},
	} {
		if out, err := exec.Command("gm", args...).CombinedOutput(); err != nil {
			t.Fatalf("gm %s: %v\n%s", args[0], err, out)
		}
	}
	return server
}

func TestTablesFitTheTerminal(t *testing.T) {
	server := terminalServer(t)
	out, err := exec.Command("gm", "jobs", "-s", server, "-o", "tsv").Output()
	if err != nil {
		t.Fatal(err)
	}
	handle := strings.Split(string(out), "\t")[1]
	for _, size := range sizes {
		for _, verb := range [][]string{
			{"status"},
			{"jobs"},
			{"job", handle},
			{"workers", "--all"},
			{"wait", "-t", "1ms", "H:nowhere-to-be-found.example.org:123456789"},
			{"ping"},
			{"admin", "show-jobs"},
			{"status", "-s", "127.0.0.1:1"},
			{"admin", "show-unique-jobs"},
		} {
			name := fmt.Sprintf("%dx%d %s", size.columns, size.lines, verb[0])
			t.Run(name, func(t *testing.T) {
				args := append([]string{"gm", verb[0], "-s", server}, verb[1:]...)
				if verb[0] == "admin" {
					args = append([]string{"gm", "admin"}, append(verb[1:], "-s", server)...)
				}
				term := runInTerminal(t, size.columns, size.lines, args...)
				if code := term.wait(t); code != 0 && verb[0] != "wait" {
					t.Errorf("exit code %d", code)
				}
				term.check(t)
				if text := term.text(); !strings.Contains(strings.ToUpper(text), map[string]string{
					"status": "FUNCTION", "jobs": "HANDLE", "job": "HANDLE:", "workers": "ADDRESS", "wait": "", "ping": "SERVER",
				}[verb[0]]) {
					t.Errorf("got\n%s", text)
				}
			})
		}
	}
}

func TestOneJobIsLinesOfNameAndValue(t *testing.T) {
	server := terminalServer(t)
	out, err := exec.Command("gm", "jobs", "-s", server, "-o", "tsv").Output()
	if err != nil {
		t.Fatal(err)
	}
	cells := strings.Split(string(out), "\t")
	term := runInTerminal(t, 80, 24, "gm", "job", "-s", server, cells[1])
	term.wait(t)
	text := term.text()
	narrow := runInTerminal(t, 40, 10, "gm", "job", "-s", server, cells[1])
	narrow.wait(t)
	for _, want := range []string{"handle:   " + cells[1], "state:    waiting\n", "priority: normal\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "worker:") || strings.Contains(text, "died:") {
		t.Errorf("fields without a value in\n%s", text)
	}
	// The unique is longer than a line.
	if got := strings.Join(strings.Fields(narrow.text()), ""); !strings.Contains(got, strings.Repeat("unique", 10)) {
		t.Errorf("the unique is cut in\n%s", narrow.text())
	}
}

// TestMessagesAreFoldedAtBlanks prints an error and its hint, which are longer
// than a line of the terminal.
func TestMessagesAreFoldedAtBlanks(t *testing.T) {
	for _, width := range []int{80, 60} {
		term := runInTerminal(t, width, 24, "gm", "ping", "-s", "127.0.0.1:1")
		if code := term.wait(t); code != cli.ExitNoServer {
			t.Errorf("exit code %d, want %d", code, cli.ExitNoServer)
		}
		term.check(t)
		text := term.text()
		if !strings.Contains(text, "\nhint: start one with gm serve, ") || !strings.Contains(text, "\n      ") {
			t.Errorf("the hint is not folded in\n%s", text)
		}
	}
}

// TestPayloadEndsItsLine prints a payload that has no line end.
func TestPayloadEndsItsLine(t *testing.T) {
	server := terminalServer(t)
	args := []string{"submit", "-s", server, "-b", "--in", "1h", "-f", "short", "no line end"}
	handle, err := exec.Command("gm", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	term := runInTerminal(t, 80, 24, "sh", "-c", `gm job -s "$0" "$1" --payload; gm job -s "$0" "$1" --payload | cat; echo end`, server, strings.TrimSpace(string(handle)))
	term.wait(t)
	if got, want := strings.TrimRight(term.text(), "\n"), "no line end\nno line endend"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestServersHelpIsFolded prints the commands of a server, none of them cut.
func TestServersHelpIsFolded(t *testing.T) {
	server := terminalServer(t)
	for _, width := range []int{80, 60} {
		term := runInTerminal(t, width, 200, "gm", "admin", "help", "-s", server)
		term.wait(t)
		term.check(t)
		text := strings.Join(strings.Fields(term.text()), " ")
		if want := "stop job HANDLE drop a waiting job; ask the worker of a running one to stop it"; !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, term.text())
		}
	}
}

// TestNotesAreFoldedBesideABar stops a run that shows a bar.
func TestNotesAreFoldedBesideABar(t *testing.T) {
	server := terminalServer(t)
	term := runInTerminal(t, 80, 24, "gm", "submit", "-s", server, "-f", "nobody", "--bar", "x", "y")
	shows := func(want string) {
		t.Helper()
		waitUntil(t, want, func() bool { return strings.Contains(term.text(), want) })
	}
	shows("running 2")
	if err := term.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	shows("\n    waited for; a second Ctrl-C ends it now\n")
	term.check(t)
}

// TestStdinIsAnnouncedWithTheProgramsName reads a payload from a terminal, under another
// name.
func TestStdinIsAnnouncedWithTheProgramsName(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals: %v", err)
	}
	defer master.Close()
	nameProgram(t, "jobber")
	e, stderr := testEnv(os.Getenv)
	e.Stdin = master
	e.announceStdin("the payload")
	if got, want := stderr.String(), "jobber: reading the payload from the terminal; Ctrl-D ends it\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWatchFitsTheTerminal(t *testing.T) {
	server := terminalServer(t)
	for _, size := range sizes {
		for _, verb := range []string{"status", "workers"} {
			t.Run(fmt.Sprintf("%dx%d %s", size.columns, size.lines, verb), func(t *testing.T) {
				term := runInTerminal(t, size.columns, size.lines, "gm", verb, "-s", server+",127.0.0.1:1", "--watch", "-i", "20ms")
				waitUntil(t, "three frames", func() bool {
					term.mu.Lock()
					defer term.mu.Unlock()
					return term.frames >= 3
				})
				text := term.text()
				if n := strings.Count(text, "\n"); n > size.lines {
					t.Errorf("%d lines", n)
				}
				if !strings.Contains(text, "every 20ms") || !strings.Contains(text, "server 127.0.0.1:1 is left out") {
					t.Errorf("got\n%s", text)
				}
				if verb == "status" && size.lines < 60 && !strings.Contains(text, "more rows") {
					t.Errorf("the rest is not counted:\n%s", text)
				}
				term.check(t)
				term.cmd.Process.Signal(os.Interrupt)
				if code := term.wait(t); code != cli.ExitSignal+int(syscall.SIGINT) {
					t.Errorf("exit code %d", code)
				}
				if term.alternate {
					t.Error("the terminal is left on the alternate screen")
				}
			})
		}
	}
}

func TestWatchFollowsTheTerminalsSize(t *testing.T) {
	server := terminalServer(t)
	term := runInTerminal(t, 200, 50, "gm", "status", "-s", server, "--watch", "-i", "1h")
	waitUntil(t, "the first frame", func() bool { return strings.Contains(term.text(), "FUNCTION") })
	term.check(t)
	term.resize(t, 40, 10)
	waitUntil(t, "a frame of ten lines", func() bool {
		text := term.text()
		return strings.Count(text, "\n") == 10 && strings.Contains(text, "more rows")
	})
	term.check(t)
	term.cmd.Process.Signal(os.Interrupt)
	term.wait(t)
}
