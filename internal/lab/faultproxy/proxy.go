// Package faultproxy is a proxy for a WebDAV remote that makes it fail as remotes do:
// an error, silence, a line that is cut, an upload that was acknowledged and never
// stored, a changed byte, a listing without its newest entry.
package faultproxy

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// A Rule says which requests a fault strikes.
type Rule struct {
	Method string // "" for each
	Path   string // a glob over the whole path: * within one name, ** over folders, too
	Skip   int    // so many requests that fit pass first
	Count  int    // how often it strikes, 0 for as long as the rule is there
	Fault  Fault
}

// Proxy passes requests on to one server. It is safe for concurrent use.
type Proxy struct {
	next http.Handler

	mu     sync.Mutex
	active []*Active
}

// New returns a proxy for the server at the URL. What the server does not
// answer is answered by cutting the connection.
func New(target *url.URL) *Proxy {
	return &Proxy{next: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // of which the Destination of a MOVE is, too
		},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
}

// Add puts a rule into force. Where several fit a request, the first that was
// added strikes.
func (p *Proxy) Add(r Rule) *Active {
	a := &Active{rule: r, path: glob(r.Path), proxy: p, gone: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active = append(p.active, a)
	return a
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a := p.fitting(r); a != nil {
		a.rule.Fault(p.next, a.gone).ServeHTTP(w, r)
		return
	}
	p.next.ServeHTTP(w, r)
}

// fitting returns the rule that strikes a request, and counts that.
func (p *Proxy) fitting(r *http.Request) *Active {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.active {
		if a.rule.Method != "" && a.rule.Method != r.Method || !a.path.MatchString(r.URL.Path) {
			continue
		}
		if a.seen++; a.seen <= a.rule.Skip || a.rule.Count > 0 && a.struck == a.rule.Count {
			continue
		}
		a.struck++
		return a
	}
	return nil
}

// Active is a rule in force.
type Active struct {
	rule  Rule
	path  *regexp.Regexp
	proxy *Proxy
	gone  chan struct{} // closed by Lift
	lift  sync.Once

	seen, struck int // under proxy.mu
}

// Struck is how often it has struck so far, requests under way included.
func (a *Active) Struck() int {
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	return a.struck
}

// Lift ends the rule; what hangs on it continues. It may be called twice.
func (a *Active) Lift() {
	a.lift.Do(func() { close(a.gone) })
	a.proxy.mu.Lock()
	defer a.proxy.mu.Unlock()
	for i, other := range a.proxy.active {
		if other == a {
			a.proxy.active = append(a.proxy.active[:i:i], a.proxy.active[i+1:]...)
			return
		}
	}
}

// glob compiles a pattern; any text is one.
func glob(pattern string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(pattern)
	quoted = strings.ReplaceAll(quoted, `\*\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\*`, `[^/]*`)
	return regexp.MustCompile(`^` + quoted + `$`)
}
