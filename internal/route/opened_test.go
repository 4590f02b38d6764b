package route

import (
	"encoding/json"
	"fmt"
	"testing"
)

// TestOpened: what asked for protection and is open to everyone in the next list.
func TestOpened(t *testing.T) {
	t.Parallel()
	family := &Access{Groups: []string{"family"}, Policies: []Policy{{Decision: Allow, Include: []Match{{Email: "ann@example.com"}}}}}
	everyone := &Access{Groups: []string{"bypass"}, Policies: []Policy{{Decision: Bypass, Include: []Match{{Everyone: true}}}}}
	of := func(hostname, path string, access *Access) Route {
		return Route{Hostname: hostname, Path: path, Service: "http://app:80", Access: access}
	}
	closed := of("app.example.com", "", nil)
	closed.Closed = "the access group friends is not declared"
	inline := func(policy string) *Access { return &Access{Policies: []Policy{{Inline: json.RawMessage(policy)}}} }
	guarded, open := of("app.example.com", "", family), of("app.example.com", "", nil)
	for name, c := range map[string]struct {
		was, now []Route
		want     string
	}{
		"access removed":                {[]Route{guarded}, []Route{open}, "[app.example.com]"},
		"widened to bypass":             {[]Route{guarded}, []Route{of("app.example.com", "", everyone)}, "[app.example.com]"},
		"the zone's application":        {[]Route{of("app.example.com", "", &Access{OfZone: true})}, []Route{open}, "[app.example.com]"},
		"closed, and open":              {[]Route{closed}, []Route{open}, "[app.example.com]"},
		"open, and closed":              {[]Route{open}, []Route{closed}, "[]"},
		"another group":                 {[]Route{guarded}, []Route{of("app.example.com", "", &Access{Policies: family.Policies, Session: "1h"})}, "[]"},
		"was open":                      {[]Route{open}, []Route{open}, "[]"},
		"gone":                          {[]Route{guarded}, nil, "[]"},
		"new":                           {nil, []Route{open}, "[]"},
		"a path falls to the hostname":  {[]Route{open, of("app.example.com", "/admin", family)}, []Route{open}, "[app.example.com/admin]"},
		"a path falls to what is asked": {[]Route{guarded, of("app.example.com", "/admin", family)}, []Route{guarded}, "[]"},
		"it falls to a wildcard":        {[]Route{guarded, of("*.example.com", "", nil)}, []Route{of("*.example.com", "", nil)}, "[app.example.com]"},
		"a path before what asks":       {[]Route{guarded}, []Route{guarded, of("app.example.com", "/hook", nil)}, "[app.example.com/hook]"},
		"a name before a wildcard":      {[]Route{of("*.example.com", "", family)}, []Route{of("*.example.com", "", family), open}, "[app.example.com]"},
		"an open path that was there":   {[]Route{guarded, of("app.example.com", "/hook", nil)}, []Route{guarded, of("app.example.com", "/hook", nil)}, "[]"},
		"an inline bypass":              {[]Route{guarded}, []Route{of("app.example.com", "", inline(`{"decision":"bypass","include":[{"ip":{"ip":"192.0.2.0/24"}},{"everyone":{}}]}`))}, "[app.example.com]"},
		"an inline bypass of some":      {[]Route{guarded}, []Route{of("app.example.com", "", inline(`{"decision":"bypass","include":[{"everyone":{}}],"require":[{"ip":{"ip":"192.0.2.0/24"}}]}`))}, "[]"},
		"an open part of a path":        {[]Route{open, of("app.example.com", "^/admin(/|$)", family)}, []Route{open, of("app.example.com", "^/admin(/|$)", family), of("app.example.com", "^/admin/hook(/|$)", everyone)}, "[app.example.com^/admin/hook(/|$)]"},
		"an open neighbour of a path":   {[]Route{open, of("app.example.com", "^/admin(/|$)", family)}, []Route{open, of("app.example.com", "^/admin(/|$)", family), of("app.example.com", "^/administrators(/|$)", everyone)}, "[]"},
		"another path":                  {[]Route{of("app.example.com", "/admin", family)}, []Route{of("app.example.com", "/hook", nil)}, "[]"},
		"the narrower wildcard asks":    {[]Route{of("app.x.example.com", "", family)}, []Route{of("*.example.com", "", nil), of("*.x.example.com", "", family)}, "[]"},
	} {
		if got := fmt.Sprint(Opened(c.was, c.now)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
