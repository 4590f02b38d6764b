// Package envimport makes encrypted secrets of an env file, and proves that every service
// gets what it got before.
package envimport

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/scan"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
	"salvor/internal/secretnames"
	"salvor/internal/stack/compose"
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

// Options say which env file becomes secrets of which stack.
type Options struct {
	File    string   // a path as the operator wrote it
	Stack   string   // "" for the one whose folder contains the file
	All     bool     // every variable is a secret
	Replace bool     // the file's values win over those that the stack has
	Files   bool     // services read secrets from files where their images can
	Deliver []string // X or X=SERVICE: these are read from files
}

// An Import is what becomes of an env file: prepared it says what will change, and as a
// receipt what has. What it shows holds no secret.
type Import struct {
	Stack     string
	Secret    []string     // variables that become secrets
	Plain     []string     // variables that go to the stack's stack.env
	Kept      []string     // variables that the stack has already, with this value
	Encrypted string       // the file with the secrets
	Changes   []FileChange // the plain files, in order
	Removed   string       // the env file in the repository, "" where it stays
	Outside   bool         // the env file is not in the repository and stays
	InHistory []string     // secrets whose values Git has unencrypted forever
}

// A FileChange is a plain file that changes, as it may be shown.
type FileChange struct {
	Path          string
	Before, After []byte // nil for none
}

// importing is one import, prepared and then run.
type importing struct {
	importer *Importer
	opts     Options
	stack    fleet.Stack
	source   envSource
	scanner  *scan.Scanner

	entries  []compose.EnvEntry      // of the file
	stackEnv *compose.EnvFile        // as it is
	plain    map[string]secret.Value // of stack.env as it is
	secrets  map[string]secret.Value // of secrets/<stack>.env as they are
	split    split

	files map[string][]byte // to be committed
	shown Import
}

// Prepare finds out what importing an env file changes, proves that every service
// gets what it got, and proposes to commit it. It looks at the working tree and changes
// nothing. The checkout is one of the working tree.
func (m *Importer) Prepare(ctx context.Context, o Options) (Import, proposal.Proposal[Import], error) {
	i := &importing{importer: m, opts: o, files: map[string][]byte{}}
	p := proposal.New("import "+o.File, i.run)
	err := i.prepare(ctx)
	p.Question = fmt.Sprintf("Import %s into the stack %s?", o.File, i.stack.Name)
	return i.shown, p, err
}

// prepare makes the files of the commit, and what is shown of them.
func (i *importing) prepare(ctx context.Context) (err error) {
	if err := i.read(ctx); err != nil {
		return err
	}
	if i.split, err = i.divide(); err != nil {
		return err
	}
	i.shown = Import{Stack: i.stack.Name, Secret: names(i.split.secret), Plain: names(i.split.plain), Kept: names(i.split.kept),
		Encrypted: fleet.EnvFile(i.stack.Name), Outside: i.source.repo == ""}
	if err := i.encrypt(ctx); err != nil {
		return err
	}
	if err := i.rewrite(ctx); err != nil {
		return err
	}
	if i.source.goes() {
		i.shown.Removed = i.source.repo
		if i.source.tracked {
			i.files[i.source.repo] = nil
		}
	}
	i.shown.InHistory, err = i.inHistory(ctx)
	return err
}

// encrypt makes the file of the stack's secrets.
func (i *importing) encrypt(ctx context.Context) error {
	if len(i.split.secret) == 0 {
		return nil
	}
	if err := i.importer.confirmed.MayEncrypt(ctx); err != nil {
		return err
	}
	changes, err := i.importer.identity.Store.Writer().SetEnv(i.stack.Name, variables(i.split.secret)...)
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s: %w", i.opts.File, err), "remove the variable from the file and keep "+
			"its value as a separate secret: salvor secret set NAME")
	}
	maps.Copy(i.files, changes)
	return i.importer.exposed.NoteChanged(i.files, secretnames.InStack(i.stack.Name, i.shown.Secret)...)
}

// rewrite makes the plain files and what is shown of them.
func (i *importing) rewrite(ctx context.Context) error {
	envPath := i.stack.Dir + "/stack.env"
	after, changed, err := i.newStackEnv()
	if err != nil {
		return err
	}
	replaced := map[string][]byte{}
	if changed {
		replaced[envPath] = after
	}
	if i.source.goes() {
		replaced[i.source.repo] = nil
	}
	composePath := i.stack.Dir + "/" + i.stack.File
	content, err := i.importer.checkout.File(composePath)
	if err != nil {
		return err
	}
	rewritten, err := i.composeFile(ctx, content, replaced)
	if err != nil {
		return err
	}
	if string(rewritten) != string(content) {
		i.files[composePath] = rewritten
		i.shown.Changes = append(i.shown.Changes, FileChange{composePath, i.masked(composePath, content), i.masked(composePath, rewritten)})
	}
	if changed {
		i.files[envPath] = after
		masked, err := i.stackEnv.Masked(i.split.isSecret)
		if err != nil {
			return err
		}
		if len(masked) == 0 {
			masked = nil
		}
		i.shown.Changes = append(i.shown.Changes, FileChange{envPath, masked, after})
	}
	return nil
}

// run makes one commit of what was prepared. The env file goes when the commit has been
// read back.
func (i *importing) run(ctx context.Context, _ progress.Sink) (Import, error) {
	c, encryptedPath, envPath := i.importer.checkout, i.shown.Encrypted, i.stack.Dir+"/stack.env"
	if err := i.proven(i.will(encryptedPath), i.will(envPath)); err != nil {
		return i.shown, err
	}
	if err := i.importer.confirmed.NoteMade(ctx, secretnames.InStack(i.stack.Name, i.shown.Secret)...); err != nil {
		return i.shown, err
	}
	if err := c.CommitFiles(ctx, i.files, fmt.Sprintf("secret import: %s, %d variables", i.stack.Name, len(i.entries))); err != nil {
		return i.shown, err
	}
	committed, err := c.Git.Objects(ctx, []string{string(c.Commit) + ":" + encryptedPath, string(c.Commit) + ":" + envPath})
	if err != nil {
		return i.shown, err
	}
	if err := i.proven(committed[0].Content, committed[1].Content); err != nil {
		return i.shown, err
	}
	if i.shown.Removed == "" || i.source.tracked {
		return i.shown, nil
	}
	return i.shown, i.source.remove()
}

// will is what a file holds once the import is committed, nil for no file.
func (i *importing) will(path string) []byte {
	if content, changes := i.files[path]; changes {
		return content
	}
	content, err := i.importer.checkout.File(path)
	if err != nil {
		return nil // then what it should hold is not proven
	}
	return content
}

// proven reads back the env file's variables from what was encrypted and from a
// stack.env.
func (i *importing) proven(encrypted, plain []byte) error {
	have := map[string]secret.Value{}
	if encrypted != nil {
		f, err := sops.Parse(i.shown.Encrypted, encrypted)
		if err != nil {
			return err
		}
		if have, err = f.Env(i.importer.identity.Ring); err != nil {
			return err
		}
	}
	f, err := compose.ParseEnv("stack.env", plain, func(name string) (string, bool) {
		if v, ok := have[name]; ok {
			return string(v.Reveal()), true
		}
		v, ok := i.importer.checkout.Fleet.Vars[name]
		return v, ok
	})
	if err != nil {
		return err
	}
	for _, e := range i.entries {
		v, isSecret := have[e.Name]
		if isSecret && !equal(v, e.Value) || !isSecret && !f.Says(e.Variable) {
			return fault.WithHint(fmt.Errorf("%s does not read back as it was written; %s is kept", e.Name, i.source.shown), "git status, then salvor secret import again")
		}
	}
	return nil
}

var errNoStack = errors.New("which stack do these variables belong to?")

func equal(a, b secret.Value) bool { return string(a.Reveal()) == string(b.Reveal()) }

func names(entries []compose.EnvEntry) []string {
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func variables(entries []compose.EnvEntry) []secret.Variable {
	var all []secret.Variable
	for _, e := range entries {
		all = append(all, e.Variable)
	}
	return all
}
