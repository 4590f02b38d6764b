package envimport

import (
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

// composing rewrites one Compose file until every service gets what it got.
type composing struct {
	*importing
	content []byte
	name    string          // of the file, for messages
	opts    compose.Options // as it will be
	values  compose.Values
	named   map[string]secret.Value // all that `${…}` may name
	dropped map[string]bool         // services whose env files of the stack are taken out
}

// rounds are enough: an env file goes, its variables are written out, and the
// result is looked at.
const rounds = 4

// composeFile returns the stack's Compose file as it has to be when its plain files are
// these, which include stack.env and lack the env file itself.
func (i *importing) composeFile(ctx context.Context, content []byte, replaced map[string][]byte) ([]byte, error) {
	c := &composing{importing: i, content: content, name: i.stack.Dir + "/" + i.stack.File, values: i.known(), dropped: map[string]bool{}}
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
		return c.content, nil
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
	if c.goes() && c.source.repo != c.dotenvPath() {
		for _, service := range c.want.Listing(c.source.repo) {
			if err := c.drop(service, c.source.repo); err != nil {
				return err
			}
		}
	}
	for _, t := range targets {
		edited, err := controlrepo.ReadFromFile(c.content, t.service, t.variable, t.secret)
		if err != nil {
			return c.byHand(t.service, err)
		}
		c.content = edited
		c.want.Deliver(t.service, t.variable, t.secret)
	}
	return nil
}

// round looks at what the rewritten file means and edits what is not as it was.
// It reports whether there was something to edit.
func (c *composing) round(ctx context.Context) (again bool, err error) {
	c.opts.Replaced[c.name] = c.content
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
		before := string(c.content)
		if err := c.drop(d.Service, c.dotenvPath(), c.stack.Dir+"/stack.env"); err != nil || string(c.content) != before {
			return err
		}
		return c.byHand(d.Service, fmt.Errorf("services.%s.env_file %w", d.Service, yamldoc.ErrByHand))
	}
	edited, err := controlrepo.SetVariable(c.content, d.Service, d.Variable, "${"+from+"}")
	if err != nil {
		return c.byHand(d.Service, err)
	}
	c.content = edited
	return nil
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

// drop takes env files out of a service's list.
func (c *composing) drop(service string, files ...string) error {
	edited, err := controlrepo.DropEnvFile(c.content, service, func(written string) bool {
		return slices.Contains(files, path.Join(c.stack.Dir, written))
	})
	if err != nil {
		return c.byHand(service, err)
	}
	c.content, c.dropped[service] = edited, true
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
