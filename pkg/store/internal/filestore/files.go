package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// MakeDirs creates a directory, and its missing parents, for this user only,
// and syncs each of them. Otherwise a power loss could remove a new directory
// from its parent, with all files synced in it.
func MakeDirs(dir string) error {
	dir = filepath.Clean(dir)
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("make directory %s: not a directory", dir)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := MakeDirs(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// MakeFile creates an empty file for this user only, unless it exists, and
// reports whether it did. The file survives a power loss.
func MakeFile(path string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(f.Close(), SyncDir(filepath.Dir(path)))
}

// KeepMode gives a file that will replace another one the mode of that file,
// and its owner if this user may.
func KeepMode(path, replaced string) error {
	info, err := os.Stat(replaced)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	keepOwner(path, info)
	return os.Chmod(path, info.Mode().Perm())
}

// SyncFile writes the content of a file to the disk.
func SyncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// FileSize returns the size of a file, or -1 if it does not exist.
func FileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// ResolvePath returns the absolute path of a file that may not exist yet, without
// symbolic links: an engine creates its other files next to the file itself.
func ResolvePath(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}
