package route

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"salvor/internal/suggest"
)

// reserved are the words of access.policy that stand for a group.
var reserved = map[string]string{"bypass": PublicGroup, "authenticate": LoginGroup}

// ofZone is the word of access.policy for an application of the whole zone.
const ofZone = "default_tld"

// appSettings are the labels of an application that has no group.
var appSettings = []string{"access.name", "access.session_duration", "access.app_launcher_visible", "access.allowed_idps", "access.auto_redirect_to_identity"}

// access reads who may reach the entry: a group, else a policy, else rules. demanded
// reports whether a label wants protection; then an error closes the route.
func (e entry) access(path string) (a *Access, demanded bool, err error) {
	ids, by, is := e.groups()
	if is {
		e.overruled(by)
		if a, err = e.Groups.access(ids); err != nil {
			err = fmt.Errorf("%s: %w", by, err)
		}
	} else if a, by, err = e.alone(); by == "" {
		label := cmp.Or(e.misspelt(e.index), e.misspelt(""), e.setting())
		if label == "" {
			return nil, false, nil
		}
		return nil, true, fmt.Errorf("%s asks for protection, and nothing says who may in: add an access group or access.policy", label)
	}
	if err == nil && !a.Protects() && !a.OfZone {
		label := e.misspelt(e.index)
		if p, _ := e.split(by); p.index != e.index {
			label = cmp.Or(label, e.misspelt(""))
		}
		if label != "" {
			err = fmt.Errorf("%s asks for protection, and everyone may in", label)
		}
	}
	if err == nil {
		err = protectable(a, path)
	}
	return a, true, err
}

// protectable is the error of a path that an application can't be for.
func protectable(a *Access, path string) error {
	if a.Protects() && !isPlain(path) {
		return fmt.Errorf("the path %s is a pattern, and Access protects only plain paths: protect the whole hostname", path)
	}
	return nil
}

// groups returns the group names that count: the entry's own, a reserved word of its own,
// or the base's.
func (e entry) groups() (ids []string, label string, is bool) {
	if ids, label, is = e.named(); is || e.index == "" {
		return ids, label, is
	}
	if label, word, _ := e.lookup(e.index + "access.policy"); reserved[word] != "" {
		e.read[label] = true
		return []string{reserved[word]}, label, true
	}
	return entry{e.reader, ""}.named()
}

// named returns the groups of one level: access.groups comes before access.group.
func (e entry) named() (ids []string, label string, is bool) {
	one, name, single := e.lookup(e.index + "access.group")
	many, list, several := e.lookup(e.index + "access.groups")
	switch {
	case several:
		if single {
			e.why[one] = many + " comes before it"
		}
		e.read[many] = true
		for _, id := range strings.Split(list, ",") {
			if id = strings.TrimSpace(id); id != "" {
				ids = append(ids, id)
			}
		}
		return ids, many, true
	case single:
		e.read[one] = true
		return []string{strings.TrimSpace(name)}, one, true
	}
	return nil, "", false
}

// overruled notes the labels that have no effect next to a group.
func (e entry) overruled(by string) {
	for _, name := range append([]string{"access.policy", "access.custom_rules"}, appSettings...) {
		for _, index := range []string{e.index, ""} {
			if label, _, is := e.lookup(index + name); is && label != by && !e.read[label] && e.why[label] == "" {
				e.why[label] = by + " comes before it"
			}
		}
	}
}

// access returns the application of groups. Its settings are the first group's. A group
// that is not known lets no one in: the route is closed, rather than with the others alone.
func (g Groups) access(ids []string) (*Access, error) {
	if len(ids) == 0 {
		return nil, errors.New("it names no access group")
	}
	a := &Access{}
	for i, id := range ids {
		if id == "bypass" {
			id = PublicGroup
		}
		group, known := g[id]
		if !known && id == PublicGroup {
			group, known = public(), true
		}
		if !known {
			return nil, g.unknown(id)
		}
		if i == 0 {
			a.Session, a.Launcher, a.Redirect, a.Providers = group.Session, group.Launcher, group.Redirect, group.Providers
		}
		a.Groups, a.Policies = append(a.Groups, id), append(a.Policies, group.Policies...)
	}
	if a.Session == "" {
		a.Session = DefaultSession
	}
	return a, nil
}

func (g Groups) unknown(id string) error {
	switch {
	case id == "":
		return errors.New("it is empty: name an access group, or remove the label")
	case strings.Contains(id, ","):
		return fmt.Errorf("%q is not an access group: several are written in access.groups", id)
	case id == LoginGroup:
		return fmt.Errorf("the access group %s, which says who logs in, is not declared: declare it under ingress.access in fleet.yaml", id)
	}
	return fmt.Errorf("%q is not an access group%s", id, suggest.DidYouMean(id, slices.Sorted(maps.Keys(g))))
}

// alone returns the application of an entry without groups, and the label that asks for
// one; "" for none.
func (e entry) alone() (a *Access, by string, err error) {
	policy, word, has := e.get("access.policy")
	rules, text, custom := e.get("access.custom_rules")
	switch {
	case reserved[word] != "":
		e.overruled(policy)
		if a, err = e.Groups.access([]string{reserved[word]}); err != nil {
			err = fmt.Errorf("%s=%s: %w", policy, word, err)
		}
		return a, policy, err
	case word == ofZone:
		e.overruled(policy)
		return &Access{OfZone: true}, policy, nil
	case custom:
		a, err = e.application(rules, text)
		return a, rules, err
	case has:
		return nil, policy, fmt.Errorf("%s=%s is not a policy: write bypass, authenticate or %s, or name an access group%s", policy, word, ofZone, suggest.DidYouMean(word, []string{"bypass", "authenticate", ofZone}))
	}
	return nil, "", nil
}

// application reads inline rules and the settings next to them.
func (e entry) application(label, text string) (*Access, error) {
	var rules []json.RawMessage
	if err := json.Unmarshal([]byte(text), &rules); err != nil || len(rules) == 0 {
		return nil, fmt.Errorf("%s is not a list of Access policies in JSON", label)
	}
	value := func(i int) string { _, v, _ := e.get(appSettings[i]); return strings.TrimSpace(v) }
	truth := func(i int) bool { label, v, is := e.get(appSettings[i]); return is && e.truth(label, v) }
	a := &Access{Name: value(0), Session: value(1), Launcher: truth(2), Redirect: truth(4)}
	for _, id := range strings.Split(value(3), ",") {
		if id = strings.TrimSpace(id); id != "" {
			a.Providers = append(a.Providers, id)
		}
	}
	if a.Session == "" {
		a.Session = DefaultSession
	}
	if d, err := time.ParseDuration(a.Session); err != nil || d <= 0 {
		return nil, fmt.Errorf("access.session_duration %q is not a duration: write it like 24h or 30m", a.Session)
	}
	for _, rule := range rules {
		if !strings.HasPrefix(strings.TrimSpace(string(rule)), "{") {
			return nil, fmt.Errorf("%s has %s in its list, want a policy", label, rule)
		}
		a.Policies = append(a.Policies, Policy{Inline: rule})
	}
	return a, nil
}

// misspelt returns a label at an index that wants protection and is not read as that: one
// that is not known, or access.email; "" for none.
func (e entry) misspelt(index string) string {
	email, _, _ := e.lookup(index + "access.email")
	return cmp.Or(e.demand[index], email)
}

// setting returns a label that says what an application is like, "" for none.
func (e entry) setting() string {
	for _, name := range appSettings {
		if label, _, is := e.get(name); is {
			delete(e.read, label)
			return label
		}
	}
	return ""
}

// wholePart ends a path at the end of one of its parts.
const wholePart = "(/|$)"

// isPlain reports whether a path is what it says, or begins with it: then an application
// can be for it.
func isPlain(path string) bool {
	plain := Route{Path: path}.plainPath()
	return strings.ReplaceAll(regexp.QuoteMeta(plain), `\.`, ".") == plain
}

// plainPath is the path without the marks of a pattern around it.
func (r Route) plainPath() string {
	return strings.TrimSuffix(strings.TrimPrefix(r.Path, "^"), wholePart)
}

// Domain returns what the route's application is for: the hostname with the path.
func (r Route) Domain() string { return r.Hostname + r.plainPath() }

// App returns the name of the route's application. Without a name of its own it is
// DockFlare's, so that one which is adopted keeps it.
func (r Route) App() string {
	switch {
	case r.Access.Name != "":
		return r.Access.Name
	case len(r.Access.Groups) > 0:
		return "DockFlare-" + strings.ReplaceAll(r.Domain(), "/", "-")
	}
	return "DockFlare-" + r.Hostname
}

// Names reports whether it has names of identity providers, and of service tokens, which
// Cloudflare knows by an ID. It may be called on none.
func (a *Access) Names() (providers, tokens bool) {
	if a == nil {
		return false, false
	}
	providers = len(a.Providers) > 0
	for _, p := range a.Policies {
		for _, m := range slices.Concat(p.Include, p.Require, p.Exclude) {
			providers, tokens = providers || m.Provider != "", tokens || m.Token != ""
		}
	}
	return providers, tokens
}
