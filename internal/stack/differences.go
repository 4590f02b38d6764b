package stack

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// Differences says what a deployment changes in the project that was deployed last, part
// by part: images by their tags, variables by their names and never by a value. It says
// nothing where that is not known, or where nothing differs.
func Differences(ctx context.Context, h *Host, d Deployment) ([]string, error) {
	was, known, err := h.lastGood(ctx, d.Stack)
	if err != nil || !known {
		return nil, err
	}
	return comparison{was: was, now: pinnedProject{d.Project, d.Images}}.said(), nil
}

// A comparison is of the project that runs with the one that is wanted.
type comparison struct{ was, now pinnedProject }

func (c comparison) said() []string {
	was, now := c.was.Project, c.now.Project
	said := slices.Concat(c.images(), c.compose())
	for _, each := range []struct {
		what     string
		was, now map[string]string
	}{{"secrets", setOf(was.Env), setOf(now.Env)}, {"files", filesOf(was), filesOf(now)}} {
		if names := named(each.was, each.now); names != "" {
			said = append(said, each.what+": "+names)
		}
	}
	if was.Dir != now.Dir {
		said = append(said, "folder: "+now.Dir)
	}
	return said
}

// of names a service where there are several.
func (c comparison) of(service string) string {
	if len(c.was.Project.Services) == 1 && len(c.now.Project.Services) == 1 {
		return ""
	}
	return " of " + service
}

// images says which services come and go, and which images change.
func (c comparison) images() []string {
	var said []string
	gone := map[string]project.Service{}
	for _, s := range c.was.Project.Services {
		gone[s.Name] = s
	}
	for _, s := range c.now.Project.Services {
		before, there := gone[s.Name]
		delete(gone, s.Name)
		ran, wanted := before.Reference(c.was.Images), s.Reference(c.now.Images)
		switch {
		case !there:
			said = append(said, "new service "+s.Name)
		case project.Tagged(ran) != project.Tagged(wanted):
			said = append(said, "image"+c.of(s.Name)+" "+imageChange(ran, wanted))
		case project.Digested(wanted) && ran != wanted && !s.Build:
			said = append(said, "image"+c.of(s.Name)+": another "+project.Tagged(wanted))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		said = append(said, "service "+name+" removed")
	}
	return said
}

// imageChange is "1.2 → 1.3" for two tags of one repository, else the whole names.
func imageChange(was, now string) string {
	was, now = project.Tagged(was), project.Tagged(now)
	repository := project.Repository(was)
	a, tagged := strings.CutPrefix(was, repository+":")
	b, same := strings.CutPrefix(now, repository+":")
	if tagged && same {
		return a + " → " + b
	}
	return was + " → " + now
}

// compose compares the Compose files: of services that both have key by key, of the
// rest by the names of its sections.
func (c comparison) compose() []string {
	was, now := rootOf(c.was.Project.Compose), rootOf(c.now.Project.Compose)
	var said []string
	for name, service := range yamldoc.Entries(yamldoc.Find(now, "services")) {
		before := yamldoc.Find(was, "services", name)
		if before == nil {
			continue // a new one
		}
		for _, key := range differing(before, service) {
			a, b := yamldoc.Find(before, key), yamldoc.Find(service, key)
			switch key {
			case "image":
			case "environment", "labels":
				if names := named(entriesOf(a), entriesOf(b)); names != "" {
					said = append(said, key+c.of(name)+": "+names)
				}
			default:
				said = append(said, key+c.of(name))
			}
		}
	}
	for _, key := range differing(was, now) {
		if key != "services" {
			said = append(said, key)
		}
	}
	return said
}

func rootOf(compose []byte) *yamldoc.Node {
	root, err := yamldoc.Parse("compose.yaml", compose)
	if err != nil {
		return nil // it was rendered, so this is a program's older or newer than this one
	}
	return root
}

// differing returns the keys whose values two mappings do not share, sorted.
func differing(was, now *yamldoc.Node) []string {
	before, after := entriesOf(was), entriesOf(now)
	keys := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(keys)
	return slices.DeleteFunc(slices.Compact(keys), func(key string) bool {
		a, had := before[key]
		b, has := after[key]
		return had && has && a == b
	})
}

// entriesOf returns a mapping's values as text, by their keys, without Salvor's own label.
func entriesOf(mapping *yamldoc.Node) map[string]string {
	all := map[string]string{}
	for key, value := range yamldoc.Entries(mapping) {
		text, err := yamldoc.Encode(value)
		if err == nil && key != FilesLabel {
			all[key] = string(bytes.TrimSpace(text))
		}
	}
	return all
}

func setOf(names []string) map[string]string {
	all := map[string]string{}
	for _, name := range names {
		all[name] = ""
	}
	return all
}

func filesOf(p project.Project) map[string]string {
	all := map[string]string{}
	for _, f := range p.Files {
		all[f.Path] = fmt.Sprintf("%o %s", f.Mode, f.Data)
	}
	return all
}

// shownNames is how many names one part of a change lists.
const shownNames = 5

// named lists what is new, different and gone by name: "+A ~B -C", "" for nothing.
func named(was, now map[string]string) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		before, had := was[name]
		if !had {
			names = append(names, "+"+name)
		} else if before != now[name] {
			names = append(names, "~"+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, has := now[name]; !has {
			names = append(names, "-"+name)
		}
	}
	if more := len(names) - shownNames; more > 0 {
		names = append(names[:shownNames], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, " ")
}
