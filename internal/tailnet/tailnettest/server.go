// Package tailnettest is Tailscale's API v2 as far as package tailnet uses it: a server
// with state that checks requests as the real one does, limits their rate and can fail.
// The real control server of a lab knows no tags and forgets no device, so what is about
// those is asserted here.
package tailnettest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Client is an OAuth client of the tailnet.
type Client struct {
	Secret string
	Scopes []string // "auth_keys", "devices:core"
	Tags   []string // that it may give
}

// A Key is one that was made.
type Key struct {
	ID, Value   string
	Tags        []string
	Description string
	Expires     time.Time
	Used        bool
}

// A Device is a machine that joined.
type Device struct {
	ID       string    `json:"nodeId"`
	Name     string    `json:"name"`
	Hostname string    `json:"hostname"`
	Tags     []string  `json:"tags"`
	Expires  time.Time `json:"expires"`
	NoExpiry bool      `json:"keyExpiryDisabled"`

	Addresses []string `json:"addresses"`
}

// A Fault is what one request ends with in place of its answer.
type Fault struct {
	Status int           // 0 hangs up
	After  time.Duration // Retry-After, with 429
	Done   bool          // the request has its effect before it fails
}

// A Server is the API of one tailnet. Its zero value knows no client.
type Server struct {
	Now func() time.Time // nil for the clock

	mu      sync.Mutex // guards what follows
	clients map[string]Client
	tokens  map[string]token
	keys    []*Key
	devices []Device
	faults  []Fault
	calls   []string
}

type token struct {
	client string
	until  time.Time
}

// AddClient makes an OAuth client.
func (s *Server) AddClient(id string, c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients == nil {
		s.clients, s.tokens = map[string]Client{}, map[string]token{}
	}
	s.clients[id] = c
}

// RevokeTokens ends all access tokens.
func (s *Server) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Fail has the next requests end so, one each; those for a token count.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Calls returns the requests so far, "METHOD PATH".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Keys returns the keys that were made.
func (s *Server) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Key
	for _, k := range s.keys {
		all = append(all, *k)
	}
	return all
}

// Devices returns those that are in the tailnet.
func (s *Server) Devices() []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.devices)
}

// AddDevice makes a device that joined in another way.
func (s *Server) AddDevice(d Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices = append(s.devices, d)
}

// Join has a machine join with a key, as the control server does: a key is for one, and
// ends. A name that is taken gets a number.
func (s *Server) Join(value, hostname string) (Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.keys, func(k *Key) bool { return k.Value == value })
	switch {
	case i < 0:
		return Device{}, errors.New("invalid key: API key does not exist")
	case s.keys[i].Used:
		return Device{}, errors.New("invalid key: API key already used")
	case !s.now().Before(s.keys[i].Expires):
		return Device{}, errors.New("invalid key: API key has expired")
	}
	s.keys[i].Used = true
	name := hostname
	for n := 1; slices.ContainsFunc(s.devices, func(d Device) bool { return d.Name == name+".tail1234.ts.net" }); n++ {
		name = fmt.Sprintf("%s-%d", hostname, n)
	}
	d := Device{ID: "n" + rand.Text()[:12], Name: name + ".tail1234.ts.net", Hostname: hostname, Tags: s.keys[i].Tags, NoExpiry: true}
	s.devices = append(s.devices, d)
	return d, nil
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	if len(s.faults) > 0 {
		f := s.faults[0]
		s.faults = s.faults[1:]
		s.fail(w, r, f)
		return
	}
	s.route(w, r)
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, f Fault) {
	if f.Done {
		s.route(discard{}, r)
	}
	if f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	if f.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.After/time.Second)))
	}
	refuse(w, f.Status, "")
}

// discard is a response that is lost.
type discard struct{}

// Header implements http.ResponseWriter.
func (discard) Header() http.Header { return http.Header{} }

// Write implements http.ResponseWriter.
func (discard) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (discard) WriteHeader(int) {}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the client hung up
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	id, isDevice := strings.CutPrefix(r.URL.Path, "/api/v2/device/")
	what := r.Method + " " + r.URL.Path
	if what == "POST /api/v2/oauth/token" {
		s.grant(w, r)
		return
	}
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t, known := s.tokens[bearer]
	if !known || !s.now().Before(t.until) {
		refuse(w, http.StatusUnauthorized, "API token invalid")
		return
	}
	c := s.clients[t.client]
	switch {
	case what == "POST /api/v2/tailnet/-/keys":
		s.mint(w, r, c)
	case what == "GET /api/v2/tailnet/-/devices" && allowed(w, c, "devices:core"):
		write(w, map[string][]Device{"devices": append([]Device{}, s.devices...)})
	case r.Method == http.MethodDelete && isDevice && allowed(w, c, "devices:core"):
		s.remove(w, id)
	case r.Method == http.MethodDelete && isDevice, what == "GET /api/v2/tailnet/-/devices": // refused above
	default:
		refuse(w, http.StatusNotFound, "404 page not found")
	}
}

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client hung up
}

func allowed(w http.ResponseWriter, c Client, scope string) bool {
	if slices.Contains(c.Scopes, scope) {
		return true
	}
	refuse(w, http.StatusForbidden, "calling actor does not have enough permissions to perform this function")
	return false
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("client_id")
	c, known := s.clients[id]
	switch {
	case r.PostFormValue("grant_type") != "client_credentials":
		refuse(w, http.StatusBadRequest, "unsupported grant type")
	case !known || r.PostFormValue("client_secret") != c.Secret:
		refuse(w, http.StatusUnauthorized, "API token invalid")
	default:
		value := "tskey-api-" + rand.Text()
		s.tokens[value] = token{client: id, until: s.now().Add(time.Hour)}
		write(w, map[string]any{"access_token": value, "token_type": "Bearer", "expires_in": 3600, "scope": strings.Join(c.Scopes, " ")})
	}
}

// request is the body that makes a key.
type request struct {
	Capabilities struct {
		Devices struct {
			Create struct {
				Reusable      bool     `json:"reusable"`
				Ephemeral     bool     `json:"ephemeral"`
				Preauthorized bool     `json:"preauthorized"`
				Tags          []string `json:"tags"`
			} `json:"create"`
		} `json:"devices"`
	} `json:"capabilities"`
	ExpirySeconds int64  `json:"expirySeconds"`
	Description   string `json:"description"`
}

// longest is 90 days.
const longest = 90 * 24 * 60 * 60

var (
	describes = regexp.MustCompile(`^[A-Za-z0-9 -]{0,50}$`)
	isTag     = regexp.MustCompile(`^tag:[a-zA-Z][a-zA-Z0-9-]*$`)
)

// wrong says what is wrong with a request, "" for nothing.
func (q *request) wrong(c Client) string {
	tags := q.Capabilities.Devices.Create.Tags
	switch {
	case q.ExpirySeconds < 1 || q.ExpirySeconds > longest:
		return "expirySeconds must be between 1 and 7776000"
	case !describes.MatchString(q.Description):
		return "description is invalid"
	case len(tags) == 0:
		return "tailnet-owned auth key must have tags set"
	}
	for _, tag := range tags {
		if !isTag.MatchString(tag) || !slices.Contains(c.Tags, tag) {
			return fmt.Sprintf("requested tags [%s] are invalid or not permitted", strings.Join(tags, " "))
		}
	}
	return ""
}

func (s *Server) mint(w http.ResponseWriter, r *http.Request, c Client) {
	if !allowed(w, c, "auth_keys") {
		return
	}
	var q request
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	if err := in.Decode(&q); err != nil || r.Header.Get("Content-Type") != "application/json" {
		refuse(w, http.StatusBadRequest, "invalid request body")
		return
	}
	if message := q.wrong(c); message != "" {
		refuse(w, http.StatusBadRequest, message)
		return
	}
	k := &Key{ID: "k" + rand.Text()[:12], Value: "tskey-auth-" + rand.Text(), Tags: q.Capabilities.Devices.Create.Tags, Description: q.Description,
		Expires: s.now().Add(time.Duration(q.ExpirySeconds) * time.Second).UTC()}
	s.keys = append(s.keys, k)
	write(w, map[string]any{"id": k.ID, "key": k.Value, "created": s.now().UTC(), "expires": k.Expires, "capabilities": q.Capabilities})
}

func (s *Server) remove(w http.ResponseWriter, id string) {
	i := slices.IndexFunc(s.devices, func(d Device) bool { return d.ID == id })
	if i < 0 {
		refuse(w, http.StatusNotFound, "no manageable device matching given id found")
		return
	}
	s.devices = slices.Delete(s.devices, i, i+1)
	w.WriteHeader(http.StatusOK)
}
