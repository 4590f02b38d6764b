package connector

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
)

// A table has the rules of a configuration, each with what serves its requests.
type table []entry

type entry struct {
	rule    cloudflaretest.Rule
	handler http.Handler
}

// An origin is the part of a rule's originRequest that the connector knows.
type origin struct {
	NoTLSVerify bool   `json:"noTLSVerify"`
	HostHeader  string `json:"httpHostHeader"`
	ServerName  string `json:"originServerName"`
	MatchSNI    bool   `json:"matchSNItoHost"`
	HTTP2       bool   `json:"http2Origin"`
}

func newTable(config json.RawMessage) (table, error) {
	rules, err := cloudflaretest.ParseRules(config)
	if err != nil {
		return nil, err
	}
	var defaults struct {
		Origin origin `json:"originRequest"`
	}
	if err := json.Unmarshal(config, &defaults); err != nil {
		return nil, err
	}
	var t table
	for _, r := range rules {
		o := defaults.Origin
		if err := json.Unmarshal(r.Origin, &o); err != nil {
			return nil, err
		}
		t = append(t, entry{r, service(r.Service, o)})
	}
	return t, nil
}

// ServeHTTP implements http.Handler: the first rule that matches has the request. Without
// rules the answer is cloudflared's, status 503.
func (t table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, e := range t {
		if host, _, _ := strings.Cut(r.Host, ":"); e.rule.Matches(host, r.URL.Path) {
			e.handler.ServeHTTP(w, r)
			return
		}
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

// service returns what serves requests for a rule's service. One that isn't HTTP answers 502.
func service(name string, o origin) http.Handler {
	if number, found := strings.CutPrefix(name, "http_status:"); found {
		status, _ := strconv.Atoi(number) // it was checked
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	target := &url.URL{Scheme: "http", Host: "localhost"}
	socket := ""
	switch u, err := url.Parse(name); {
	case strings.HasPrefix(name, "unix:"):
		socket = strings.TrimPrefix(name, "unix:")
	case strings.HasPrefix(name, "unix+tls:"):
		socket, target.Scheme = strings.TrimPrefix(name, "unix+tls:"), "https"
	case err == nil && (u.Scheme == "http" || u.Scheme == "ws"):
		target.Host = u.Host
	case err == nil && (u.Scheme == "https" || u.Scheme == "wss"):
		target.Scheme, target.Host = "https", u.Host
	default:
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the connector of the lab has HTTP services alone", http.StatusBadGateway)
		})
	}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { o.rewrite(r, target) },
		Transport:     o.transport(socket),
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "Unable to reach the origin service: "+err.Error()+"\n")
		},
	}
}

func (o origin) rewrite(r *httputil.ProxyRequest, target *url.URL) {
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto"} { // the edge's
		r.Out.Header[name] = r.In.Header[name]
	}
	if o.HostHeader != "" {
		r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
		r.Out.Host = o.HostHeader
	}
}

const connectTimeout = 30 * time.Second // cloudflared's

func (o origin) transport(socket string) http.RoundTripper {
	dialer := &net.Dialer{Timeout: connectTimeout}
	t := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: o.NoTLSVerify, ServerName: o.ServerName}, //nolint:forbidigo,gosec // as the rule says
		ForceAttemptHTTP2: o.HTTP2, MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if socket != "" {
				network, address = "unix", socket
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	if !o.MatchSNI {
		return t
	}
	return byHost{t}
}

// byHost asks an origin for a certificate of the hostname that the request is for.
type byHost struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	t := b.Clone()
	t.TLSClientConfig.ServerName, _, _ = strings.Cut(r.Host, ":")
	t.DisableKeepAlives = true
	return t.RoundTrip(r)
}
