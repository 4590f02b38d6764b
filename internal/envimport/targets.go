package envimport

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/stack/compose"
)

// A target is a service's variable that is to come from a file.
type target struct{ service, variable, secret string }

// readFromFiles are, by official image, the variables whose value its entrypoint
// also reads from the file that NAME_FILE names. From the sections "Docker
// Secrets" in https://github.com/docker-library/docs: postgres/content.md,
// mysql/content.md, mariadb/content.md, mongo/content.md, wordpress/content.md.
var readFromFiles = map[string]string{
	"postgres":  "POSTGRES_INITDB_ARGS POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB",
	"mysql":     "MYSQL_ROOT_PASSWORD MYSQL_ROOT_HOST MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD",
	"mariadb":   "MARIADB_ROOT_PASSWORD MARIADB_ROOT_HOST MARIADB_DATABASE MARIADB_USER MARIADB_PASSWORD MYSQL_ROOT_PASSWORD MYSQL_ROOT_HOST MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD",
	"mongo":     "MONGO_INITDB_ROOT_USERNAME MONGO_INITDB_ROOT_PASSWORD",
	"wordpress": "WORDPRESS_DB_HOST WORDPRESS_DB_USER WORDPRESS_DB_PASSWORD WORDPRESS_DB_NAME WORDPRESS_AUTH_KEY WORDPRESS_SECURE_AUTH_KEY WORDPRESS_LOGGED_IN_KEY WORDPRESS_NONCE_KEY WORDPRESS_AUTH_SALT WORDPRESS_SECURE_AUTH_SALT WORDPRESS_LOGGED_IN_SALT WORDPRESS_NONCE_SALT WORDPRESS_TABLE_PREFIX WORDPRESS_DEBUG",
}

// readsFile reports whether an image is known to read a variable from a file.
func readsFile(image, variable string) bool {
	registry, repository := project.Home(image)
	official, ok := strings.CutPrefix(repository, "library/")
	return ok && registry == "docker.io" && slices.Contains(strings.Fields(readFromFiles[official]), variable)
}

// targets are the uses of the file's secrets that are to come from files.
func (c *composing) targets(ctx context.Context) ([]target, error) {
	if !c.importing.opts.Files && len(c.importing.opts.Deliver) == 0 {
		return nil, nil
	}
	uses, err := c.uses(ctx)
	if err != nil {
		return nil, err
	}
	var chosen []target
	for _, t := range uses {
		if c.importing.opts.Files && c.cannotRead(t) == nil {
			chosen = append(chosen, t)
		}
	}
	for _, wish := range c.importing.opts.Deliver {
		more, err := c.wished(wish, uses)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, more...)
	}
	if len(chosen) == 0 && len(c.parts) > 1 {
		return nil, nil // --files of several is about those that can
	}
	if len(chosen) == 0 {
		return nil, fault.WithHint(fmt.Errorf("no service of %s is known to read any of these secrets from a file", c.stack.Name), "run "+
			"it without --files, or write the secret and NAME_FILE by hand: docs/secrets.md")
	}
	slices.SortFunc(chosen, target.compare)
	return slices.Compact(chosen), nil
}

// wished returns the uses that X or X=SERVICE names.
func (c *composing) wished(wish string, uses []target) ([]target, error) {
	key, service, one := strings.Cut(wish, "=")
	var found []target
	for _, t := range uses {
		if t.secret != key || one && t.service != service {
			continue
		}
		if err := c.cannotRead(t); err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("--file %s: no such service has a variable whose value is exactly the secret %s", wish, key)
	}
	return found, nil
}

// uses finds where a service's variable is one of the file's secrets and nothing
// else, sorted.
func (c *composing) uses(ctx context.Context) ([]target, error) {
	opts := c.opts // the env file is still there
	opts.Replaced = maps.Clone(c.replaced)
	if content, changed := c.opts.Replaced[c.stack.Dir+"/stack.env"]; changed {
		opts.Replaced[c.stack.Dir+"/stack.env"] = content
	}
	if c.inlined != nil {
		opts.Replaced[c.source.repo] = c.inlined
	}
	marked, err := compose.Uses(ctx, opts)
	if err != nil {
		return nil, err
	}
	var all []target
	for _, service := range c.want.Services() {
		for _, e := range c.entries {
			if _, isSecret := c.values.Secrets[e.as]; isSecret {
				all = append(all, c.usesOf(service, e, marked[service])...)
			}
		}
	}
	slices.SortFunc(all, target.compare)
	return slices.Compact(all), nil
}

// usesOf are a service's uses of one secret: what the service lists the env file
// for, and what its environment: is made of.
func (c *composing) usesOf(service string, e entry, marked map[string]string) []target {
	var all []target
	if slices.Contains(c.want.Listing(c.source.repo), service) && !c.want.Sets(service, e.Name) && c.want.Has(service, e.Name, e.Value) {
		all = append(all, target{service, e.Name, e.as})
	}
	for variable, key := range marked {
		if key == e.as {
			all = append(all, target{service, variable, key})
		}
	}
	return all
}

func (t target) compare(o target) int {
	return cmp.Or(strings.Compare(t.service, o.service), strings.Compare(t.variable, o.variable))
}

// cannotRead says why a use can't come from a file.
func (c *composing) cannotRead(t target) error {
	switch image := c.want.Image(t.service); {
	case c.want.Mentions(t.service, t.variable):
		return fmt.Errorf("%s: a command or health check of %s reads $%s, which would not be set; make it read /run/secrets/%s first", c.name, t.service, t.variable, t.secret)
	case !readsFile(image, t.variable):
		return fault.WithHint(fmt.Errorf("%s: %s of %s is not known to read %s_FILE", c.name, image, t.service, t.variable),
			fmt.Sprintf("if its documentation says that it does, import without --file, then write secrets: {%s: "+
				"{environment: %s}}, and in the service secrets: [%s], environment: {%s_FILE: /run/secrets/%s}", t.secret, t.secret, t.secret, t.variable, t.secret))
	}
	return nil
}
