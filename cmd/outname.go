package cmd

import (
	"fmt"
	"hash/maphash"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gm/pkg/batch"
)

// outName is the value of --out: a path with GNU parallel's replacement strings
// in it, {} {.} {/} {//} {/.} and {#}, which mean what they mean there.
type outName string

var replacement = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{(?:\.|/|//|/\.|#)?\}`) })

// parseOutName refuses a template that gives all records the same file.
func parseOutName(s string) (outName, error) {
	if !replacement().MatchString(s) {
		return "", withHint(usageErrorf("--out %q: all records would go to one file", s),
			"it needs {}, {.}, {/}, {/.} or {#} in it, as in {.}.png")
	}
	return outName(s), nil
}

// expand returns the path for a record. The error is about a name that can't be
// that of a file.
func (o outName) expand(name string, seq int) (string, error) {
	path := replacement().ReplaceAllStringFunc(string(o), func(r string) string {
		switch r {
		case "{.}":
			return withoutSuffix(name)
		case "{/}":
			return baseName(name)
		case "{//}":
			return dirName(name)
		case "{/.}":
			return withoutSuffix(baseName(name))
		case "{#}":
			return strconv.Itoa(seq)
		}
		return name
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

// base returns the folder that the template begins with, before the first
// replacement.
func (o outName) base() string {
	begin := string(o)[:replacement().FindStringIndex(string(o))[0]]
	return filepath.Dir(begin + "x")
}

// placeInside returns the path as it is called in the folder base; an error if
// it is not in it.
func placeInside(base, path string) (string, error) {
	rel, err := filepath.Rel(base, path)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return "", withHint(fmt.Errorf("name of output %q: not in the folder %s", path, base), "--out-anywhere allows it")
	}
	return rel, nil
}

// maxElement is how long an element of a path may be on usual systems, in bytes.
const maxElement = 255

// withoutSuffix cuts the last dot of the last element off, with what follows.
func withoutSuffix(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}

// baseName returns what follows the last slash.
func baseName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// dirName is dirname(1).
func dirName(name string) string {
	name = trimSlashes(name)
	i := strings.LastIndexByte(name, '/')
	if i < 0 && name != "/" {
		return "."
	}
	return trimSlashes(name[:i+1])
}

// trimSlashes takes slashes off the end, but for the root's.
func trimSlashes(name string) string {
	for len(name) > 1 && name[len(name)-1] == '/' {
		name = name[:len(name)-1]
	}
	return name
}

// outNames is a source whose records have files of their own: one that has no
// name for it, or whose file another record has, fails before it is sent.
type outNames struct {
	batch.Source
	out   outName
	base  string // the folder that the files have to be in; empty: any
	label func(in *batch.Input, seq int) string
	seen  map[uint64]int // the sequence of the record that has a path, by its hash
	seed  maphash.Seed
	seq   int
}

func newOutNames(src batch.Source, out outName, anywhere bool, label func(in *batch.Input, seq int) string) *outNames {
	o := &outNames{Source: src, out: out, label: label, seen: map[uint64]int{}, seed: maphash.MakeSeed()}
	if !anywhere {
		o.base = out.base()
	}
	return o
}

// Next returns the next record.
func (o *outNames) Next() (batch.Input, error) {
	in, err := o.Source.Next()
	o.seq++
	if err != nil || in.Err != nil {
		return in, err
	}
	path, err := o.out.expand(o.label(&in, o.seq), o.seq)
	if err == nil && o.base != "" {
		_, err = placeInside(o.base, path)
	}
	if err != nil {
		in.Err = err
		return in, nil
	}
	key := maphash.String(o.seed, filepath.Clean(path))
	if before, taken := o.seen[key]; taken {
		in.Err = fmt.Errorf("name of output %q: that of record %d too", path, before)
	}
	o.seen[key] = o.seq
	return in, nil
}
