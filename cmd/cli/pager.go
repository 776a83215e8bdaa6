package cli

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// page prints a long text. On a terminal that is too small for it, it uses $PAGER, or else
// less or more if one is installed.
func (e *Env) page(text []byte) error {
	_, lines := TerminalSize(e.Stdout)
	pager := e.pager()
	if lines == 0 || strings.Count(string(text), "\n") < lines || pager == "" {
		_, err := e.Stdout.Write(text)
		return err
	}
	return e.runFilter(text, "sh", "-c", pager)
}

// pager returns the command of the pager, empty for none.
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

// runFilter runs a command with text as its stdin and the terminal as its output. A pager
// may end before it has read everything.
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

// plainStream returns the stream that e.stdout wraps, so that a command gets the file.
func plainStream(w io.Writer) io.Writer {
	if o, ok := w.(*Output); ok {
		return o.Writer
	}
	return w
}

// showManPage shows roff on a terminal as a page: by man, mandoc or groff,
// whichever is there. Without any of them it pages the plain help.
func (e *Env) showManPage(page []byte, path []*Verb) error {
	for _, way := range [][]string{
		{"man", "-l", "-"}, {"mandoc", "-a"}, {"sh", "-c", "groff -man -Tutf8 -rLL=80n | ${PAGER:-less}"},
	} {
		command := way[0]
		if command == "sh" {
			command = "groff"
		}
		if _, err := exec.LookPath(command); err == nil {
			return e.runFilter(page, way[0], way[1:]...)
		}
	}
	return e.page(FullHelp(path))
}
