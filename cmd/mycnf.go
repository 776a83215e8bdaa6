package cmd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// myCnf reads what MySQL's option files say, as its library does for gearmand:
// the group [gearmand] and those of all clients, of the system's files, then of
// $MYSQL_HOME's and the user's. The keys are like user and socket, and what
// comes last counts. A file that anyone may write is left out, with a word of it.
//
// gearmand itself has a host, a port and a password always, if only those it has
// by default, and takes none from there. Where its queue is must not depend on
// what is said to all clients, so that host and port are only [gearmand]'s.
func (e *env) myCnf() (map[string]string, error) {
	files := []string{"/etc/my.cnf", "/etc/mysql/my.cnf"}
	if dir := e.getenv("MYSQL_HOME"); dir != "" {
		files = append(files, filepath.Join(dir, "my.cnf"))
	}
	if dir := e.getenv("HOME"); dir != "" {
		files = append(files, filepath.Join(dir, ".my.cnf"))
	}
	r := optionReader{
		groups: []string{"client", "client-server", "client-mariadb", "gearmand"},
		owned:  map[string]string{"host": "gearmand", "port": "gearmand"},
		found:  make(map[string]string),
		warn:   func(file string) { e.note("%s: anyone may write it, so it is not read", file) },
	}
	for _, file := range files {
		if err := r.read(file, 0); err != nil {
			return nil, fmt.Errorf("read MySQL's options: %w", err)
		}
	}
	return r.found, nil
}

// optionReader reads option files.
type optionReader struct {
	groups []string
	owned  map[string]string // keys that only one of the groups may have
	found  map[string]string
	warn   func(file string) // that may be written by anyone
}

// maxInclude is how deep option files may include others.
const maxInclude = 10

// read takes what is in a file. One that is not there, or not for us, is empty.
func (r *optionReader) read(file string, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("%s: included by files that are %d deep", file, maxInclude)
	}
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if info.Mode()&0o002 != 0 {
		r.warn(file)
		return nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	group := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '!':
			err = r.include(filepath.Dir(file), line, depth)
		case line[0] == '[':
			name, _, ok := strings.Cut(line[1:], "]")
			if group = strings.TrimSpace(name); !ok {
				err = errors.New("a group without its ]")
			}
		case group == "":
			err = errors.New("an option before the first group")
		case slices.Contains(r.groups, group):
			r.take(group, line)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	return lines.Err()
}

// take takes an option of a group.
func (r *optionReader) take(group, line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		key, _, _ = strings.Cut(key, "#")
	}
	key = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(key), "loose-"), "_", "-")
	if owner := r.owned[key]; owner == "" || owner == group {
		r.found[key] = optionValue(value)
	}
}

// include reads the file or, in the order of their names, the *.cnf files of
// the directory that a line names.
func (r *optionReader) include(dir, line string, depth int) error {
	verb, path, _ := strings.Cut(line, " ")
	path = strings.TrimSpace(path)
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	switch verb {
	case "!include":
		return r.read(path, depth+1)
	case "!includedir":
		files, err := filepath.Glob(filepath.Join(path, "*.cnf"))
		for _, file := range files {
			if err == nil {
				err = r.read(file, depth+1)
			}
		}
		return err
	}
	return fmt.Errorf("%s: not !include or !includedir", verb)
}

// optionValue returns a value as it is meant: without what surrounds it, be it
// quotes, and without a comment behind it.
func optionValue(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		if end := closing(s); end > 0 {
			return optionEscapes.Replace(s[1:end])
		}
	}
	if at := strings.IndexByte(s, '#'); at >= 0 {
		s = strings.TrimSpace(s[:at])
	}
	return optionEscapes.Replace(s)
}

// closing returns where the quote is that closes the one with which s begins;
// 0 if there is none.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i
		}
	}
	return 0
}

var optionEscapes = strings.NewReplacer(
	`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\b`, "\b", `\s`, " ", `\"`, `"`, `\'`, `'`)
