package mysql

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeFiles writes files below a new directory. A name with a ! before it
// anyone may write.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		open := strings.HasPrefix(name, "!")
		path := filepath.Join(dir, strings.TrimPrefix(name, "!"))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if open {
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func TestOptionFiles(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string // of which a.cnf is read, then b.cnf
		want  map[string]string
		err   string
	}{
		{name: "none"},
		{
			name: "groups",
			files: map[string]string{"a.cnf": "# c\n; c\n\n[mysqld]\nport=1\n[client]\nhost = db\nport=3307\n" +
				"[ gearmand ]\nuser=g\n[mysql]\nuser=m\n[client]\nsocket=/s\n"},
			want: map[string]string{"host": "db", "port": "3307", "user": "g", "socket": "/s"},
		},
		{
			name:  "the last counts",
			files: map[string]string{"a.cnf": "[gearmand]\nuser=a\nhost=h\n[client]\nuser=b\n", "b.cnf": "[client]\nuser=c\n"},
			want:  map[string]string{"user": "c", "host": "h"},
		},
		{
			name: "values",
			files: map[string]string{"a.cnf": "[client]\r\n" + `
password = "a # b'c\"\\" # comment
user='x y'   
host=db # comment
database=
socket=/with\sspace\\
loose-default_character_set=utf8mb4
compress # on
ssl
`},
			want: map[string]string{
				"password": `a # b'c"\`, "user": "x y", "host": "db", "database": "", "socket": `/with space\`,
				"default-character-set": "utf8mb4", "compress": "", "ssl": "",
			},
		},
		{
			name:  "a quote that is none",
			files: map[string]string{"a.cnf": "[client]\npassword='it\n"},
			want:  map[string]string{"password": "'it"},
		},
		{
			name: "included",
			files: map[string]string{
				"a.cnf": "[client]\nhost=a\n!include more.cnf\nuser=a\n!includedir conf.d\n!include nowhere.cnf\n", "more.cnf": "[client]\nhost=more\n",
				"conf.d/1.cnf": "[client]\nport=1\n", "conf.d/2.cnf": "[client]\nport=2\n", "conf.d/3.ini": "[client]\nport=3\n",
			},
			want: map[string]string{"host": "more", "user": "a", "port": "2"},
		},
		{name: "includes itself", files: map[string]string{"a.cnf": "!include a.cnf\n"}, err: "10 deep"},
		{
			name:  "open to all",
			files: map[string]string{"!a.cnf": "[client]\nhost=evil\n", "b.cnf": "[client]\nuser=u\n"},
			want:  map[string]string{"user": "u", "warned": "a.cnf"},
		},
		{
			name:  "owned",
			files: map[string]string{"a.cnf": "[gearmand]\nowned=g\nother=g\n[client]\nowned=c\nother=c\n"},
			want:  map[string]string{"owned": "g", "other": "c"},
		},
		{name: "no group", files: map[string]string{"a.cnf": "\nhost=a\n"}, err: "a.cnf:2: an option before the first group"},
		{name: "half a group", files: map[string]string{"a.cnf": "[client\n"}, err: "a.cnf:1: a group without its ]"},
		{name: "unknown", files: map[string]string{"a.cnf": "!exclude x\n"}, err: "!exclude: not !include"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := writeFiles(t, tc.files)
			r := optionReader{groups: []string{"client", "gearmand"}, owned: map[string]string{"owned": "gearmand"}, found: map[string]string{}}
			r.warn = func(file string) { r.found["warned"] = filepath.Base(file) }
			var err error
			for _, name := range []string{"a.cnf", "b.cnf"} {
				if err == nil {
					err = r.readFile(filepath.Join(dir, name), 0)
				}
			}
			switch {
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("got error %v, want %q", err, tc.err)
			case tc.err == "" && (err != nil || !maps.Equal(r.found, tc.want)):
				t.Errorf("got %q, %v, want %q", r.found, err, tc.want)
			}
		})
	}
}
