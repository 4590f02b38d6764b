// Package ec2test is the EC2 API as far as package ec2 uses it: a server with state that
// checks parameters as the real one does (Query API, version 2016-11-15), lists in pages,
// knows late what was just made, limits its rate and can fail at any call. Its instances are
// SSH servers in the test, which get their host key as cloud-init gives it.
package ec2test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"salvor/internal/cloud"
)

// Region is the only one.
const Region = "eu-central-1"

// A Fault is what a call ends with in place of its answer.
type Fault struct {
	Action string // such as RunInstances; "" for the next call, whatever it is
	Code   string // "" hangs up
	Text   string
	Done   bool // the call has its effect before it fails
	Kills  bool // the client: nothing that it sends is answered any more, until Mend
}

// A Server is one region of an account. Close ends it.
type Server struct {
	Port int // where all instances serve SSH, each at an address of its own

	http *httptest.Server
	boot func(ctx context.Context, b Boot) (address string, end func(), err error)
	ctx  context.Context

	mu        sync.Mutex // guards what follows
	noVPC     bool
	late      int // how many calls do not know yet what was made
	dead      bool
	images    []image
	groups    []*group
	pairs     []*pair
	instances []*instance
	made      int
	faults    []Fault
	limited   int
	cut       int // the call at which the client is killed, counted down; 0 for none
	cutDone   bool
	gone      bool // it was
	calls     []string
}

// New starts a region with a default VPC and Debian's images.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{Port: freePort(t), ctx: t.Context(), late: 1}
	s.Boots(s.bootFake(t))
	s.images = []image{
		{ID: "ami-old", Name: "debian-13-amd64-20250814-2204", Owner: "136693071363", Created: "2025-08-14T22:04:00.000Z", Arch: "x86_64", Root: "/dev/xvda"},
		{ID: "ami-new", Name: "debian-13-amd64-20261101-1948", Owner: "136693071363", Created: "2026-11-01T19:48:00.000Z", Arch: "x86_64", Root: "/dev/xvda"},
		{ID: "ami-arm", Name: "debian-13-arm64-20261101-1948", Owner: "136693071363", Created: "2026-11-01T19:48:00.000Z", Arch: "arm64", Root: "/dev/xvda"},
		{ID: "ami-fake", Name: "debian-13-amd64-20261201-0000", Owner: "999999999999", Created: "2026-12-01T00:00:00.000Z", Arch: "x86_64", Root: "/dev/xvda"},
		{ID: "ami-12", Name: "debian-12-amd64-20261102-1948", Owner: "136693071363", Created: "2026-11-02T19:48:00.000Z", Arch: "x86_64", Root: "/dev/xvda"},
	}
	s.http = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// Close ends the server and all instances.
func (s *Server) Close() {
	s.http.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.instances {
		i.shut()
	}
}

// URL is where the API is, for AWS_ENDPOINT_URL_EC2.
func (s *Server) URL() string { return s.http.URL }

// Site is how its instances are reached, and without waiting.
func (s *Server) Site() cloud.Site { return cloud.Site{Port: s.Port, Poll: time.Millisecond} }

// Config is a configuration that reaches it, with credentials that it takes.
func (s *Server) Config() aws.Config {
	return aws.Config{Region: Region, BaseEndpoint: aws.String(s.http.URL), Credentials: credentials.NewStaticCredentialsProvider("AKIATEST", "secret", ""), HTTPClient: s.http.Client()}
}

// NoVPC takes the default VPC away, or brings it back.
func (s *Server) NoVPC(away bool) { s.set(func() { s.noVPC = away }) }

// Dead has instances that are started from now on answer nothing, or boot again.
func (s *Server) Dead(dead bool) { s.set(func() { s.dead = dead }) }

// Fail has later calls end so, one each.
func (s *Server) Fail(faults ...Fault) { s.set(func() { s.faults = append(s.faults, faults...) }) }

// End terminates all instances, as someone does in the console.
func (s *Server) End() {
	s.set(func() {
		for _, i := range s.instances {
			i.ended = true
			i.shut()
		}
	})
}

// Limit has the next calls exceed the rate.
func (s *Server) Limit(calls int) { s.set(func() { s.limited = calls }) }

// CutAt kills the client at its n-th call from now on, counted from 1: nothing that it sends
// is answered any more. done lets that call have its effect.
func (s *Server) CutAt(n int, done bool) { s.set(func() { s.cut, s.cutDone = n, done }) }

// Mend lets the next client in, and reports whether the one before was killed.
func (s *Server) Mend() (killed bool) {
	s.set(func() { killed, s.gone, s.cut = s.gone, false, 0 })
	return killed
}

func (s *Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Calls returns the actions that were called.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// A Count is what there is, terminated instances apart.
type Count struct{ Instances, Groups, KeyPairs int }

// Count counts.
func (s *Server) Count() Count {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := Count{Groups: len(s.groups), KeyPairs: len(s.pairs)}
	for _, i := range s.instances {
		if i.state() != terminated {
			c.Instances++
		}
	}
	return c
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, failure{"MalformedQueryString", err.Error()})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	action := r.Form.Get("Action")
	s.calls = append(s.calls, action)
	if s.cut > 0 {
		s.cut--
		if s.cut == 0 {
			s.gone = true
			if s.cutDone {
				s.do(action, r.Form)
			}
		}
	}
	if s.gone {
		hangUp(w)
		return
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIATEST/") {
		fail(w, http.StatusUnauthorized, failure{"AuthFailure", "AWS was not able to validate the provided access credentials"})
		return
	}
	if s.limited > 0 {
		s.limited--
		fail(w, http.StatusServiceUnavailable, failure{"RequestLimitExceeded", "Request limit exceeded."})
		return
	}
	if i := slices.IndexFunc(s.faults, func(f Fault) bool { return f.Action == "" || f.Action == action }); i >= 0 {
		f := s.faults[i]
		s.faults = slices.Delete(s.faults, i, i+1)
		if f.Done {
			s.do(action, r.Form)
		}
		s.gone = f.Kills
		if f.Code == "" || f.Kills {
			hangUp(w)
			return
		}
		fail(w, http.StatusBadRequest, failure{f.Code, f.Text})
		return
	}
	answer, wrong := s.do(action, r.Form)
	if wrong != nil {
		fail(w, http.StatusBadRequest, *wrong)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	fmt.Fprintf(w, `<%sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId>%s</%[1]sResponse>`, action, answer)
}

// do carries an action out.
func (s *Server) do(action string, f url.Values) (string, *failure) {
	known := map[string]func(url.Values) (string, *failure){
		"DescribeInstanceTypes": s.describeTypes, "DescribeImages": s.describeImages, "DescribeVpcs": s.describeVpcs,
		"ImportKeyPair": s.importKeyPair, "DescribeKeyPairs": s.describeKeyPairs, "DeleteKeyPair": s.deleteKeyPair,
		"CreateSecurityGroup": s.createGroup, "AuthorizeSecurityGroupIngress": s.authorize, "DescribeSecurityGroups": s.describeGroups, "DeleteSecurityGroup": s.deleteGroup,
		"RunInstances": s.runInstances, "DescribeInstances": s.describeInstances, "TerminateInstances": s.terminate,
	}
	do := known[action]
	if do == nil || f.Get("Version") != "2016-11-15" {
		return "", &failure{"InvalidAction", "The action " + action + " is not valid for this web service."}
	}
	return do(f)
}
