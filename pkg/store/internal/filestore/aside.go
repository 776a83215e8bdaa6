package filestore

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// brokenSuffix and a time end the name of a damaged file that is kept.
const brokenSuffix = ".broken-"

// BrokenName returns a new name for a damaged file at path that is kept.
func BrokenName(path string) string {
	return path + brokenSuffix + time.Now().UTC().Format("20060102T150405.000000")
}

// BrokenFiles returns the damaged files of path that are kept.
func BrokenFiles(path string) (files []string) {
	dir, base := filepath.Split(path)
	entries, _ := os.ReadDir(filepath.Clean(dir))
	for _, x := range entries {
		if strings.HasPrefix(x.Name(), base+brokenSuffix) {
			files = append(files, filepath.Join(dir, x.Name()))
		}
	}
	return files
}

// LogKept logs that damaged files of path are kept, and that the file aside has
// records that were set aside. It reports whether there are any such files.
func (b *Base) LogKept(path, aside string) (kept bool) {
	files := BrokenFiles(path)
	if len(files) > 0 {
		b.Log.Warn("broken files are kept: remove them when nobody needs them", "files", files)
	}
	if size, err := FileSize(aside); err == nil && size >= 0 {
		b.Log.Warn("records that were set aside are kept: remove the file when nobody needs it", "file", aside, "bytes", size)
	}
	return len(files) > 0
}

// AsideLine is a line of the file of records that were set aside.
type AsideLine struct {
	Time  time.Time `json:"time"`
	What  string    `json:"what"`
	Why   string    `json:"why"`
	Key   []byte    `json:"key,omitempty"`   // in base64
	Value []byte    `json:"value,omitempty"` // as it was read, in base64
}

// AppendAside appends lines to an open file, a JSON object each, syncs the file
// and closes it.
func AppendAside[T any](f *os.File, lines []T) error {
	out := json.NewEncoder(f)
	var err error
	for i := range lines {
		err = errors.Join(err, out.Encode(lines[i]))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// OpenAside opens the file of records that were set aside. A new file is for this
// user only.
func OpenAside(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
