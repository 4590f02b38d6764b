package confirmation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fleet"
)

// AllowPlaybooks asks the operator before the playbooks that fleet.yaml has around an apply
// run on their computer: for the first time, and again when a file of playbooks/ has changed.
// Anyone who can push can write one.
func (c *Confirmed) AllowPlaybooks() error {
	named := c.checkout.Fleet.Playbooks
	if named.None() {
		return nil
	}
	digest, err := playbooksDigest(os.DirFS(filepath.Join(c.checkout.Export, fleet.PlaybooksDir)))
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(named.Before + "\x00" + named.After + "\x00" + digest))
	id := hex.EncodeToString(sum[:])
	return c.approve("programs", id, "allowed", func(string) Approval {
		which := strings.Join(slices.DeleteFunc([]string{named.Before, named.After}, func(p string) bool { return p == "" }), " and ")
		return Approval{
			Question: fmt.Sprintf("Each salvor apply runs Ansible on your computer with %s, and with everything in %s/ as it is now. Allow it from now on?", which, fleet.PlaybooksDir),
			Flag:     "--allow-program", Value: id[:16],
		}
	})
}

// playbooksDigest is that of all files of a folder, which must be plain ones: a link leads to
// something that can change without it.
func playbooksDigest(folder fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s/%s is not a plain file, so it is not known what an apply would run", fleet.PlaybooksDir, path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		fmt.Fprintf(sum, "%q %v %x\x00", path, info.Mode().Perm()&0o111 != 0, sha256.Sum256(content))
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
