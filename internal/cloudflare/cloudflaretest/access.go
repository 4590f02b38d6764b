package cloudflaretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const maxApps = 500

// An app is an Access application: its members as they were sent, and what the API adds.
type app struct {
	id     string
	fields object
	is     appFields // the same, decoded
}

// set sets the members; those that are not what the API has stay out of appFields.
func (a *app) set(fields object) {
	a.fields, a.is = fields, appFields{}
	content, _ := json.Marshal(fields) // raw members can be encoded
	_ = json.Unmarshal(content, &a.is)
}

// appFields is what the API checks of an application.
type appFields struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Domain    string   `json:"domain"`
	Domains   []string `json:"self_hosted_domains"`
	Session   string   `json:"session_duration"`
	Providers []string `json:"allowed_idps"`
	Tags      []string `json:"tags"`
	Policies  []policy `json:"policies"`
}

type policy struct {
	Name     string   `json:"name"`
	Decision string   `json:"decision"`
	Include  []object `json:"include"`
	Exclude  []object `json:"exclude"`
	Require  []object `json:"require"`
}

// AddNamed makes a tag, or an identity provider or service token with a new ID, which it
// returns; kind is "tags", "identity_providers" or "service_tokens".
func (s *Server) AddNamed(kind, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == "tags" {
		s.tags = append(s.tags, name)
		return name
	}
	id := s.id()
	if s.named == nil {
		s.named = map[string][]object{}
	}
	s.named[kind] = append(s.named[kind], object{"id": quoted(id), "name": quoted(name), "type": quoted("oidc")})
	return id
}

// EditApps lets edit replace the applications, each a JSON object with its "id", as a person
// does at the dashboard.
func (s *Server) EditApps(edit func([]json.RawMessage) []json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var now []*app
	for _, content := range edit(s.appContents()) {
		var fields object
		if err := json.Unmarshal(content, &fields); err != nil {
			panic(err)
		}
		if fields["id"] == nil {
			fields["id"] = quoted(s.id())
		}
		a := &app{}
		a.set(fields)
		_ = json.Unmarshal(fields["id"], &a.id) // it is a string
		now = append(now, a)
	}
	s.apps = now
}

// Apps returns the applications as JSON objects.
func (s *Server) Apps() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.appContents()
}

func (s *Server) appContents() []json.RawMessage {
	var all []json.RawMessage
	for _, a := range s.apps {
		content, _ := json.Marshal(a.fields) // raw members can be encoded
		all = append(all, content)
	}
	return all
}

func quoted(s string) json.RawMessage {
	content, _ := json.Marshal(s) // a string can be encoded
	return content
}

func (s *Server) accessCall(t *token, r *http.Request, body []byte, parts []string) answer {
	area := map[string]string{
		"apps": "Account: Access: Apps and Policies", "tags": "Account: Access: Apps and Policies",
		"identity_providers": "Account: Access: Organizations, Identity Providers, and Groups",
		"service_tokens":     "Account: Access: Service Tokens",
	}[parts[0]]
	if area == "" {
		return noRoute(strings.Join(parts, "/"))
	}
	if !t.may(r, area) {
		return denied()
	}
	switch {
	case parts[0] == "apps":
		return s.appCall(r, body, parts[1:])
	case r.Method == http.MethodGet && parts[0] == "tags":
		var all []map[string]string
		for _, tag := range s.tags {
			all = append(all, map[string]string{"name": tag})
		}
		return page(r, all, 1000)
	case r.Method == http.MethodGet:
		return page(r, s.named[parts[0]], 1000)
	case parts[0] == "tags" && r.Method == http.MethodPost:
		return s.createTag(body)
	}
	return notAllowed()
}

func (s *Server) createTag(body []byte) answer {
	var ask struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(body, &ask) != nil || ask.Name == "" {
		return invalidAccess("the tag has no name")
	}
	if slices.Contains(s.tags, ask.Name) {
		return refuse(http.StatusConflict, 12132, "access.api.error.tag_already_exists")
	}
	s.tags = append(s.tags, ask.Name)
	return succeed(ask)
}

func invalidAccess(why string) answer {
	return refuse(http.StatusBadRequest, 12130, "access.api.error.invalid_request: "+why)
}

func (s *Server) appCall(r *http.Request, body []byte, parts []string) answer {
	if len(parts) == 0 {
		if r.Method == http.MethodPost {
			return s.putApp(&app{}, body)
		}
		return page(r, s.appContents(), 1000)
	}
	i := slices.IndexFunc(s.apps, func(a *app) bool { return a.id == parts[0] })
	switch {
	case i < 0:
		return refuse(http.StatusNotFound, 11003, "access.api.error.unknown_application")
	case r.Method == http.MethodPut:
		return s.putApp(s.apps[i], body)
	case r.Method == http.MethodDelete:
		s.apps = slices.Delete(s.apps, i, i+1)
		return succeed(map[string]string{"id": parts[0]})
	}
	return notAllowed()
}

// putApp sets what an application is, and adds it to the others where it is new.
func (s *Server) putApp(a *app, body []byte) answer {
	var f appFields
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&f); err != nil {
		return invalidAccess(err.Error())
	}
	if why := s.checkApp(a, f); why != "" {
		if strings.HasPrefix(why, "access.api.error.") {
			return refuse(http.StatusConflict, 11010, why)
		}
		return invalidAccess(why)
	}
	fields := object{}
	_ = json.Unmarshal(body, &fields) // it was decoded above
	policies := []object{}
	_ = json.Unmarshal(fields["policies"], &policies) // they were decoded above
	for i, p := range policies {
		p["id"], p["precedence"], p["reusable"] = quoted(s.id()), json.RawMessage(strconv.Itoa(i+1)), json.RawMessage("false")
		for _, part := range []string{"exclude", "require"} {
			if p[part] == nil {
				p[part] = json.RawMessage("[]")
			}
		}
	}
	fields["policies"], _ = json.Marshal(policies) // raw members can be encoded
	if a.id == "" {
		a.id = s.id()
		s.apps = append(s.apps, a)
	}
	for name, value := range map[string]string{"id": a.id, "uid": a.id, "aud": "aud-" + a.id} {
		fields[name] = quoted(value)
	}
	a.set(fields)
	content, _ := json.Marshal(a.fields)
	return succeed(json.RawMessage(content))
}

func (s *Server) checkApp(a *app, f appFields) string {
	host, _, _ := strings.Cut(f.Domain, "/")
	inZone := func(z *zone) bool { return host == z.name || strings.HasSuffix(host, "."+z.name) }
	switch {
	case f.Name == "" || f.Type != "self_hosted":
		return "name and type are required"
	case !slices.ContainsFunc(s.zones, inZone):
		return "domain does not belong to zone"
	case len(f.Domains) > 5:
		return "an application has at most 5 domains"
	case len(f.Domains) > 0 && !slices.Contains(f.Domains, f.Domain):
		return "domain not included in self_hosted_domains"
	case a.id == "" && len(s.apps) >= maxApps:
		return "the account has its 500 applications"
	}
	if _, err := time.ParseDuration(f.Session); f.Session != "" && err != nil {
		return "session_duration is invalid"
	}
	for _, tag := range f.Tags {
		if !slices.Contains(s.tags, tag) {
			return fmt.Sprintf("tag %q does not exist", tag)
		}
	}
	for _, other := range s.apps {
		if other != a && other.is.Domain == f.Domain {
			return "access.api.error.application_already_exists"
		}
	}
	for _, id := range f.Providers {
		if !s.known("identity_providers", id) {
			return "unknown identity provider " + id
		}
	}
	for _, p := range f.Policies {
		if why := s.checkPolicy(p); why != "" {
			return why
		}
	}
	return ""
}

func (s *Server) checkPolicy(p policy) string {
	if p.Name == "" || len(p.Include) == 0 {
		return "a policy has a name and includes someone"
	}
	if !slices.Contains([]string{"allow", "deny", "bypass", "non_identity"}, p.Decision) {
		return "the policy's decision is unknown"
	}
	for _, selector := range slices.Concat(p.Include, p.Exclude, p.Require) {
		if len(selector) != 1 {
			return "a selector names one thing"
		}
		var by struct {
			ID    string `json:"id"`
			Token string `json:"token_id"`
		}
		if raw := selector["login_method"]; raw != nil && (json.Unmarshal(raw, &by) != nil || !s.known("identity_providers", by.ID)) {
			return "unknown identity provider " + by.ID
		}
		if raw := selector["service_token"]; raw != nil && (json.Unmarshal(raw, &by) != nil || !s.known("service_tokens", by.Token)) {
			return "unknown service token " + by.Token
		}
	}
	return ""
}

func (s *Server) known(kind, id string) bool {
	return slices.ContainsFunc(s.named[kind], func(o object) bool { return bytes.Equal(o["id"], quoted(id)) })
}
