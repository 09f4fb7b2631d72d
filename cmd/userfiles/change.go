package userfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/memring/memring/node/durable"
)

// nextSuffix names what becomes the file, beside it. While it is there nobody else can change the file.
const nextSuffix = ".new"

// Change replaces the file by what edit makes of it, whole or not at all, so that whoever reads it meanwhile reads the one or the other. Whose it is, and who else may
// read it, stays. A file that is not there yet is empty, if create says so, and only its owner may read it then. Where the path is a link, what it leads to is replaced.
func Change(path string, create bool, edit func(content []byte) ([]byte, error)) (err error) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	next, err := os.OpenFile(path+nextSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there: the file is being changed by somebody else, or was when the machine stopped; then remove that", path+nextSuffix)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = next.Close()
			_ = os.Remove(next.Name())
		}
	}()
	former, err := os.Stat(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		former, err = nil, nil
	}
	if err != nil {
		return err
	}
	var content []byte
	if former != nil {
		if content, err = os.ReadFile(path); err == nil {
			err = keepReaders(next, former)
		}
		if err != nil {
			return err
		}
	}
	if content, err = edit(content); err != nil {
		return err
	}
	if _, err = next.Write(content); err != nil {
		return err
	}
	return durable.Rename(next, path)
}

// keepReaders gives the file the owner and the mode of the former one: when root changes it, the server, which is somebody else, must still be able to read it.
func keepReaders(next *os.File, former fs.FileInfo) error {
	owner, known := former.Sys().(*syscall.Stat_t)
	if known && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		if err := next.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return next.Chmod(former.Mode().Perm())
}
