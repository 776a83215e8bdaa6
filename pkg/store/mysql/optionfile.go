package mysql

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
)

// ReadOptionFiles returns the options that gearmand finds in MySQL's option
// files, through MySQL's library: those of the group [gearmand] and of the groups
// of all clients, in the system's files, then in $MYSQL_HOME's and the user's. A
// key is like user or socket; the last value counts. A file that anyone may write
// is left out, and open is called for it. getenv is [os.Getenv] or the like.
//
// gearmand always sets a host, a port and a password, if only its defaults, and
// takes none of them from there. The place of its queue must not depend on an
// option for all clients, so host and port are only read in the group [gearmand].
func ReadOptionFiles(getenv func(string) string, open func(file string)) (map[string]string, error) {
	files := []string{"/etc/my.cnf", "/etc/mysql/my.cnf"}
	if dir := getenv("MYSQL_HOME"); dir != "" {
		files = append(files, filepath.Join(dir, "my.cnf"))
	}
	if dir := getenv("HOME"); dir != "" {
		files = append(files, filepath.Join(dir, ".my.cnf"))
	}
	r := optionReader{
		groups: []string{"client", "client-server", "client-mariadb", "gearmand"},
		owned:  map[string]string{"host": "gearmand", "port": "gearmand"},
		found:  make(map[string]string),
		warn:   open,
	}
	for _, file := range files {
		if err := r.readFile(file, 0); err != nil {
			return nil, fmt.Errorf("read MySQL's options: %w", err)
		}
	}
	return r.found, nil
}

// DefaultSocket returns the socket that MySQL's library uses for localhost; empty
// if there is none.
func DefaultSocket(getenv func(string) string) string {
	for _, path := range []string{
		getenv("MYSQL_UNIX_PORT"), "/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock",
	} {
		if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
			return path
		}
	}
	return ""
}

// LoginName returns the user name that MySQL's library uses if none is given; empty
// if the system does not know it.
func LoginName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// optionReader reads option files.
type optionReader struct {
	groups []string
	owned  map[string]string // keys that only one of the groups may have
	found  map[string]string
	warn   func(file string) // is called for a file that anyone may write
}

// maxInclude is how deep option files may include others.
const maxInclude = 10

// readFile reads the options of a file. One that does not exist or that this user may
// not read is empty.
func (r *optionReader) readFile(file string, depth int) error {
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
			err = r.includeFiles(filepath.Dir(file), line, depth)
		case line[0] == '[':
			name, _, ok := strings.Cut(line[1:], "]")
			if group = strings.TrimSpace(name); !ok {
				err = errors.New("a group without its ]")
			}
		case group == "":
			err = errors.New("an option before the first group")
		case slices.Contains(r.groups, group):
			r.setOption(group, line)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, n, err)
		}
	}
	return lines.Err()
}

// setOption notes an option of a group.
func (r *optionReader) setOption(group, line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		key, _, _ = strings.Cut(key, "#")
	}
	key = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(key), "loose-"), "_", "-")
	if owner := r.owned[key]; owner == "" || owner == group {
		r.found[key] = optionValue(value)
	}
}

// includeFiles reads the file or, in the order of their names, the *.cnf files of
// the directory that a line names.
func (r *optionReader) includeFiles(dir, line string, depth int) error {
	verb, path, _ := strings.Cut(line, " ")
	path = strings.TrimSpace(path)
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	switch verb {
	case "!include":
		return r.readFile(path, depth+1)
	case "!includedir":
		files, err := filepath.Glob(filepath.Join(path, "*.cnf"))
		for _, file := range files {
			if err == nil {
				err = r.readFile(file, depth+1)
			}
		}
		return err
	}
	return fmt.Errorf("%s: not !include or !includedir", verb)
}

// optionValue returns the value without its quotes, and without the blanks and the
// comment around it.
func optionValue(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		if end := closingQuote(s); end > 0 {
			return optionEscapes.Replace(s[1:end])
		}
	}
	if at := strings.IndexByte(s, '#'); at >= 0 {
		s = strings.TrimSpace(s[:at])
	}
	return optionEscapes.Replace(s)
}

// closingQuote returns the index of the quote that closes the one at the start of
// s; 0 if there is none.
func closingQuote(s string) int {
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
