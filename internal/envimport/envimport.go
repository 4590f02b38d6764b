// Package envimport makes encrypted secrets of env files, and proves that every service
// gets what it got before.
package envimport

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/identity"
	"salvor/internal/proposal"
	"salvor/internal/scan"
)

// Importer makes encrypted secrets of env files.
type Importer struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	confirmed *confirmation.Confirmed
	exposed   *exposed.Secrets
}

// New returns one for a checkout of the working tree.
func New(c *checkout.Checkout, id *identity.Identity, confirmed *confirmation.Confirmed, s *exposed.Secrets) *Importer {
	return &Importer{checkout: c, identity: id, confirmed: confirmed, exposed: s}
}

// Options say which env files become secrets of which stacks.
type Options struct {
	EnvFiles []EnvFile
	Stacks   []string // none for the one whose folder contains a file, or those that use a file from elsewhere
	All      bool     // every variable is a secret
	Replace  bool     // a file's values win over those that the stack has
	Files    bool     // services read secrets from files where their images can
	Deliver  []string // X or X=SERVICE: these are read from files
}

// An Import is what becomes of one env file in one stack. What it shows holds no secret.
type Import struct {
	File      string            // as the operator named it
	Stack     string            //
	Whole     bool              // all of the file is one secret of the fleet
	Secret    []string          // variables that become secrets
	Plain     []string          // variables that go to the stack's stack.env
	Kept      []string          // variables that the stack has already, with this value
	Renamed   map[string]string // what a variable of the file is called in the stack, where that differs
	Encrypted string            // the file with the secrets
	InHistory []string          // secrets whose values Git has unencrypted forever
}

// A Receipt is what becomes of env files: prepared it says what will change, and
// afterwards what has. What it shows holds no secret.
type Receipt struct {
	Imports  []Import
	Changes  []FileChange // the plain files, in order
	Removed  []string     // env files in the repository
	Outside  []string     // env files that are not in the repository and stay
	Unused   []Unused     // env files that stay
	Repeated []Repeated   // values of env files that do not count
	Staged   []string     // stacks that are not committed yet: their files wait for the operator's commit
	Made     []string     // names of the secrets that get a value
}

// An Unused file has variables that no stack uses, or stacks read it that it is not
// imported into.
type Unused struct {
	File   string
	Names  []string
	Stacks []string
}

// A Repeated value of an env file does not count, since a later line sets the variable
// again.
type Repeated struct {
	File   string `json:"file"`
	Name   string `json:"name"`
	Line   int    `json:"line"`
	Counts int    `json:"counts"` // the line that does
}

// A FileChange is a plain file that changes, as it may be shown.
type FileChange struct {
	Path          string
	Before, After []byte // nil for none
}

// Prepare finds out what importing env files changes, proves that every service gets what
// it got, and proposes to commit it, or to leave it for the commit of a stack that is not
// committed yet. The operator's key is asked for first. It looks at the working tree and
// changes nothing. The checkout is one of the working tree.
func (m *Importer) Prepare(ctx context.Context, o Options) (Receipt, proposal.Proposal[Receipt], error) {
	b := m.batch(o)
	var names []string
	for _, f := range o.EnvFiles {
		names = append(names, f.shown)
	}
	p := proposal.New("import "+strings.Join(names, " "), b.run)
	if err := b.prepare(ctx); err != nil {
		return b.receipt, p, err
	}
	p.Question = fmt.Sprintf("Import %s into the %s?", strings.Join(names, ", "), ofStacks(b.receipt.Imports))
	return b.receipt, p, nil
}

// Files returns what an import would commit, after it has proven it as Prepare does; nothing
// is changed. It is for stacks that are made in the same commit, after NoteMade.
func (m *Importer) Files(ctx context.Context, o Options) (Receipt, map[string][]byte, error) {
	b := m.batch(o)
	if err := b.prepare(ctx); err != nil {
		return b.receipt, nil, err
	}
	files, stage := b.parcels()
	maps.Copy(files, stage)
	for p := range files {
		if b.isSource(p) {
			delete(files, p)
		}
	}
	return b.receipt, files, b.proven(func(name string) []byte { return files[name] })
}

// NoteMade notes that this clone has made the secrets of an import, so that nothing asks its
// operator about them. It comes before the commit.
func (m *Importer) NoteMade(ctx context.Context, r Receipt) error {
	return m.confirmed.NoteMade(ctx, r.Made...)
}

func (m *Importer) batch(o Options) *batch {
	return &batch{importer: m, opts: o, stacks: map[string]*stackState{}, files: map[string][]byte{}, seen: map[string][]byte{}}
}

// ofStacks is "stack notes", or "stacks notes, photos".
func ofStacks(imports []Import) string {
	var names []string
	for _, i := range imports {
		if !slices.Contains(names, i.Stack) {
			names = append(names, i.Stack)
		}
	}
	if len(names) == 1 {
		return "stack " + names[0]
	}
	return "stacks " + strings.Join(names, ", ")
}

// prepare makes the files of the commit, and what is shown of them.
func (b *batch) prepare(ctx context.Context) (err error) {
	if err := b.importer.checkout.Git.TakeBack(ctx); err != nil { // it reads the working tree
		return err
	}
	if err := b.find(ctx); err != nil {
		return err
	}
	if _, err := b.importer.identity.Ring.Identities(); err != nil {
		return err
	}
	if b.scanner, err = scan.New(); err != nil {
		return err
	}
	for _, i := range b.parts {
		if err := i.prepare(ctx); err != nil {
			return err
		}
		b.receipt.Imports = append(b.receipt.Imports, i.shown)
	}
	for _, w := range b.whole {
		shown, err := w.prepare(ctx)
		if err != nil {
			return err
		}
		b.receipt.Imports = append(b.receipt.Imports, shown)
	}
	if err := b.shared(); err != nil {
		return err
	}
	if err := b.encrypt(ctx); err != nil {
		return err
	}
	return b.gather(ctx)
}
