package results

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// ErrIrregular is wrapped by the error of a record whose file in the folder of
// the Template is a device, a FIFO, a socket or a directory.
var ErrIrregular = errors.New("it is no regular file")

// ErrLinkOutside is wrapped by the error of a record whose file in the folder of
// the Template is a symbolic link that leads out of that folder.
var ErrLinkOutside = errors.New("out of the folder")

// newFile is a file that appears at its path when it is complete: until then it
// has a temporary name in the same folder.
type newFile struct {
	*os.File
	temp string   // temporary path; empty: the bytes are written to the file at path
	path string   // final path
	root *os.Root // folder that both paths are relative to; nil: they are paths of the system
}

// createFile begins the file at path, and creates its missing folders. A file
// that exists at path stays until commit. If it is not a regular file, such as
// /dev/null, the bytes are written to it.
func createFile(path string) (*newFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &newFile{File: f}, nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, tempName())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, temp: temp, path: path}, nil
}

// createFileIn is like createFile for a path in the folder root. It follows no
// link out of the folder, and refuses to write to a file that is not regular.
func createFileIn(root *os.Root, path string) (*newFile, error) {
	path, err := followLinks(root, path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if dir != "." {
		if err := root.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	temp := filepath.Join(dir, tempName())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, temp: temp, path: path, root: root}, nil
}

// maxLinks is the maximum number of symbolic links that are followed in a row,
// as on Linux.
const maxLinks = 40

// followLinks follows the symbolic links at path within root. It returns the
// path of a regular file, or of a file that does not exist.
func followLinks(root *os.Root, path string) (string, error) {
	for range maxLinks {
		info, err := root.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, nil
		case err != nil:
			return "", err
		case info.Mode().IsRegular():
			return path, nil
		case info.Mode().Type() != fs.ModeSymlink:
			return "", fmt.Errorf("%s: %w", path, ErrIrregular)
		}
		target, err := root.Readlink(path)
		if err != nil {
			return "", err
		}
		next := filepath.Join(filepath.Dir(path), target)
		if filepath.IsAbs(target) || !filepath.IsLocal(next) {
			return "", fmt.Errorf("%s: it is a link to %s, %w", path, target, ErrLinkOutside)
		}
		path = next
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// commit gives the file its path.
func (f *newFile) commit() error {
	err := f.Close()
	if f.temp == "" {
		return err
	}
	if err == nil {
		err = f.rename()
	}
	if err != nil {
		f.removeTemp()
	}
	return err
}

func (f *newFile) rename() error {
	if f.root != nil {
		return f.root.Rename(f.temp, f.path)
	}
	return os.Rename(f.temp, f.path)
}

// removeTemp removes the file under its temporary name.
func (f *newFile) removeTemp() {
	switch {
	case f.temp == "":
	case f.root != nil:
		f.root.Remove(f.temp)
	default:
		os.Remove(f.temp)
	}
}

// abandon closes and removes the file.
func (f *newFile) abandon() {
	f.Close()
	f.removeTemp()
}

// tempName returns the name of a file or folder that is not complete.
func tempName() string { return fmt.Sprintf(".gm-%016x", rand.Uint64()) }
