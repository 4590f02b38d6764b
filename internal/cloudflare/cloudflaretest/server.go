// Package cloudflaretest is the part of Cloudflare's API v4 that package cloudflare uses: a
// server with state that checks requests as the real one does, limits their rate and can fail.
// Its edge answers what a visitor of a hostname would get.
package cloudflaretest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Account is the ID of a Server's account.
const Account = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"

// All is every permission that Salvor's tokens need.
const All = "Zone: Zone: Read, Zone: DNS: Edit, Account: Cloudflare Tunnel: Edit, Account: Access: Apps and Policies: Edit, " +
	"Account: Access: Organizations, Identity Providers, and Groups: Read, Account: Access: Service Tokens: Read"

const (
	requestLimit = 1200
	limitWindow  = 5 * time.Minute
)

// A Call is one request.
type Call struct {
	Method string
	Path   string // below /client/v4, without the query
	Token  string
	From   string // address of the client, "" in the process
	Status int    // of the answer, 0 where it was cut off
}

// Writes reports whether the call was to change something.
func (c Call) Writes() bool { return c.Method != http.MethodGet }

// A Fault is what a request meets in place of its answer, or before it.
type Fault struct {
	Method string // "" for any
	Path   string // a part of the path, "" for any
	Delay  time.Duration
	Status int           // of the answer; 0 for the real one
	Cut    bool          // the connection ends without an answer
	After  time.Duration // Retry-After, with 429
	Done   bool          // the request has its effect before it fails
	Code   int           // in the answer with Status
}

func (f Fault) fails() bool { return f.Status != 0 || f.Cut }

func (f Fault) meets(method, path string) bool {
	return (f.Method == "" || f.Method == method) && strings.Contains(path, f.Path)
}

// A Server is the API of one account. The zero value has no token and nothing in it.
type Server struct {
	// Weather, when set, may return a Fault for each request that none of Fail is for.
	Weather func(method, path string) Fault
	// Seen, when set, is called after each request, and may use the server.
	Seen    func(Call)
	mu      sync.Mutex // guards what follows
	tokens  map[string]*token
	zones   []*zone
	tunnels []*tunnel
	deleted []*tunnel
	apps    []*app
	tags    []string
	named   map[string][]object // "identity_providers", "service_tokens"
	faults  []Fault
	calls   []Call
	lastID  int

	connected func(tunnel string) []Connection // nil: each tunnel has a connector as AddTunnel makes it
}

type token struct {
	permissions string
	status      string
	owner       string // "account" or "user"
	asked       []time.Time
}

// object is a JSON object as an answer has it.
type object map[string]json.RawMessage

// AddToken makes a token of the account with a list of permissions, as All.
func (s *Server) AddToken(value, permissions string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = map[string]*token{}
	}
	s.tokens[value] = &token{permissions: permissions, status: "active", owner: "account"}
}

// EndToken makes a token expired.
func (s *Server) EndToken(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[value].status = "expired"
}

// Fail has the next requests that the faults are for fail, each once.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Calls returns the requests up to now.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// RoundTrip answers a request in the process, without a connection, so that time may be a
// fake one.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	if cut := s.serve(w, r); cut {
		return nil, fmt.Errorf("the connection was cut")
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// ServeHTTP answers a request below /client/v4.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if cut := s.serve(w, r); cut {
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (cut bool) {
	path := strings.TrimPrefix(r.URL.Path, "/client/v4")
	f := s.fault(r.Method, path)
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			f.Cut = true
		}
	}
	value := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	var a answer
	if f.fails() && !f.Done {
		a = refuse(f.Status, f.Code, "it was made to fail")
	} else {
		a = s.answer(value, r, path)
	}
	if f.fails() && f.Done && a.status/100 == 2 {
		a = refuse(f.Status, f.Code, "it was made to fail")
	}
	if f.After > 0 {
		a.retry = f.After
	}
	call := Call{Method: r.Method, Path: path, Token: value, Status: a.status}
	call.From, _, _ = net.SplitHostPort(r.RemoteAddr)
	if f.Cut {
		call.Status = 0
	}
	s.mu.Lock()
	s.calls = append(s.calls, call)
	seen := s.Seen
	s.mu.Unlock()
	if seen != nil {
		seen(call)
	}
	if !f.Cut {
		a.write(w)
	}
	return f.Cut
}

func (s *Server) fault(method, path string) Fault {
	s.mu.Lock()
	i := slices.IndexFunc(s.faults, func(f Fault) bool { return f.meets(method, path) })
	if i >= 0 {
		f := s.faults[i]
		s.faults = slices.Delete(s.faults, i, i+1)
		s.mu.Unlock()
		return f
	}
	weather := s.Weather
	s.mu.Unlock()
	if weather == nil {
		return Fault{}
	}
	return weather(method, path)
}

// An answer is one of the API.
type answer struct {
	status int
	result any
	info   any
	errors []problem
	retry  time.Duration
}

type problem struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func succeed(result any) answer { return answer{status: http.StatusOK, result: result} }

func refuse(status, code int, message string) answer {
	if code == 0 {
		code = 1000 + status
	}
	return answer{status: status, errors: []problem{{code, message}}}
}

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if a.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(a.retry/time.Second)))
	}
	w.WriteHeader(a.status)
	if a.errors == nil {
		a.errors = []problem{}
	}
	frame := struct {
		Success  bool      `json:"success"`
		Errors   []problem `json:"errors"`
		Messages []string  `json:"messages"`
		Info     any       `json:"result_info,omitempty"`
	}{len(a.errors) == 0, a.errors, []string{}, a.info}
	head, err := json.Marshal(frame)
	result, isRaw := a.result.(json.RawMessage) // that is sent as it is, not rewritten
	if err == nil && !isRaw {
		result, err = json.Marshal(a.result)
	}
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintf(w, `%s,"result":%s}`, bytes.TrimSuffix(head, []byte("}")), result) // a client that is gone gets no answer
}

// page returns the part of all that a request asks for.
func page[T any](r *http.Request, all []T, most int) answer {
	number, perPage := 1, 25
	for name, values := range r.URL.Query() {
		n, err := strconv.Atoi(values[0])
		switch name {
		case "page":
			number = n
		case "per_page":
			perPage = n
		case "account.id", "status", "is_deleted", "name":
			continue
		default:
			return refuse(http.StatusBadRequest, 7001, "unknown parameter "+name)
		}
		if err != nil || n < 1 {
			return refuse(http.StatusBadRequest, 7001, name+" must be a number from 1 on")
		}
	}
	perPage = min(perPage, most)
	from := min((number-1)*perPage, len(all))
	some := append([]T{}, all[from:min(from+perPage, len(all))]...)
	a := succeed(some)
	a.info = map[string]int{"page": number, "per_page": perPage, "count": len(some), "total_count": len(all), "total_pages": (len(all) + perPage - 1) / perPage}
	return a
}

func (s *Server) id() string {
	s.lastID++
	return fmt.Sprintf("%032x", s.lastID)
}
