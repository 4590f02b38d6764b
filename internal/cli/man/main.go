// Command man writes the manual pages of salvor's commands: man FOLDER.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra/doc"

	"salvor/internal/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: man FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// write makes a page for each command, salvor.1 and salvor-apply.1, in place of those
// that were there. The same commands give the same bytes.
func write(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "salvor*.1"))
	if err != nil {
		return err
	}
	for _, page := range old {
		if err := os.Remove(page); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Commands()
	root.DisableAutoGenTag = true
	undated := time.Unix(0, 0).UTC() // of no day: a page changes only with its command
	return doc.GenManTreeFromOpts(root, doc.GenManTreeOptions{
		Path: dir, CommandSeparator: "-",
		Header: &doc.GenManHeader{Title: "SALVOR", Section: "1", Source: "Salvor", Manual: "Salvor manual", Date: &undated},
	})
}
