package envimport

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/stack/compose"
)

// own reports whether the file is the stack's stack.env or a Compose file of it: its secrets
// go, the file stays.
func (i *importing) own() bool {
	return i.source.repo == i.stack.Dir+"/stack.env" || isCompose(i.source.path)
}

// goes reports whether the file is gone afterwards.
func (i *importing) goes() bool { return i.source.repo != "" && !i.own() }

// dotenvPath is the file that Compose always reads, and that a host generates.
func (i *importing) dotenvPath() string { return i.stack.Dir + "/.env" }

// prepare takes the file's variables into the stack.
func (i *importing) prepare(ctx context.Context) error {
	if err := i.read(); err != nil {
		return err
	}
	var err error
	if i.want, err = i.now(ctx); err != nil {
		return err
	}
	i.rename()
	if i.split, err = i.divide(); err != nil {
		return err
	}
	i.shown = Import{File: i.source.shown, Stack: i.stack.Name, Secret: names(i.split.secret), Plain: names(i.split.plain),
		Kept: names(i.split.kept), Renamed: map[string]string{}, Encrypted: fleet.EnvFile(i.stack.Name)}
	for _, e := range i.entries {
		if e.as != e.Name {
			i.shown.Renamed[e.Name] = e.as
		}
	}
	if err := i.rewrite(ctx); err != nil {
		return err
	}
	i.shown.InHistory, err = i.inHistory(ctx)
	return err
}

// read reads what the file and the stack say.
func (i *importing) read() (err error) {
	if i.secrets == nil {
		if i.secrets, err = i.importer.identity.Store.AllEnv(i.stack.Name); err != nil {
			return err
		}
		if i.secrets == nil {
			i.secrets = map[string]secret.Value{}
		}
	}
	if i.stackEnv, i.plain, err = i.readEnv(i.stack.Dir + "/stack.env"); err != nil {
		return err
	}
	if i.source.repo != i.dotenvPath() {
		if _, i.dotenv, err = i.readEnv(i.dotenvPath()); err != nil {
			return err
		}
	}
	if isCompose(i.source.path) {
		return i.readInline()
	}
	return i.parse()
}

// readEnv reads an env file of the stack, which need not be there or in Git.
func (i *importing) readEnv(name string) (*compose.EnvFile, map[string]secret.Value, error) {
	content, err := i.file(i.stackState, name)
	if _, replaced := i.replaced[name]; errors.Is(err, fs.ErrNotExist) && !replaced {
		content, err = os.ReadFile(filepath.Join(i.importer.checkout.Root, filepath.FromSlash(name)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.WithoutPath(err)
	}
	f, err := compose.ParseEnv(name, content, i.lookup(nil))
	if err != nil {
		return nil, nil, err
	}
	values := map[string]secret.Value{}
	for _, e := range f.Entries() {
		values[e.Name] = e.Value
	}
	return f, values, nil
}

// parse reads the file as Compose would: what it says itself comes before what the stack has
// already.
func (i *importing) parse() error {
	content := i.source.content.Reveal()
	all, err := parseEntries(i.source.shown, content, i.lookup(nil))
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, e := range all {
		own[e.Name] = true
	}
	if all, err = parseEntries(i.source.shown, content, i.lookup(own)); err != nil {
		return err
	}
	for _, e := range all {
		if i.only == nil || i.only[e.Name] {
			i.entries = append(i.entries, entry{e, e.Name})
		}
	}
	return nil
}

// lookup is what the fleet and the stack say of a variable, but for some.
func (i *importing) lookup(but map[string]bool) compose.Lookup {
	return func(name string) (string, bool) {
		if but[name] {
			return "", false
		}
		for _, from := range []map[string]secret.Value{i.secrets, i.plain, i.dotenv} {
			if v, ok := from[name]; ok {
				return string(v.Reveal()), true
			}
		}
		v, ok := i.importer.checkout.Fleet.Vars[name]
		return v, ok
	}
}

// now is the stack as Compose has it with the env file. Its variables count as the stack's
// own, as those of a .env do, unless services list it by name.
func (i *importing) now(ctx context.Context) (*compose.View, error) {
	values := compose.Values{Secrets: i.secrets, Over: map[string]secret.Value{}}
	if isCompose(i.source.path) {
		return compose.Look(ctx, i.options(i.stackState), values) // it needs none of its variables yet
	}
	for _, e := range i.entries {
		values.Over[e.Name] = e.Value
	}
	view, err := compose.Look(ctx, i.options(i.stackState), values)
	if err != nil || i.wide(view) {
		return view, err
	}
	values.Over = map[string]secret.Value{}
	for _, e := range i.entries {
		_, encrypted := i.secrets[e.Name]
		if _, plain := i.plain[e.Name]; i.opts.Replace && (encrypted || plain) {
			values.Over[e.Name] = e.Value
		}
	}
	return compose.Look(ctx, i.options(i.stackState), values)
}

// wide reports whether the file's variables are the stack's, and not only those of services
// that list it.
func (i *importing) wide(view *compose.View) bool {
	return i.own() || i.source.repo == i.dotenvPath() || len(view.Listing(i.source.repo)) == 0 && !i.includes(i.source)
}

// rename gives variables of a file that only some services list names of their own, where the
// stack has the name for something else: no service gets another one's value.
func (i *importing) rename() {
	if i.wide(i.want) || i.includes(i.source) || i.opts.Replace {
		return
	}
	of := strings.TrimSuffix(filepath.Base(i.source.repo), ".env")
	if listing := i.want.Listing(i.source.repo); len(listing) == 1 {
		of = listing[0]
	}
	for k, e := range i.entries {
		value, set := i.lookup(nil)(e.Name)
		_, encrypted := i.secrets[e.Name]
		_, plain := i.plain[e.Name]
		_, pending := i.dotenv[e.Name]
		if other := !set || value != string(e.Value.Reveal()); other && (encrypted || plain || pending || i.mentions.Names[e.Name]) {
			i.entries[k].as = scoped(of, e.Name)
		}
	}
}

// scoped is the name of a variable that is one service's alone.
func scoped(of, name string) string {
	of = strings.Map(func(r rune) rune {
		if fleet.IsVariable("_" + string(r)) {
			return r
		}
		return '_'
	}, strings.ToUpper(of))
	if !fleet.IsVariable(of) {
		of = "_" + of
	}
	return of + "_" + name
}

// rewrite makes the plain files.
func (i *importing) rewrite(ctx context.Context) error {
	envPath := i.stack.Dir + "/stack.env"
	after, changed, err := i.newStackEnv()
	if err != nil {
		return err
	}
	replaced := maps.Clone(i.replaced)
	if i.inlined != nil {
		replaced[i.source.repo] = i.inlined
	}
	if changed {
		replaced[envPath] = after
	}
	if i.goes() {
		replaced[i.source.repo] = nil
	}
	if i.replaced, err = i.composeFiles(ctx, replaced); err != nil {
		return err
	}
	i.secrets = i.known().Secrets
	for _, e := range i.split.secret {
		i.fresh = append(i.fresh, secret.Variable{Name: e.as, Value: e.Value})
	}
	return nil
}

// known are the stack's variables as they will be.
func (i *importing) known() compose.Values {
	secrets := maps.Clone(i.secrets)
	for _, e := range i.split.secret {
		secrets[e.as] = e.Value
	}
	return compose.Values{Secrets: secrets}
}

// inHistory returns the secrets whose values some commit has unencrypted in this file, by
// their names in the stack.
func (i *importing) inHistory(ctx context.Context) ([]string, error) {
	found := []string{}
	earlier, err := i.earlier(ctx, i.source)
	for _, e := range i.entries {
		if _, isSecret := i.secrets[e.as]; isSecret && slices.ContainsFunc(earlier, func(content []byte) bool { return i.had(content, e) }) {
			found = append(found, e.as)
		}
	}
	return found, err
}

// earlier returns what commits have of a file.
func (b *batch) earlier(ctx context.Context, s *source) ([][]byte, error) {
	if s.repo == "" || b.importer.checkout.Commit == "" {
		return nil, nil
	}
	if b.past == nil {
		past, err := b.importer.checkout.Git.History(ctx)
		if err != nil {
			return nil, err
		}
		b.past = past
	}
	var ids []string
	for _, p := range b.past {
		if p.Path == s.repo {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	objects, err := b.importer.checkout.Git.Objects(ctx, ids)
	var contents [][]byte
	for _, o := range objects {
		contents = append(contents, o.Content)
	}
	return contents, err
}

// had reports whether an earlier content of the file has a variable's value. One that can't
// be read any more is taken to have it.
func (i *importing) had(content []byte, e entry) bool {
	if isCompose(i.source.path) {
		return i.hadInline(content, e)
	}
	f, err := compose.ParseEnv(i.source.shown, content, i.lookup(map[string]bool{e.Name: true}))
	return err != nil || f.Says(e.Variable)
}

// names are those that variables have in the stack.
func names(entries []entry) []string {
	all := []string{}
	for _, e := range entries {
		all = append(all, e.as)
	}
	return all
}

func equal(a, b secret.Value) bool { return string(a.Reveal()) == string(b.Reveal()) }
