package results

import (
	"errors"
	"fmt"
	"hash/maphash"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gm/pkg/batch"
)

// Template is the path of an output file with the replacement strings of GNU
// parallel in it, which have the same meaning here:
//
//	{}    the label of the record
//	{.}   the label without its suffix
//	{/}   the label without its folders
//	{//}  the folder of the label
//	{/.}  the label without its folders and its suffix
//	{#}   the sequence number of the record
type Template string

// ErrOutside is wrapped by the error of a record whose path leads out of the
// folder that its Template begins with.
var ErrOutside = errors.New("not in the folder")

var replacement = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{(?:\.|/|//|/\.|#)?\}`) })

// ParseTemplate returns s as a Template. It refuses a text without replacement
// strings, which would give all records the same file.
func ParseTemplate(s string) (Template, error) {
	if !replacement().MatchString(s) {
		return "", fmt.Errorf("%q: all records would go to one file", s)
	}
	return Template(s), nil
}

// Expand returns the path for a record. It returns an error for a path that
// cannot name a file.
func (t Template) Expand(label string, seq int) (string, error) {
	path := replacement().ReplaceAllStringFunc(string(t), func(r string) string {
		switch r {
		case "{.}":
			return withoutSuffix(label)
		case "{/}":
			return baseName(label)
		case "{//}":
			return dirName(label)
		case "{/.}":
			return withoutSuffix(baseName(label))
		case "{#}":
			return strconv.Itoa(seq)
		}
		return label
	})
	if path == "" || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("name of output %q: not a file's", path)
	}
	for element := range strings.SplitSeq(path, "/") {
		if len(element) > maxElement {
			return "", fmt.Errorf("name of output %.40q...: %d bytes between slashes, over the limit of %d", path, len(element), maxElement)
		}
	}
	return path, nil
}

// Dir returns the folder that the template begins with, before its first
// replacement string.
func (t Template) Dir() string {
	begin := string(t)[:replacement().FindStringIndex(string(t))[0]]
	return filepath.Dir(begin + "x")
}

// relativeTo returns path relative to the folder dir. It returns an error that
// wraps ErrOutside if path is not in that folder.
func relativeTo(dir, path string) (string, error) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("name of output %q: %w %s", path, ErrOutside, dir)
	}
	return rel, nil
}

// maxElement is the maximum length of an element of a path on usual systems, in
// bytes.
const maxElement = 255

// withoutSuffix cuts off the last dot of the last element and the text after
// it.
func withoutSuffix(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}

// baseName returns the text after the last slash.
func baseName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// dirName returns the same as dirname(1).
func dirName(name string) string {
	name = trimSlashes(name)
	i := strings.LastIndexByte(name, '/')
	if i < 0 && name != "/" {
		return "."
	}
	return trimSlashes(name[:i+1])
}

// trimSlashes removes slashes at the end, except the only one of the root.
func trimSlashes(name string) string {
	for len(name) > 1 && name[len(name)-1] == '/' {
		name = name[:len(name)-1]
	}
	return name
}

// NamedSource is a source whose records have files of their own. A record fails
// before it is sent if its label gives no valid path, or the path of an earlier
// record.
type NamedSource struct {
	batch.Source
	template Template
	dir      string // folder that the files must be in; empty: any
	label    func(r *batch.Record) string
	seen     map[uint64]int // sequence number of the record that has a path, by the hash of the path
	seed     maphash.Seed
	seq      int
}

// NewNamedSource returns a source of the records of src. If anywhere is false,
// the files must be in the folder that the template begins with. label returns
// the label of a record of which only Seq, Name and Payload are set.
func NewNamedSource(src batch.Source, t Template, anywhere bool, label func(r *batch.Record) string) *NamedSource {
	s := &NamedSource{Source: src, template: t, label: label, seen: map[uint64]int{}, seed: maphash.MakeSeed()}
	if !anywhere {
		s.dir = t.Dir()
	}
	return s
}

// Next returns the next record.
func (s *NamedSource) Next() (batch.Input, error) {
	in, err := s.Source.Next()
	s.seq++
	if err != nil || in.Err != nil {
		return in, err
	}
	path, err := s.template.Expand(s.label(&batch.Record{Seq: s.seq, Name: in.Name, Payload: in.Payload}), s.seq)
	if err == nil && s.dir != "" {
		_, err = relativeTo(s.dir, path)
	}
	if err != nil {
		in.Err = err
		return in, nil
	}
	key := maphash.String(s.seed, filepath.Clean(path))
	if before, taken := s.seen[key]; taken {
		in.Err = fmt.Errorf("name of output %q: record %d has the same", path, before)
	}
	s.seen[key] = s.seq
	return in, nil
}
