// Package completion lists the names that can be typed here: what the files of the
// working tree declare, as far as they can be read. It asks no one, and no key is opened.
package completion

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/secretnames"
	"salvor/internal/yamldoc"
)

// A Kind is what a word of a command line names.
type Kind string

// The kinds that are known here, as usage lines write them.
const (
	Host     Kind = "HOST"
	Stack    Kind = "STACK"
	Service  Kind = "SERVICE" // of the stack that was typed before
	Secret   Kind = "SECRET"
	Remote   Kind = "REMOTE"
	Operator Kind = "OPERATOR"
	Snapshot Kind = "ID"     // of the stack that was typed before: the newest that is proven
	Volume   Kind = "VOLUME" // of the stack that was typed before
	Code     Kind = "CODE"
)

// maxFile bounds what is read of a file: a completion must be quick.
const maxFile = 1 << 20

// A Tree is a working tree.
type Tree struct{ files fs.FS }

// Open opens the working tree that a folder is in. Where there is none it has no names.
func Open(dir string) (tree Tree, end func()) {
	nothing := Tree{}
	at, err := controlrepo.Find(dir)
	if err != nil {
		return nothing, func() {}
	}
	root, err := os.OpenRoot(at) // no link leads out of it
	if err != nil {
		return nothing, func() {}
	}
	return Tree{root.FS()}, func() { _ = root.Close() }
}

// Names returns the names of a kind, sorted; typed are the arguments before.
func (t Tree) Names(kind Kind, typed []string) []string {
	if kind == Code {
		return finding.Codes()
	}
	if t.files == nil {
		return nil
	}
	stack := ""
	if len(typed) > 0 {
		stack = typed[0]
	}
	switch kind {
	case Host:
		return t.keys(fleet.File, "hosts")
	case Remote:
		return t.keys(fleet.File, "remotes")
	case Operator:
		return t.keys(fleet.File, "recipients", "operators")
	case Stack:
		return t.stacks()
	case Service:
		return t.parts(stack, "services")
	case Volume:
		return t.parts(stack, "volumes")
	case Secret:
		return t.secrets()
	case Snapshot:
		return t.snapshots(stack)
	}
	return nil
}

// read returns a file, nothing for one that is not there, or too large.
func (t Tree) read(file string) []byte {
	info, err := fs.Stat(t.files, file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil
	}
	content, err := fs.ReadFile(t.files, file)
	if err != nil {
		return nil
	}
	return content
}

// keys returns the keys of a mapping in a YAML file.
func (t Tree) keys(file string, at ...string) []string {
	doc, err := yamldoc.Parse(file, t.read(file))
	if err != nil || doc == nil {
		return nil
	}
	var all []string
	for key := range yamldoc.Entries(yamldoc.Find(doc, at...)) {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// stacks returns the folders that have a Compose file.
func (t Tree) stacks() []string {
	var all []string
	entries, _ := fs.ReadDir(t.files, fleet.StackDir)
	for _, e := range entries {
		if e.IsDir() && t.composeFile(e.Name()) != "" {
			all = append(all, e.Name())
		}
	}
	return all
}

func (t Tree) composeFile(stack string) string {
	for _, name := range controlrepo.ComposeFiles() {
		file := path.Join(fleet.StackDir, stack, name)
		if info, err := fs.Stat(t.files, file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}

// parts are the keys of one part of a stack's Compose file.
func (t Tree) parts(stack, part string) []string {
	if fleet.ValidName(stack) != nil {
		return nil
	}
	return t.keys(t.composeFile(stack), part)
}

// secrets returns the names of all secrets but the fleet's own keys: files, the
// variables of stacks, and what programs print.
func (t Tree) secrets() []string {
	names := secretnames.Names{Files: t.files}
	found := map[string]bool{}
	paths, _ := names.Paths()
	for _, file := range paths {
		found[strings.TrimPrefix(file, fleet.SecretDir+"/")] = true
	}
	for _, stack := range t.stacks() {
		variables, _ := names.EnvNames(stack)
		for _, variable := range variables {
			found[stack+"/"+variable] = true
		}
	}
	for _, name := range t.keys(fleet.File, "secrets") {
		found[name] = true
	}
	for _, own := range []string{secretnames.SSHKey, secretnames.SignKey} {
		delete(found, own)
	}
	return slices.Sorted(maps.Keys(found))
}

// snapshots returns the snapshots of a stack that the lock knows to be proven.
func (t Tree) snapshots(stack string) []string {
	lock, err := lockfile.Known(t.read(lockfile.Name))
	if err != nil {
		return nil
	}
	var all []string
	for _, proven := range lock.Stacks[stack].Proven {
		all = append(all, proven.ID[:min(8, len(proven.ID))])
	}
	slices.Sort(all)
	return slices.Compact(all)
}
