package method

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/atomicfile"
)

// loadedFile says in a dump that only its files are still to be put back, which
// takes them out of it.
const loadedFile = "loaded"

// Make makes the volume of a dump: its folders, then what serve has a server write, then
// the files that the dump has in a folder of its own. Interrupted, it is called again.
func (l Load) Make(folders Folders, files string, serve func() error) error {
	loaded := filepath.Join(l.Dump, loadedFile)
	if _, err := os.Lstat(loaded); errors.Is(err, fs.ErrNotExist) {
		if err := folders.Begin(l.Volume.Path); err != nil {
			return err
		}
		if err := serve(); err != nil || l.Proof {
			return err
		}
		if err := atomicfile.Write(loaded, strings.NewReader(""), 0o600); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return folders.PutFiles(files, l.Volume.Path)
}

// Serve calls do while a server runs. The server makes its files durable when it stops.
func (l Load) Serve(ctx context.Context, s Start, do func(Running) error) (err error) {
	running, err := l.Start(ctx, s)
	if running != nil {
		defer func() {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
			defer cancel()
			err = errors.Join(err, running.Stop(stop))
		}()
	}
	if err != nil {
		return fmt.Errorf("start the database: %w", err)
	}
	return do(running)
}
