package publish

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/route"
)

// policy is what is written of a policy, and what is compared.
type policy struct {
	Name     string            `json:"name"`
	Decision string            `json:"decision"`
	Include  []json.RawMessage `json:"include"`
	Require  []json.RawMessage `json:"require,omitempty"`
	Exclude  []json.RawMessage `json:"exclude,omitempty"`
}

// wantedApp returns the application that protects a route. An error says what can't be
// resolved.
func wantedApp(d Desired, a Actual, o route.Owned) (cloudflare.App, error) {
	access, domain := o.Route.Access, o.Route.Domain()
	app := cloudflare.App{
		Name: o.Route.App(), Type: "self_hosted", Domain: domain, Domains: []string{domain},
		Session: access.Session, Launcher: access.Launcher, Redirect: access.Redirect, Tags: []string{Tag},
	}
	for _, name := range access.Providers {
		id, err := resolve(a.Providers, "identity provider", name)
		if err != nil {
			return app, err
		}
		app.Providers = append(app.Providers, id)
	}
	if len(access.Policies) == 0 {
		return app, fmt.Errorf("its access has no policy")
	}
	for _, p := range access.Policies {
		content, err := wantedPolicy(a, p, d.mark(o.Owner))
		if err != nil {
			return app, err
		}
		app.Policies = append(app.Policies, content)
	}
	return app, nil
}

func wantedPolicy(a Actual, p route.Policy, mark string) (json.RawMessage, error) {
	if p.Inline != nil {
		var fields map[string]json.RawMessage
		var name string
		if err := json.Unmarshal(p.Inline, &fields); err != nil {
			return nil, fmt.Errorf("a policy is not JSON: %w", err)
		}
		_ = json.Unmarshal(fields["name"], &name) // without one the mark is its name
		fields["name"], _ = json.Marshal(strings.TrimSpace(mark + " " + name))
		return json.Marshal(fields)
	}
	out := policy{Name: strings.TrimSpace(mark + " " + p.Name), Decision: string(p.Decision)}
	var err error
	for _, part := range []struct {
		from []route.Match
		to   *[]json.RawMessage
	}{{p.Include, &out.Include}, {p.Require, &out.Require}, {p.Exclude, &out.Exclude}} {
		if *part.to, err = selectors(a, part.from); err != nil {
			return nil, err
		}
	}
	return json.Marshal(out)
}

func selectors(a Actual, matches []route.Match) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for _, m := range matches {
		kind, field, value := selector(m)
		var err error
		switch {
		case m.Provider != "":
			value, err = resolve(a.Providers, "identity provider", m.Provider)
		case m.Token != "":
			value, err = resolve(a.Tokens, "service token", m.Token)
		}
		if err != nil {
			return nil, err
		}
		fields := map[string]string{}
		if field != "" {
			fields[field] = value
		}
		content, err := json.Marshal(map[string]map[string]string{kind: fields})
		if err != nil {
			return nil, err
		}
		all = append(all, content)
	}
	return all, nil
}

// selector returns a match as Cloudflare names it. Source: the rules of Access policies,
// developers.cloudflare.com/api/resources/zero_trust/subresources/access.
func selector(m route.Match) (kind, field, value string) {
	switch {
	case m.Everyone:
		return "everyone", "", ""
	case m.Email != "":
		return "email", "email", m.Email
	case m.Domain != "":
		return "email_domain", "domain", m.Domain
	case m.Provider != "":
		return "login_method", "id", ""
	case m.IP != "":
		return "ip", "ip", m.IP
	case m.Country != "":
		return "geo", "country_code", m.Country
	}
	return "service_token", "token_id", ""
}

// resolve returns the ID of what has a name or ID.
func resolve(all []cloudflare.Named, what, name string) (string, error) {
	var found []string
	for _, n := range all {
		if n.ID == name {
			return n.ID, nil
		}
		if strings.EqualFold(n.Name, name) {
			found = append(found, n.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("the account does not have the %s %q", what, name)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("the account has %d of the %s %q", len(found), what, name)
}

// guards reports whether an application is what is wanted, as far as Salvor sets it: then
// what it is for is protected as declared.
func guards(is, want cloudflare.App) bool {
	if is.Name != want.Name || is.Type != want.Type || is.Session != want.Session || is.Launcher != want.Launcher || is.Redirect != want.Redirect {
		return false
	}
	if is.Preflight || is.Warp || !slices.Contains(is.Tags, Tag) || len(is.Domains) > 0 && !slices.Equal(is.Domains, want.Domains) {
		return false
	}
	if !sameSet(is.Providers, want.Providers) || len(is.Policies) != len(want.Policies) {
		return false
	}
	for i := range want.Policies {
		if !samePolicy(is.Policies[i], want.Policies[i]) {
			return false
		}
	}
	return true
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// samePolicy compares what is wanted of a policy, and that nothing else lets someone in.
func samePolicy(is, want json.RawMessage) bool {
	var has, wants map[string]json.RawMessage
	if json.Unmarshal(is, &has) != nil || json.Unmarshal(want, &wants) != nil {
		return false
	}
	for _, name := range []string{"include", "require", "exclude"} {
		if !sameSelectors(has[name], wants[name]) {
			return false
		}
		delete(wants, name)
	}
	delete(wants, "precedence") // the order in the list says it
	for name, value := range wants {
		if !bytes.Equal(has[name], value) && canonical(has[name]) != canonical(value) {
			return false
		}
	}
	return true
}

func sameSelectors(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var is, want []json.RawMessage
	if a != nil && json.Unmarshal(a, &is) != nil || b != nil && json.Unmarshal(b, &want) != nil {
		return false
	}
	return sameSet(canonicals(is), canonicals(want))
}

func canonicals(all []json.RawMessage) []string {
	var out []string
	for _, raw := range all {
		out = append(out, canonical(raw))
	}
	return out
}

// canonical returns JSON in the one form that compares; "" for nothing.
func canonical(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return string(raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(out)
}

// marksOf returns the marks of an application's policies.
func marksOf(app cloudflare.App) []mark {
	var all []mark
	for _, raw := range app.Policies {
		var p struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(raw, &p) != nil {
			continue
		}
		first, _, _ := strings.Cut(p.Name, " ")
		if m, ok := parseMark(first); ok {
			all = append(all, m)
		}
	}
	return all
}
