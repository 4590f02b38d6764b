package drivetest

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A need is what a call needs of its token's scopes.
type need int

const (
	reads need = iota
	writes
)

const scopePrefix = "https://www.googleapis.com/auth/"

// The scopes of Drive that this package knows.
const (
	ScopeDrive    = scopePrefix + "drive"
	ScopeFile     = scopePrefix + "drive.file"
	ScopeReadonly = scopePrefix + "drive.readonly"
)

// allows reports whether a token is good for a call.
func (by *session) allows(what need) bool {
	return slices.Contains(by.scopes, ScopeDrive) || slices.Contains(by.scopes, ScopeFile) ||
		what == reads && slices.Contains(by.scopes, ScopeReadonly)
}

// onlyOwn reports whether a token is for nothing but what its app made.
func (by *session) onlyOwn() bool {
	return !slices.Contains(by.scopes, ScopeDrive) && !slices.Contains(by.scopes, ScopeReadonly)
}

// A call is one request to Drive's API by someone who is known.
type call struct {
	s  *Server
	w  http.ResponseWriter
	r  *http.Request
	q  url.Values
	by *session
}

// api adds a route of Drive's API.
func (s *Server) api(pattern string, kind func(*http.Request) string, what need, serve func(*call) error) {
	s.handle(pattern, kind, func(w http.ResponseWriter, r *http.Request) {
		c := &call{s: s, w: w, r: r, q: r.URL.Query()}
		err := c.identify(what)
		if err == nil {
			err = serve(c)
		}
		var refusal *Refusal
		switch {
		case err == nil:
		case errors.As(err, &refusal):
			refusal.write(w)
		default:
			panic(http.ErrAbortHandler) // the client broke off
		}
	})
}

func (c *call) identify(what need) error {
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return errNoLogin
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.by = c.s.access[token]
	switch {
	case c.by == nil, c.by.revoked, !c.s.now().Before(c.by.until):
		return errUnauthorized
	case !c.by.allows(what):
		return errScope
	}
	return nil
}

// alias returns the id that is meant by one.
func (c *call) alias(id string) string {
	if id == "root" {
		return c.by.account.root
	}
	return id
}

func (c *call) allDrives() bool {
	return c.is("supportsAllDrives") || c.is("supportsTeamDrives")
}

func (c *call) is(parameter string) bool { return c.q.Get(parameter) == "true" }

// node returns the file that is meant, if the caller may see it. The caller of the
// method holds the lock.
func (c *call) node(id string) (*node, error) {
	n := c.s.nodes[c.alias(id)]
	if n == nil || c.s.role(c.by, n) == noRole || n.drive != "" && !c.allDrives() && c.q.Get("alt") != "media" {
		return nil, notFound(id)
	}
	return n, nil
}

// number reads a parameter that counts something.
func (c *call) number(parameter string, otherwise, most int) (int, error) {
	text := c.q.Get(parameter)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, &Refusal{
			Code: 400, Reason: "invalidParameter", Message: "Invalid value '" + text + "'. Values must be within the range: [1, " + strconv.Itoa(most) + "]",
			locationType: "parameter", location: parameter,
		}
	}
	return n, nil
}

// fields reads the parameter fields for a resource.
func (c *call) fields(resource any, otherwise string) (selection, error) {
	text := c.q.Get("fields")
	if text == "" {
		text = otherwise
	}
	sel, err := parseFields(text)
	if err != nil {
		return nil, err
	}
	return sel, sel.check(reflect.TypeOf(resource))
}

// answer sends what is selected of a resource.
func (c *call) answer(resource any, sel selection) error {
	raw, err := json.Marshal(resource)
	if err != nil {
		return err
	}
	if raw, err = sel.of(raw); err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, json.RawMessage(raw))
	return nil
}
