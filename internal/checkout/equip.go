package checkout

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"salvor/internal/atomicfile"
	"salvor/internal/controlrepo"
	"salvor/internal/version"
)

// equippedFile is this clone's note of the build that last wrote the schemas.
const equippedFile = "schemas"

// Equip gives a clone what Git does not bring: the pre-commit hook, where none was ever
// made and no other one is there, and the schemas that the files of init name for
// editors. hooked reports that the hook is new.
func (c *Checkout) Equip(ctx context.Context) (hooked bool, err error) {
	hooked, err = c.Git.EnsureHook(ctx)
	return hooked, errors.Join(err, c.writeSchemas())
}

// writeSchemas writes the schemas of this build, once for each build.
func (c *Checkout) writeSchemas() error {
	note, err := c.Git.OwnFile(equippedFile)
	if err != nil {
		return err
	}
	if by, err := os.ReadFile(note); err == nil && string(by) == version.String() {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	all, err := controlrepo.Schemas()
	if err != nil {
		return err
	}
	for _, schema := range all {
		file, err := c.Git.OwnFile(schema.File)
		if err == nil {
			err = atomicfile.Write(file, bytes.NewReader(schema.Content), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return atomicfile.Write(note, bytes.NewReader([]byte(version.String())), 0o600)
}
