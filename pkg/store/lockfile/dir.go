package lockfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// MakeDirs makes a directory, and the parents that it lacks, for this user only,
// and makes each of them durable: after a power loss, a directory that its parent
// has forgotten takes along all that was synced in it.
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

// MakeFile makes an empty file for this user only, unless it is there. It
// reports whether it made it. The file is durable.
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

// KeepMode gives a file that is about to replace another one the mode of that,
// and its owner where this user may.
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
