// Package durable puts files in place so that they are there, whole, also after the machine has stopped.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// Rename gives a file that has been written, in the directory of path, the name path, in place of what has that name. When it returns, bytes and name are on the disk.
// The file is closed. After an error it may have either name, and what had the name before is whole if it is still there.
func Rename(file *os.File, path string) error {
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
