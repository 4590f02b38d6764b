// Package edge is Cloudflare's edge for the lab: visitors ask it for hostnames, and what
// cloudflaretest's DNS and Access let pass travels to a connector, over a connection that the
// connector has made.
package edge

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strconv"
	"sync"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
)

// A Count is what became of a hostname's requests.
type Count struct {
	Requests int
	Refused  int // by Access
	Served   int // by a connector
	Failed   int // of those: with a status from 500 on; and where no connector could be asked
}

// An Edge is an http.Handler for visitors. It is safe for concurrent use.
type Edge struct {
	api cloudflaretest.Edge

	mu         sync.Mutex         // guards what follows
	links      map[string][]*link // of each tunnel
	counts     map[string]Count   // of each hostname
	by         map[string]int     // requests that each connector got, by its ID
	identities map[string]identity
	next       int // which link is asked first
}

// How long a silent connection to a connector is believed in.
const (
	silence    = 2 * time.Second
	pingAnswer = 3 * time.Second
)

// New makes the edge of an account. From now on the account's API lists the connectors that
// the edge has.
func New(api *cloudflaretest.Server) *Edge {
	e := &Edge{
		links: map[string][]*link{}, counts: map[string]Count{}, by: map[string]int{}, identities: map[string]identity{},
	}
	e.api = cloudflaretest.EdgeOf(api, e.Connections)
	return e
}

// Listen takes connectors at an address until ctx ends, and returns the address.
func (e *Edge) Listen(ctx context.Context, address string) (string, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go e.serve(ctx, conn)
		}
	}()
	return ln.Addr().String(), nil
}

// Counts returns what became of each hostname's requests up to now.
func (e *Edge) Counts() map[string]Count {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counts)
}

// ServedBy returns how many requests each connector got, by its ID.
func (e *Edge) ServedBy() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.by)
}

// Connections returns those of a tunnel, by their connectors.
func (e *Edge) Connections(tunnel string) []cloudflaretest.Connection {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []cloudflaretest.Connection
	for _, l := range e.links[tunnel] {
		all = append(all, cloudflaretest.Connection{Connector: l.is.Connector, Version: l.is.Version, Since: l.since, Config: int(l.config.Load())})
	}
	slices.SortStableFunc(all, func(a, b cloudflaretest.Connection) int { return cmp.Compare(a.Connector, b.Connector) })
	return all
}

func (e *Edge) count(hostname string, add Count) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.counts[hostname]
	e.counts[hostname] = Count{c.Requests + add.Requests, c.Refused + add.Refused, c.Served + add.Served, c.Failed + add.Failed}
}

// statusNoOrigin is Cloudflare's status for what DNS leads nowhere, and for tunnels without a
// connector. Source: developers.cloudflare.com/support/troubleshooting, errors 1016 and 1033.
const statusNoOrigin = 530

// ServeHTTP implements http.Handler: DNS, Access, then a connector.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hostname := hostOf(r)
	e.count(hostname, Count{Requests: 1})
	visitor, session := e.visitor(r)
	entry := e.api.Enter(hostname, r.URL.Path, visitor)
	if entry.Tunnel == "" {
		e.fail(w, hostname, 1016)
		return
	}
	if !entry.Verdict.Passes() {
		e.count(hostname, Count{Refused: 1})
		refuse(w, r, entry)
		return
	}
	l := e.pick(entry.Tunnel)
	if l == nil {
		e.fail(w, hostname, 1033)
		return
	}
	defer l.pending.Done()
	e.proxy(hostname, l.out, func(p *httputil.ProxyRequest) { outward(p, visitor, session, entry) }).ServeHTTP(w, r)
}

// proxy leads a request to a connector, with the headers that outward sets.
func (e *Edge) proxy(hostname string, to http.RoundTripper, outward func(*httputil.ProxyRequest)) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", hostname, hostname
			outward(p)
		},
		Transport: to, FlushInterval: -1, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ModifyResponse: func(resp *http.Response) error {
			add := Count{Served: 1}
			if resp.StatusCode >= http.StatusInternalServerError {
				add.Failed = 1
			}
			e.count(hostname, add)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			e.count(hostname, Count{Failed: 1})
			http.Error(w, "the connector: "+err.Error(), http.StatusBadGateway)
		},
	}
}

func (e *Edge) fail(w http.ResponseWriter, hostname string, code int) {
	e.count(hostname, Count{Failed: 1})
	w.WriteHeader(statusNoOrigin)
	_, _ = io.WriteString(w, "error code: "+strconv.Itoa(code)+"\n") // a visitor who is gone gets no answer
}

// refuse answers a visitor whom Access does not let pass.
func refuse(w http.ResponseWriter, r *http.Request, e cloudflaretest.Entry) {
	if e.Verdict == cloudflaretest.Login {
		to := fmt.Sprintf("https://lab.cloudflareaccess.com/cdn-cgi/access/login/%s?kid=%s&redirect_url=%s", hostOf(r), e.Audience, r.URL.EscapedPath())
		http.Redirect(w, r, to, http.StatusFound)
		return
	}
	http.Error(w, "Forbidden. You don't have permission to view this.", http.StatusForbidden)
}
