package dockflare

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/publish"
	"salvor/internal/route"
	"salvor/internal/secret"
)

// A stand is a fleet beside what DockFlare has published.
type stand struct {
	*cloudflaretest.Server
	fleet   *Fleet
	tunnel  cloudflare.Tunnel
	file    []byte
	commits int
	failed  []string // requests of visitors that got another answer than before
	writes  int
}

const fleetYAML = "schema: 1\nfleet: home # ours\ningress:\n  provider: cloudflare\n"

var family = route.AccessGroup{Name: "family", Emails: []string{"ann@example.com"}}

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{Server: &cloudflaretest.Server{}, file: []byte(fleetYAML)}
	s.AddToken("cfat", cloudflaretest.All)
	s.AddZone("example.com")
	s.tunnel = cloudflare.Tunnel{ID: s.AddTunnel("home", 0), Name: "home"}
	var rules []string
	s.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
		for _, h := range []string{"app", "nas", "open"} {
			rules = append(rules, fmt.Sprintf(`{"hostname":"%s.example.com","service":"http://%[1]s:80"}`, h))
			all = append(all, cloudflaretest.Record{Type: "CNAME", Name: h + ".example.com", Content: s.tunnel.Target(), Proxied: true, TTL: 1})
		}
		return all
	})
	s.EditApps(func(all []json.RawMessage) []json.RawMessage {
		for _, h := range []string{"app", "nas"} {
			all = append(all, json.RawMessage(fmt.Sprintf(`{"name":"DockFlare-%s.example.com","type":"self_hosted","domain":"%[1]s.example.com","policies":[{"name":"x","decision":"allow","include":[{"email":{"email":"ann@example.com"}}]}]}`, h)))
		}
		return all
	})
	if err := s.EditConfiguration(s.tunnel.ID, json.RawMessage(`{"ingress":[`+strings.Join(rules, ",")+`,{"service":"http_status:404"}]}`)); err != nil {
		t.Fatal(err)
	}
	s.fleet = s.opened(t)
	s.Seen = func(c cloudflaretest.Call) {
		if c.Writes() {
			s.writes++
		}
		for _, h := range []string{"app", "nas", "open"} {
			if got := s.Visit(h+".example.com", "/"); got.Denied == (h == "open") || h == "open" && got.Service != "http://open:80" {
				s.failed = append(s.failed, fmt.Sprintf("%s after %s %s: %+v", h, c.Method, c.Path, got))
			}
		}
	}
	return s
}

func (s *stand) opened(t *testing.T) *Fleet {
	group, err := family.Group()
	if err != nil {
		t.Fatal(err)
	}
	declared := fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}},
		Ingress: fleet.Ingress{Provider: fleet.IngressCloudflare, Access: []route.AccessGroup{family}}}
	return &Fleet{
		Declared: &declared, Lock: fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 4}}},
		Stacks: map[string]project.Rendered{"notes": {Project: project.Project{Routes: []route.Route{
			{Hostname: "app.example.com", Service: "http://app:80", Access: &route.Access{Groups: []string{"family"}, Session: group.Session, Policies: group.Policies}},
			{Hostname: "open.example.com", Service: "http://open:80"},
		}}}},
		File: func(string) ([]byte, error) { return s.file, nil },
		Commit: func(_ context.Context, files map[string][]byte, _ string) error {
			if len(files) > 0 {
				s.file, s.commits = files[fleet.File], s.commits+1
				declared.Ingress.Tunnels = map[string]string{"alpha": s.tunnel.ID}
				declared.Ingress.Routes = []fleet.HostRoute{{Host: "alpha", Declared: route.Declared{Hostname: "nas.example.com", Service: "http://nas:80", Access: []string{"family"}}}}
			}
			return nil
		},
	}
}

// adopt is one run of the command, as far as Cloudflare and the repository are concerned.
func (s *stand) adopt(t *testing.T) error {
	t.Helper()
	api, err := cloudflare.New(cloudflare.Options{Account: cloudflaretest.Account, Token: secret.NewString("cfat"), Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	w := &work{Fleet: s.fleet, api: api, out: Adoption{Host: "alpha", Tunnel: s.tunnel}}
	if err := w.plan(t.Context(), State{Rules: []StateRule{{Hostname: "nas.example.com", Manual: true, Groups: []string{"family"}}}}); err != nil {
		return err
	}
	if !w.out.Left() {
		return nil
	}
	done, err := w.run(t.Context(), nil)
	if err == nil && done.Taken() != 3 {
		t.Errorf("%+v", done.Hostnames)
	}
	return err
}

// marks are what is marked at Cloudflare.
func (s *stand) marks() (all []string) {
	for _, r := range s.Records("example.com") {
		all = append(all, r.Name+" "+r.Comment)
	}
	for _, app := range s.Apps() {
		var is struct {
			Domain   string
			Tags     []string
			Policies []struct{ Name string }
		}
		_ = json.Unmarshal(app, &is) // it comes from the emulator
		all = append(all, fmt.Sprint(is.Domain, is.Tags, is.Policies))
	}
	slices.Sort(all)
	return all
}

// TestInterruptedAnywhere: whichever call to Cloudflare fails, before or after it had its
// effect, no visitor notices, and another run ends as one that was not interrupted.
func TestInterruptedAnywhere(t *testing.T) {
	want := []string{
		"app.example.com salvor:home/notes/4", "app.example.com[salvor] [{salvor:home/notes/4 family}]",
		"nas.example.com salvor:home/host.alpha/1", "nas.example.com[salvor] [{salvor:home/host.alpha/1 family}]",
		"open.example.com salvor:home/notes/4",
	}
	runs, visits := 0, 0
	for nth := range 100 {
		met := false
		for _, done := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newStand(t)
				call := 0
				s.Weather = func(string, string) cloudflaretest.Fault {
					if call++; call <= nth || call > nth+8 { // as often as the client tries
						return cloudflaretest.Fault{}
					}
					met = true
					return cloudflaretest.Fault{Cut: true, Done: done}
				}
				err := s.adopt(t)
				runs++
				for tries := 0; err != nil && tries < 10; tries++ {
					<-time.After(time.Minute)
					err = s.adopt(t)
				}
				visits += 3 * len(s.Calls())
				if diff := cmp.Diff(want, s.marks()); diff != "" || err != nil || s.commits != 1 {
					t.Errorf("call %d, done %v: %v, %d commits (-want +got)\n%s", nth, done, err, s.commits, diff)
				}
				if len(s.failed) > 0 {
					t.Errorf("call %d, done %v: %s", nth, done, s.failed[0])
				}
				before := s.writes
				s.Weather = nil
				if err := s.adopt(t); err != nil || s.writes != before {
					t.Errorf("call %d: one more run: %v, %d writes", nth, err, s.writes-before)
				}
			})
		}
		if !met {
			break
		}
	}
	t.Logf("%d runs were interrupted, %d visits, none failed", runs, visits)
	if runs < 20 {
		t.Errorf("%d runs", runs)
	}
}

// TestARefusedApplicationStaysTheirs, with its record; the others are taken over.
func TestARefusedApplicationStaysTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.Fail(cloudflaretest.Fault{Method: "PUT", Path: "/apps/", Status: 400})
		api, err := cloudflare.New(cloudflare.Options{Account: cloudflaretest.Account, Token: secret.NewString("cfat"), Transport: s})
		if err != nil {
			t.Fatal(err)
		}
		w := &work{Fleet: s.fleet, api: api, out: Adoption{Host: "alpha", Tunnel: s.tunnel}}
		if err := w.plan(t.Context(), State{}); err != nil {
			t.Fatal(err)
		}
		done, err := w.run(t.Context(), nil)
		if err != nil || done.Taken() != 1 {
			t.Errorf("%+v, %v", done.Hostnames, err)
		}
		i := slices.IndexFunc(done.Hostnames, func(h publish.Adoption) bool { return h.Hostname == "app.example.com" })
		if why := done.Hostnames[i].Why; !strings.HasPrefix(why, "its application is not as it is wanted: PUT ") || len(s.failed) > 0 {
			t.Errorf("%s, %q", why, s.failed)
		}
		if marks := s.marks(); marks[0] != "app.example.com " {
			t.Errorf("%q", marks)
		}
	})
}
