package cli

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// showText prints a long text. If the text does not fit on the terminal, showText runs
// $PAGER, or else less or more if one of them is installed.
func (e *Env) showText(text []byte) error {
	_, lines := TerminalSize(e.Stdout)
	pager := e.pager()
	if lines == 0 || strings.Count(string(text), "\n") < lines || pager == "" {
		_, err := e.Stdout.Write(text)
		return err
	}
	return e.runFilter(text, "sh", "-c", pager)
}

// pager returns the command of the pager, or "" for output without a pager.
func (e *Env) pager() string {
	switch pager := strings.TrimSpace(e.Getenv("PAGER")); pager {
	case "":
	case "cat":
		return ""
	default:
		return pager
	}
	for _, name := range []string{"less", "more"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return ""
}

// runFilter runs a command with text as its stdin and the terminal as its output. It
// ignores that a pager ends before it has read everything.
func (e *Env) runFilter(text []byte, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(string(text))
	cmd.Stdout, cmd.Stderr = plainStream(e.Stdout), e.Stderr
	cmd.Env = os.Environ()
	if e.Getenv("LESS") == "" {
		cmd.Env = append(cmd.Env, "LESS=FRX") // stay on the screen if it fits, show colours
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.Is(err, syscall.EPIPE) || errors.As(err, &exit) {
		return nil
	}
	return err
}

// plainStream returns the stream inside an Output, so that a command gets the file itself.
func plainStream(w io.Writer) io.Writer {
	if o, ok := w.(*Output); ok {
		return o.Writer
	}
	return w
}

// showManPage shows a page of roff on a terminal with the first of man, mandoc and groff
// that is installed. If none is, it shows the plain help. Elsewhere it prints the roff.
func (e *Env) showManPage(page []byte, plain func() []byte) error {
	if columns, _ := TerminalSize(e.Stdout); columns == 0 {
		_, err := e.Stdout.Write(page)
		return err
	}
	for _, formatter := range [][]string{
		{"man", "-l", "-"}, {"mandoc", "-a"}, {"sh", "-c", "groff -man -Tutf8 -rLL=80n | ${PAGER:-less}"},
	} {
		command := formatter[0]
		if command == "sh" {
			command = "groff"
		}
		if _, err := exec.LookPath(command); err == nil {
			return e.runFilter(page, formatter[0], formatter[1:]...)
		}
	}
	return e.showText(plain())
}
