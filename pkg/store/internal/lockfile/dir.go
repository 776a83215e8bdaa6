package lockfile

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
