package app

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/scan"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
	"salvor/internal/stack/compose"
)

// Importer makes encrypted secrets of env files.
type Importer struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	confirmed *confirmation.Confirmed
	exposed   *ExposedSecrets
}

// NewImporter returns one for a checkout of the working tree.
func NewImporter(c *checkout.Checkout, id *identity.Identity, confirmed *confirmation.Confirmed, s *ExposedSecrets) *Importer {
	return &Importer{checkout: c, identity: id, confirmed: confirmed, exposed: s}
}

// ImportOptions say which env file becomes secrets of which stack.
type ImportOptions struct {
	File    string   // a path as the operator wrote it
	Stack   string   // "" for the one whose folder contains the file
	All     bool     // every variable is a secret
	Replace bool     // the file's values win over those that the stack has
	Files   bool     // services read secrets from files where their images can
	Deliver []string // X or X=SERVICE: these are read from files
}

// An Import is an env file on its way to encrypted secrets: prepared, to be shown
// and then committed. What it shows holds no secret.
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

	files   map[string][]byte // to be committed
	source  envSource
	entries []compose.EnvEntry
}

// A FileChange is a plain file that changes, as it may be shown.
type FileChange struct {
	Path          string
	Before, After []byte // nil for none
}

// importing is the work of one PrepareImport.
type importing struct {
	app     *Importer
	opts    ImportOptions
	stack   fleet.Stack
	source  envSource
	scanner *scan.Scanner

	entries  []compose.EnvEntry      // of the file
	stackEnv *compose.EnvFile        // as it is
	plain    map[string]secret.Value // of stack.env as it is
	secrets  map[string]secret.Value // of secrets/<stack>.env as they are
	split    split
}

// PrepareImport finds out what importing an env file changes and proves that
// every service gets what it got. It looks at the working tree and changes
// nothing. The app is one for the working tree.
func (m *Importer) PrepareImport(ctx context.Context, o ImportOptions) (*Import, error) {
	i := &importing{app: m, opts: o}
	if err := i.read(ctx); err != nil {
		return nil, err
	}
	var err error
	if i.split, err = i.divide(); err != nil {
		return nil, err
	}
	out := &Import{Stack: i.stack.Name, Secret: names(i.split.secret), Plain: names(i.split.plain), Kept: names(i.split.kept),
		Encrypted: fleet.EnvFile(i.stack.Name), Outside: i.source.repo == "", files: map[string][]byte{}, source: i.source, entries: i.entries}
	if len(i.split.secret) > 0 {
		if err := m.confirmed.MayEncrypt(ctx); err != nil {
			return nil, err
		}
		changes, err := m.identity.Store.Writer().SetEnv(i.stack.Name, variables(i.split.secret)...)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("%s: %w", o.File, err), "remove the variable from the file and keep "+
				"its value as a separate secret: salvor secret set NAME")
		}
		maps.Copy(out.files, changes)
		if err := m.exposed.NoteChanged(out.files, inStack(i.stack.Name, out.Secret)...); err != nil {
			return nil, err
		}
	}
	if err := i.rewrite(ctx, out); err != nil {
		return nil, err
	}
	if i.source.goes() {
		out.Removed = i.source.repo
		if i.source.tracked {
			out.files[i.source.repo] = nil
		}
	}
	out.InHistory, err = i.inHistory(ctx)
	return out, err
}

// rewrite makes the plain files and what is shown of them.
func (i *importing) rewrite(ctx context.Context, out *Import) error {
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
	content, err := i.app.checkout.File(composePath)
	if err != nil {
		return err
	}
	rewritten, err := i.composeFile(ctx, content, replaced)
	if err != nil {
		return err
	}
	if string(rewritten) != string(content) {
		out.files[composePath] = rewritten
		out.Changes = append(out.Changes, FileChange{composePath, i.masked(composePath, content), i.masked(composePath, rewritten)})
	}
	if changed {
		out.files[envPath] = after
		shown, err := i.stackEnv.Masked(i.split.isSecret)
		if err != nil {
			return err
		}
		if len(shown) == 0 {
			shown = nil
		}
		out.Changes = append(out.Changes, FileChange{envPath, shown, after})
	}
	return nil
}

// CommitImport makes one commit of what PrepareImport found. The env file goes
// when the commit has been read back.
func (m *Importer) CommitImport(ctx context.Context, i *Import) error {
	st, _ := m.checkout.Fleet.Stack(i.Stack)
	envPath := st.Dir + "/stack.env"
	if err := i.proven(m, i.will(m, i.Encrypted), i.will(m, envPath)); err != nil {
		return err
	}
	if err := m.confirmed.NoteMade(ctx, inStack(i.Stack, i.Secret)...); err != nil {
		return err
	}
	if err := m.checkout.CommitFiles(ctx, i.files, fmt.Sprintf("secret import: %s, %d variables", i.Stack, len(i.entries))); err != nil {
		return err
	}
	committed, err := m.checkout.Git.Objects(ctx, []string{string(m.checkout.Commit) + ":" + i.Encrypted, string(m.checkout.Commit) + ":" + envPath})
	if err != nil {
		return err
	}
	if err := i.proven(m, committed[0].Content, committed[1].Content); err != nil {
		return err
	}
	if i.Removed == "" || i.source.tracked {
		return nil
	}
	return i.source.remove()
}

// will is what a file holds once the import is committed, nil for no file.
func (i *Import) will(m *Importer, path string) []byte {
	if content, changes := i.files[path]; changes {
		return content
	}
	content, err := m.checkout.File(path)
	if err != nil {
		return nil // then what it should hold is not proven
	}
	return content
}

// proven reads back the env file's variables from what was encrypted and from a
// stack.env.
func (i *Import) proven(m *Importer, encrypted, plain []byte) error {
	have := map[string]secret.Value{}
	if encrypted != nil {
		f, err := sops.Parse(i.Encrypted, encrypted)
		if err != nil {
			return err
		}
		if have, err = f.Env(m.identity.Ring); err != nil {
			return err
		}
	}
	f, err := compose.ParseEnv("stack.env", plain, func(name string) (string, bool) {
		if v, ok := have[name]; ok {
			return string(v.Reveal()), true
		}
		v, ok := m.checkout.Fleet.Vars[name]
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

// inStack are the names of a stack's variables as secrets are named.
func inStack(stack string, variables []string) []string {
	var all []string
	for _, name := range variables {
		all = append(all, stack+"/"+name)
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
