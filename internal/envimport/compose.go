package envimport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/stack/compose"
	"salvor/internal/yamldoc"
)

// composing rewrites a stack's Compose files until every service gets what it got.
type composing struct {
	*importing
	name    string          // of the stack's own file, for messages
	opts    compose.Options // as it will be, the files that were rewritten with it
	values  compose.Values
	named   map[string]secret.Value // all that `${…}` may name
	dropped map[string]bool         // services whose env files of the stack are taken out
}

// rounds are enough: an env file goes, its variables are written out, and the
// result is looked at.
const rounds = 4

// composeFiles returns the stack's plain files with its Compose files as they have to be when
// the others are these, which include stack.env and lack the env file itself.
func (i *importing) composeFiles(ctx context.Context, replaced map[string][]byte) (map[string][]byte, error) {
	c := &composing{importing: i, name: i.stack.Dir + "/" + i.stack.File, values: i.known(), dropped: map[string]bool{}}
	c.opts = i.options(i.stackState)
	_, _, before := compose.Load(ctx, c.opts)
	c.opts.SecretKeys, c.opts.Replaced = slices.Sorted(maps.Keys(c.values.Secrets)), replaced
	c.named = i.everything(c.values.Secrets)
	targets, err := c.targets(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.begin(targets); err != nil {
		return nil, err
	}
	for range rounds {
		again, err := c.round(ctx)
		if err != nil {
			return nil, err
		}
		if again {
			continue
		}
		if _, _, err := compose.Load(ctx, c.opts); err != nil && before == nil {
			return nil, err
		}
		return c.opts.Replaced, nil
	}
	return nil, fmt.Errorf("%s %w", c.name, yamldoc.ErrByHand)
}

// everything is what `${…}` may name afterwards.
func (i *importing) everything(secrets map[string]secret.Value) map[string]secret.Value {
	all := map[string]secret.Value{}
	for name, v := range i.importer.checkout.Fleet.Vars {
		all[name] = secret.NewString(v)
	}
	maps.Copy(all, i.dotenv)
	maps.Copy(all, i.plain)
	for _, e := range i.split.plain {
		all[e.as] = e.Value
	}
	maps.Copy(all, secrets)
	return all
}

// begin makes the edits that are known to be needed.
func (c *composing) begin(targets []target) error {
	stackEnv, replaced := c.opts.Replaced[c.stack.Dir+"/stack.env"]
	if empty := c.own() && replaced && stackEnv == nil; empty || c.goes() && c.source.repo != c.dotenvPath() {
		if err := c.dropEverywhere(c.source.repo); err != nil {
			return err
		}
	}
	for _, t := range targets {
		_, err := c.edit(c.fileOf(t.service), func(content []byte) ([]byte, error) {
			return controlrepo.ReadFromFile(content, t.service, t.variable, t.secret)
		})
		if err != nil {
			return c.byHand(t.service, err)
		}
		c.want.Deliver(t.service, t.variable, t.secret)
	}
	return nil
}

// round looks at what the rewritten file means and edits what is not as it was.
// It reports whether there was something to edit.
func (c *composing) round(ctx context.Context) (again bool, err error) {
	view, err := compose.Look(ctx, c.opts, c.values)
	if err != nil {
		return false, err
	}
	differences := view.Differences(c.want)
	dropped := maps.Clone(c.dropped)
	for _, d := range differences {
		if err := c.settle(d, dropped); err != nil {
			return false, err
		}
	}
	return len(differences) > 0, nil
}

// settle edits the file so that one difference goes. A service that would get too
// much does not list the stack's own files any more: then what it lacks is
// written out.
func (c *composing) settle(d compose.Difference, dropped map[string]bool) error {
	from := c.from(d.Service, d.Variable)
	value, known := c.named[from]
	switch {
	case d.Variable == "", d.Extra && dropped[d.Service], !d.Extra && (!known || !c.want.Has(d.Service, d.Variable, value)):
		hint := "if the file and something else in the stack use the same variable name, rename one; then run salvor secret import again"
		if isCompose(c.source.path) {
			hint = "salvor secret set " + c.stack.Name + "/NAME for the value there, and write ${NAME} instead; then run salvor secret import again"
		}
		return fault.WithHint(fmt.Errorf("%s: after the import, %s, so nothing is changed", c.name, d), hint)
	case d.Extra && c.dropped[d.Service]:
		return nil
	case d.Extra:
		changed, err := c.drop(d.Service, c.dotenvPath(), c.stack.Dir+"/stack.env")
		if c.dropped[d.Service] = true; err != nil || changed {
			return err
		}
		return c.byHand(d.Service, fmt.Errorf("services.%s.env_file %w", d.Service, yamldoc.ErrByHand))
	}
	_, err := c.edit(c.fileOf(d.Service), func(content []byte) ([]byte, error) {
		return controlrepo.SetVariable(content, d.Service, d.Variable, "${"+from+"}")
	})
	if err != nil {
		return c.byHand(d.Service, err)
	}
	return nil
}

// content returns one of the stack's Compose files as it is so far.
func (c *composing) content(file string) ([]byte, error) {
	if content, rewritten := c.opts.Replaced[file]; rewritten {
		return content, nil
	}
	return c.file(c.stackState, file)
}

// edit changes one of the stack's Compose files, and reports whether it did.
func (c *composing) edit(file string, change func(content []byte) ([]byte, error)) (changed bool, err error) {
	content, err := c.content(file)
	if err != nil {
		return false, err
	}
	edited, err := change(content)
	if err != nil || bytes.Equal(edited, content) {
		return false, err
	}
	c.opts.Replaced[file] = edited
	return true, nil
}

// servicesIn returns the names of the services that a Compose file has itself.
func (c *composing) servicesIn(file string) []string {
	content, err := c.content(file)
	if err != nil {
		return nil // reported where it is edited
	}
	return controlrepo.Services(content)
}

// fileOf returns the first of the stack's Compose files that has a service, its own if none
// can be seen to.
func (c *composing) fileOf(service string) string {
	for _, f := range c.mentions.Files {
		if slices.Contains(c.servicesIn(f.Name), service) {
			return f.Name
		}
	}
	return c.name
}

// from is the stack's variable that a service's is to have the value of.
func (c *composing) from(service, variable string) string {
	for _, e := range c.entries {
		if e.Name == variable && slices.Contains(c.want.Listing(c.source.repo), service) {
			return e.as
		}
	}
	return variable
}

// drop takes env files out of a service's list, and reports whether one was there.
func (c *composing) drop(service string, files ...string) (changed bool, err error) {
	for _, f := range c.mentions.Files {
		one, err := c.edit(f.Name, func(content []byte) ([]byte, error) {
			return controlrepo.DropEnvFile(content, service, func(written string) bool { return slices.Contains(files, path.Join(f.Base, written)) })
		})
		if err != nil {
			return false, c.byHand(service, err)
		}
		changed = changed || one
	}
	return changed, nil
}

// dropEverywhere takes an env file out of every list, also of services that others only
// extend, and of what is included.
func (c *composing) dropEverywhere(file string) error {
	var services []string
	for _, f := range c.mentions.Files {
		services = append(services, c.servicesIn(f.Name)...)
	}
	slices.Sort(services)
	for _, service := range slices.Compact(services) {
		if _, err := c.drop(service, file); err != nil {
			return err
		}
	}
	for _, f := range c.mentions.Files {
		_, err := c.edit(f.Name, func(content []byte) ([]byte, error) {
			return controlrepo.DropIncludedEnvFile(content, func(written string) bool { return path.Join(f.Base, written) == file })
		})
		if err != nil {
			return err
		}
	}
	for _, service := range c.want.Listing(file) {
		c.dropped[service] = true
	}
	return nil
}

// byHand says what to write where the file can't be edited.
func (c *composing) byHand(service string, err error) error {
	err = fmt.Errorf("%s: %w", c.name, err)
	if !errors.Is(err, yamldoc.ErrByHand) {
		return err
	}
	var lines []string
	for _, e := range c.entries {
		if c.want.Has(service, e.Name, e.Value) && !c.want.Sets(service, e.Name) {
			lines = append(lines, fmt.Sprintf("%s: \"${%s}\"", e.Name, e.as))
		}
	}
	return fault.WithHint(err, fmt.Sprintf("in service %s, remove %s from env_file and write environment: {%s}; then "+
		"run salvor secret import again",
		service, path.Base(c.source.shown), strings.Join(lines, ", ")))
}
