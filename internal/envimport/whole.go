package envimport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
	"salvor/internal/stack/compose"
	"salvor/internal/yamldoc"
)

// A wholeFile is a plain file that a stack lists under secrets:. All of it becomes one secret of
// the fleet, for all stacks that list it.
type wholeFile struct {
	*batch
	*stackState
	source *source
	uses   []compose.SecretFile // where the stack lists it
	name   string               // of the secret
	kept   bool                 // the fleet has it already, with this value
}

// findWhole takes the stacks that list a file under secrets:, and reports whether there are any.
func (b *batch) findWhole(s *source) bool {
	name := ""
	for _, declared := range b.importer.checkout.Fleet.Stacks {
		st, err := b.state(declared.Name)
		if err != nil || s.repo == "" {
			continue // of a stack that can't be read nothing is known
		}
		w := &wholeFile{batch: b, stackState: st, source: s}
		for _, use := range st.mentions.SecretFiles {
			if use.File == s.repo {
				w.uses = append(w.uses, use)
			}
		}
		if len(w.uses) > 0 {
			name = cmp.Or(name, compose.SecretName(st.stack.Name, w.uses[0].Name))
			w.name, s.whole = name, true
			b.whole = append(b.whole, w)
		}
	}
	return s.whole
}

// prepare has the Compose files name the secret instead of the file. One that is on no disk
// is new to the fleet: it gets a name that no other secret has.
func (w *wholeFile) prepare(ctx context.Context) (Import, error) {
	present, err := w.importer.identity.Secret(ctx, w.name)
	for n := 2; err == nil && w.source.nowhere && !equal(present, w.source.content); n++ {
		w.name = compose.SecretName(w.stack.Name, fmt.Sprintf("%d_%s", n, w.uses[0].Name))
		present, err = w.importer.identity.Secret(ctx, w.name)
	}
	shown := Import{File: w.source.shown, Stack: w.stack.Name, Whole: true, Secret: []string{w.name}, Plain: []string{}, Kept: []string{}, Encrypted: w.encrypted()}
	switch {
	case errors.Is(err, secret.ErrNotFound):
	case err != nil:
		return shown, err
	case equal(present, w.source.content):
		w.kept, shown.Secret, shown.Kept = true, []string{}, []string{w.name}
	case !w.opts.Replace:
		return shown, fault.WithHint(fmt.Errorf("%s: the secret %s has another value", w.source.shown, w.name), "salvor secret import FILE --replace uses the file's")
	}
	for _, use := range w.uses {
		content, err := w.file(w.stackState, use.In)
		if err != nil {
			return shown, err
		}
		edited, err := controlrepo.SetSecretFile(content, w.name, func(written string) bool { return written == use.Written })
		if errors.Is(err, yamldoc.ErrByHand) {
			return shown, fault.WithHint(fmt.Errorf("%s: %w", use.In, err), fmt.Sprintf("salvor secret set %s <%s, and write secrets: {%s: {external: true, name: %[1]s}}", w.name, w.source.shown, use.Name))
		}
		if err != nil {
			return shown, fmt.Errorf("%s: %w", use.In, err)
		}
		w.replaced[use.In] = edited
	}
	w.replaced[w.source.repo] = nil
	earlier, err := w.earlier(ctx, w.source)
	for _, content := range earlier {
		if len(shown.InHistory) == 0 && bytes.Equal(content, w.source.content.Reveal()) {
			shown.InHistory = []string{w.name}
		}
	}
	return shown, err
}

// encrypted is the file that holds the secret.
func (w *wholeFile) encrypted() string { return fleet.SecretDir + "/" + w.name }

func (w *wholeFile) encrypt(ctx context.Context) (secretstore.Changes, error) {
	return w.importer.identity.Store.Writer().Set(ctx, w.name, w.source.content)
}

// proven reads the secret back.
func (w *wholeFile) proven(encrypted []byte) error {
	f, err := sops.Parse(w.encrypted(), encrypted)
	if err != nil {
		return err
	}
	back, err := f.Plain(w.importer.identity.Ring)
	if err == nil && !equal(back, w.source.content) {
		err = fault.WithHint(fmt.Errorf("%s does not read back as it was written; %s is kept", w.name, w.source.shown), "git status, then salvor secret import again")
	}
	return err
}

// makesSecrets reports whether something is to be encrypted.
func (b *batch) makesSecrets() bool {
	for _, st := range b.stacks {
		if len(st.fresh) > 0 {
			return true
		}
	}
	return len(b.freshWhole()) > 0
}

// freshWhole are the files that become secrets that the fleet does not have yet, each once.
func (b *batch) freshWhole() []*wholeFile {
	var all []*wholeFile
	for _, w := range b.whole {
		if !w.kept && !slices.ContainsFunc(all, func(o *wholeFile) bool { return o.name == w.name }) {
			all = append(all, w)
		}
	}
	return all
}
