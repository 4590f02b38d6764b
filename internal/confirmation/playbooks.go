package confirmation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret/ansiblevault"
)

// AllowPlaybooks asks the operator before the playbooks that fleet.yaml has around an apply
// run on their computer: for the first time, and again when a file has changed that Ansible can read.
// Anyone who can push can write one.
func (c *Confirmed) AllowPlaybooks() error {
	named := c.checkout.Fleet.Playbooks
	if named.None() {
		return nil
	}
	digest, err := playbooksDigest(os.DirFS(c.checkout.Export))
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(named.Before + "\x00" + named.After + "\x00" + digest))
	id := hex.EncodeToString(sum[:])
	return c.approve("programs", id, "allowed", func(string) Approval {
		which := strings.Join(slices.DeleteFunc([]string{named.Before, named.After}, func(p string) bool { return p == "" }), " and ")
		return Approval{
			Question: fmt.Sprintf("Each salvor apply runs Ansible on your computer with %s, and with everything in %s/ as it is now, and what is readable in files of %s/ that have vaults in them. Allow it from now on?", which, fleet.PlaybooksDir, fleet.SecretDir),
			Flag:     "--allow-program", Value: id[:16],
		}
	})
}

// playbooksDigest is that of all files of playbooks/, which must be plain ones: a link leads to
// something that can change without it. The files of secrets/ that are vaults in parts count, too:
// the rest of such a file is taken for templates, as a playbook is. Others are not given to Ansible,
// or can't be forged without the vault's password.
func playbooksDigest(commit fs.FS) (string, error) {
	sum := sha256.New()
	add := func(path string, content []byte, program bool) {
		fmt.Fprintf(sum, "%q %v %x\x00", path, program, sha256.Sum256(content))
	}
	err := walkFiles(commit, fleet.PlaybooksDir, func(path string, d fs.DirEntry) error {
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a plain file, so it is not known what an apply would run", path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(commit, path)
		add(path, content, info.Mode().Perm()&0o111 != 0)
		return err
	})
	if err != nil {
		return "", err
	}
	err = walkFiles(commit, fleet.SecretDir, func(path string, d fs.DirEntry) error {
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := fs.ReadFile(commit, path)
		if _, inline, bad := ansiblevault.ParseInline(path, content); inline && bad == nil && !ansiblevault.IsWhole(content) {
			add(path, content, false)
		}
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// walkFiles calls work for what is below a folder and is not one; for nothing where it is not there.
func walkFiles(commit fs.FS, folder string, work func(path string, d fs.DirEntry) error) error {
	return fs.WalkDir(commit, folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == folder:
			return nil
		case err != nil || d.IsDir():
			return err
		}
		return work(path, d)
	})
}
