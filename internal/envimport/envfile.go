package envimport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/scan"
	"salvor/internal/secret"
	"salvor/internal/stack/compose"
)

// maxEnvFile is more than any env file, and less than a mistake.
const maxEnvFile = 1 << 20

// An envSource is the env file that is imported.
type envSource struct {
	shown   string // as the operator named it
	path    string // absolute
	repo    string // in the repository, "" outside of it
	own     bool   // it is the stack's stack.env: its secrets go, the file stays
	tracked bool   // HEAD has it
	content secret.Value
}

// goes reports whether the file is gone afterwards.
func (s envSource) goes() bool { return s.repo != "" && !s.own }

// remove removes the file unless it says something else by now.
func (s envSource) remove() error {
	content, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	if !bytes.Equal(content, s.content.Reveal()) {
		return fault.WithHint(fmt.Errorf("%s changed during the import and was kept; its earlier content is committed", s.shown), "run "+
			"salvor secret import FILE again")
	}
	return os.Remove(s.path)
}

// read finds the file and the stack and reads what both say.
func (i *importing) read(ctx context.Context) error {
	var err error
	if i.source, err = i.importer.envSource(i.opts.File); err != nil {
		return err
	}
	if err := i.findStack(); err != nil {
		return err
	}
	if err := i.checkCommitted(ctx); err != nil {
		return err
	}
	if i.secrets, err = i.importer.identity.Store.AllEnv(i.stack.Name); err != nil {
		return err
	}
	if err := i.readStackEnv(); err != nil {
		return err
	}
	if i.scanner, err = scan.New(); err != nil {
		return err
	}
	content, err := os.ReadFile(i.source.path)
	if err != nil {
		return err
	}
	if len(content) > maxEnvFile {
		return fmt.Errorf("%s: an env file is at most 1 MiB", i.source.shown)
	}
	i.source.content = secret.New(content)
	return i.parse(content)
}

func (m *Importer) envSource(file string) (envSource, error) {
	s := envSource{shown: file}
	abs, err := filepath.Abs(file)
	if err != nil {
		return s, err
	}
	info, err := os.Lstat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, fault.WithHint(fmt.Errorf("%s: no such file", file), "salvor secret import stacks/NAME/.env")
	case err != nil:
		return s, err
	case !info.Mode().IsRegular():
		return s, fmt.Errorf("%s is not a regular file; name the file itself", file)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return s, err
	}
	root, err := filepath.EvalSymlinks(m.checkout.Root)
	if err != nil {
		return s, err
	}
	s.path = filepath.Join(dir, filepath.Base(abs))
	if rel, err := filepath.Rel(root, s.path); err == nil && filepath.IsLocal(rel) {
		s.repo = filepath.ToSlash(rel)
	}
	if strings.HasPrefix(s.repo, fleet.SecretDir+"/") {
		return s, fault.WithHint(fmt.Errorf("files in %s are already encrypted", file), "salvor secret ls")
	}
	return s, nil
}

// findStack takes the stack that was named, or the one whose folder the file is in.
func (i *importing) findStack() error {
	name := i.opts.Stack
	if parts := strings.Split(i.source.repo, "/"); name == "" && len(parts) > 2 && parts[0] == fleet.StackDir {
		name = parts[1]
	}
	if name == "" {
		return fault.WithCode(fault.WithHint(fmt.Errorf("%s: %w", i.source.shown, errNoStack), "salvor secret import FILE --stack NAME"), fault.Usage)
	}
	st, declared := i.importer.checkout.Fleet.Stack(i.importer.checkout.Named(name))
	if !declared {
		return fmt.Errorf("stack %s is not declared", name)
	}
	i.stack, i.source.own = st, i.source.repo == st.Dir+"/stack.env"
	return nil
}

// checkCommitted refuses a file that Git has otherwise: the hint of the commit
// itself would be to commit it.
func (i *importing) checkCommitted(ctx context.Context) error {
	if i.source.repo == "" {
		return nil
	}
	changes, err := i.importer.checkout.Git.Status(ctx)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.Path == i.source.repo && c.Status != "??" {
			return fault.WithHint(fmt.Errorf("%s has uncommitted changes", i.source.shown), "git diff HEAD -- "+i.source.shown+" "+
				"shows the difference; git rm --cached removes it from Git")
		}
	}
	if i.importer.checkout.Commit == "" {
		return nil
	}
	found, err := i.importer.checkout.Git.Objects(ctx, []string{string(i.importer.checkout.Commit) + ":" + i.source.repo})
	if err == nil {
		i.source.tracked = found[0].ID != ""
	}
	return err
}

func (i *importing) readStackEnv() error {
	name := i.stack.Dir + "/stack.env"
	content, err := i.importer.checkout.File(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if i.stackEnv, err = compose.ParseEnv(name, content, i.lookup(nil)); err != nil {
		return err
	}
	entries, err := i.stackEnv.Entries()
	if err != nil {
		return err
	}
	i.plain = map[string]secret.Value{}
	for _, e := range entries {
		i.plain[e.Name] = e.Value
	}
	return nil
}

// parse reads the file as Compose would: what it says itself comes before what
// the stack has already.
func (i *importing) parse(content []byte) error {
	f, err := compose.ParseEnv(i.source.shown, content, i.lookup(nil))
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, name := range f.Names() {
		own[name] = true
	}
	if f, err = compose.ParseEnv(i.source.shown, content, i.lookup(own)); err != nil {
		return err
	}
	if i.entries, err = f.Entries(); err != nil {
		return err
	}
	for _, e := range i.entries {
		if !e.Usable() {
			return fmt.Errorf("%s:%d:1: want letters, digits and _ in a variable's name; write this one under environment: instead", i.source.shown, e.Line)
		}
	}
	if len(i.entries) == 0 {
		return fmt.Errorf("%s does not set a variable", i.source.shown)
	}
	return nil
}

// lookup is what the fleet and the stack say of a variable, but for some.
func (i *importing) lookup(but map[string]bool) compose.Lookup {
	return func(name string) (string, bool) {
		if but[name] {
			return "", false
		}
		if v, ok := i.secrets[name]; ok {
			return string(v.Reveal()), true
		}
		if v, ok := i.plain[name]; ok {
			return string(v.Reveal()), true
		}
		v, ok := i.importer.checkout.Fleet.Vars[name]
		return v, ok
	}
}

// inHistory returns the secrets whose values some commit has unencrypted in this
// file.
func (i *importing) inHistory(ctx context.Context) ([]string, error) {
	found := []string{}
	if i.source.repo == "" || i.importer.checkout.Commit == "" {
		return found, nil
	}
	past, err := i.importer.checkout.Git.History(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range past {
		if p.Path == i.source.repo {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return found, nil
	}
	objects, err := i.importer.checkout.Git.Objects(ctx, ids)
	if err != nil {
		return nil, err
	}
	known := i.known()
	for _, e := range i.entries {
		if _, isSecret := known.Secrets[e.Name]; isSecret && slices.ContainsFunc(objects, func(o git.Object) bool { return i.had(o.Content, e) }) {
			found = append(found, e.Name)
		}
	}
	return found, nil
}

// had reports whether an earlier content of the file has a variable's value. One
// that can't be read any more is taken to have it.
func (i *importing) had(content []byte, e compose.EnvEntry) bool {
	f, err := compose.ParseEnv(i.source.shown, content, i.lookup(map[string]bool{e.Name: true}))
	if err != nil {
		return true
	}
	return f.Says(e.Variable)
}

// known are the stack's variables as they will be.
func (i *importing) known() compose.Values {
	secrets := maps.Clone(i.secrets)
	if secrets == nil {
		secrets = map[string]secret.Value{}
	}
	for _, e := range i.split.secret {
		secrets[e.Name] = e.Value
	}
	return compose.Values{Secrets: secrets}
}
