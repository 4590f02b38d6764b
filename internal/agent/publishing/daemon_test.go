package publishing

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/record"
	"salvor/internal/route"
)

func TestHostnamesFollowContainers(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		s.place("wiki", true, plain("wiki"), plain("wiki2"))
		s.starts("notes-1", "notes/app")
		s.run()
		s.after(time.Second)
		// what was never seen to run may start at any moment: the host may just have booted
		s.live("at the start", "notes", "wiki", "wiki2")
		s.after(11 * time.Minute)
		s.live("after wiki's grace", "notes")
		s.starts("wiki-1", "wiki/app")
		s.after(time.Second)
		s.live("once wiki runs", "notes", "wiki", "wiki2")
		s.starts("wiki-2", "wiki/app")
		s.stops("wiki-1")
		s.after(11 * time.Minute)
		s.live("with one of two replicas", "notes", "wiki", "wiki2")
		s.stops("wiki-2")
		s.stops("notes-1")
		s.after(9 * time.Minute)
		s.live("within the grace", "notes", "wiki", "wiki2")
		s.starts("notes-2", "notes/app")
		s.after(2 * time.Minute)
		s.live("replaced within the grace", "notes")
	})
}

// TestARestartGivesNoNewGrace: what had no container for its grace stays off while salvord starts
// again, and what is within it goes at its time. After a boot each service may still start.
func TestARestartGivesNoNewGrace(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		s.place("wiki", true, plain("wiki"))
		s.starts("wiki-1", "wiki/app")
		s.run()
		s.after(11 * time.Minute)
		s.live("after the grace of notes", "wiki")
		s.stops("wiki-1")
		s.after(9 * time.Minute)
		s.run()
		s.after(30 * time.Second)
		s.live("after a restart", "wiki")
		s.after(time.Minute)
		s.live("after the grace of wiki")
		if err := os.RemoveAll(s.Paths.Run); err != nil {
			t.Fatal(err)
		}
		s.run()
		s.after(time.Second)
		s.live("after a boot", "notes", "wiki")
	})
}

// TestAnEngineThatRestartsChangesNothing: neither with containers that run on, nor with such
// that start again within their grace; and what was the same before is not asked about.
func TestAnEngineThatRestartsChangesNothing(t *testing.T) {
	for _, live := range []bool{true, false} {
		bubble(t, func(s *stand) {
			s.place("notes", true, plain("notes"))
			s.starts("notes-1", "notes/app")
			s.run()
			s.after(time.Second)
			calls := len(s.api.Calls())
			s.goes(live)
			s.after(20 * time.Second)
			s.comes()
			s.after(20 * time.Second)
			s.starts("notes-1", "notes/app")
			s.after(5 * time.Second)
			if n := len(s.api.Calls()) - calls; n > 0 || s.listing < 3 {
				t.Errorf("live restore %t: %d calls, %d listings", live, n, s.listing)
			}
			writes := s.writes()
			s.goes(true)
			s.after(time.Hour)
			s.live("with the engine away", "notes")
			if n := s.writes() - writes; n > 0 {
				t.Errorf("live restore %t: %d writing calls", live, n)
			}
		})
	}
}

func TestADeployAnnouncesItsRoutes(t *testing.T) {
	bubble(t, func(s *stand) {
		s.run()
		s.after(time.Second)
		s.place("notes", false, plain("notes"))
		s.after(5 * time.Minute)
		s.live("only placed here")
		end := s.d.Deploying([]string{"notes"})
		s.after(time.Second)
		s.live("deployed now", "notes")
		s.after(30 * time.Minute) // its data comes back
		s.live("as long as it takes", "notes")
		s.deployed("notes")
		s.starts("notes-1", "notes/app")
		end()
		s.after(5 * time.Minute)
		s.live("once it runs", "notes")
		row := Seen(s.Host).Routes[0]
		if !row.Live || !row.Rule || !strings.HasPrefix(row.Record, "CNAME ") || row.Why != "" {
			t.Errorf("%+v", row)
		}
	})
}

// note is what the host has noted of what it publishes.
func (s *stand) note() string {
	s.Helper()
	content, err := os.ReadFile(hostpath.PublishingOf(s.Paths).Note)
	if err != nil {
		s.Fatal(err)
	}
	return string(content)
}

// TestADaemonThatStartsAgainWritesNothing: what is at Cloudflare is read, not remembered.
func TestADaemonThatStartsAgainWritesNothing(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		s.starts("notes-1", "notes/app")
		s.run()
		s.after(time.Second)
		writes, noted := s.writes(), s.note()
		for range 3 {
			s.run()
			s.after(3 * time.Minute)
		}
		if s.note() != noted {
			t.Error("the note was written again, for which a full disk has no room")
		}
		if err := os.RemoveAll(s.Paths.State + "/routes"); err != nil {
			t.Fatal(err)
		}
		s.run()
		s.after(3 * time.Minute)
		if n := s.writes() - writes; n > 0 {
			t.Errorf("%d writing calls", n)
		}
		calls := len(s.api.Calls())
		s.after(20 * time.Minute)
		if n := len(s.api.Calls()) - calls; n > 10*3 {
			t.Errorf("%d calls in twenty minutes, want at most 3 every two", n)
		}
	})
}

// TestAHostWithoutTheRightWritesNothing: the stack is another host's, or no one can say.
func TestAHostWithoutTheRightWritesNothing(t *testing.T) {
	for name, v := range map[string]record.Verdict{"lost": lost, "unheard": unheard, "all lost": lost} {
		t.Run(name, func(t *testing.T) {
			own := mine
			if name == "all lost" {
				own = lost
			}
			bubble(t, func(s *stand) {
				s.place("notes", true, plain("notes"))
				s.starts("notes-1", "notes/app")
				s.spec.Ingress.Routes = []route.Route{plain("nas")}
				s.save()
				s.run()
				s.after(time.Second)
				writes := s.writes()
				s.set("notes", v)
				s.set(s.spec.Own.Name, own)
				s.spec.Ingress.Routes = []route.Route{plain("router")}
				s.stops("notes-1")
				s.spec.Stacks[0].Project.Routes[0].Service = "http://other:80"
				s.save()
				s.after(time.Hour)
				s.run() // as after a boot
				s.after(time.Hour)
				s.live("its own", map[bool][]string{true: {"nas", "notes"}, false: {"notes", "router"}}[!own.MayChange]...)
				if n := s.writes() - writes; n > 0 && !own.MayChange {
					t.Errorf("%d writing calls", n)
				}
				if row := Seen(s.Host).Routes[0]; row.Wanted || row.Why != v.Reason {
					t.Errorf("%+v", row)
				}
			})
		})
	}
}

// TestTheRightIsAskedForWhenItCounts: the stack is lost between the look and the first change,
// and between rules and record.
func TestTheRightIsAskedForWhenItCounts(t *testing.T) {
	for _, write := range []bool{false, true} {
		bubble(t, func(s *stand) {
			s.place("notes", true, plain("notes"))
			s.starts("notes-1", "notes/app")
			s.api.Seen = func(c cloudflaretest.Call) {
				if c.Writes() == write {
					s.next("notes", lost)
				}
			}
			s.run()
			s.after(time.Hour)
			if n := s.writes(); len(s.api.Records("example.com")) > 0 || !write && n > 0 || write && n == 0 {
				t.Errorf("%d writing calls, records: %+v", n, s.api.Records("example.com"))
			}
		})
	}
}

func TestWhileCloudflareIsAwayNothingChanges(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		s.starts("notes-1", "notes/app")
		s.run()
		s.after(time.Second)
		s.place("wiki", true, plain("wiki"))
		s.api.Weather = func(string, string) cloudflaretest.Fault { return cloudflaretest.Fault{Status: 503} }
		answer := s.d.Ask(true)
		s.after(15 * time.Second)
		if list := <-answer; list.Why == "" {
			t.Errorf("%+v", list)
		}
		calls := len(s.api.Calls())
		for range 60 { // containers come and go meanwhile
			s.starts("wiki-1", "wiki/app")
			s.after(30 * time.Second)
			s.stops("wiki-1")
			s.after(30 * time.Second)
		}
		if n := (len(s.api.Calls()) - calls) / 4; n > 20 {
			t.Errorf("%d tries in an hour", n)
		}
		found := Findings(s.Host, s.spec, time.Now())
		if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Code == finding.RoutesLate }) {
			t.Errorf("%+v", found)
		}
		s.live("with the API away", "notes")
		s.starts("wiki-1", "wiki/app")
		s.api.Weather = nil
		s.after(time.Second)
		s.d.Deploying([]string{"wiki"})()
		s.after(time.Second)
		s.live("at the next deploy", "notes", "wiki")
		if found := Findings(s.Host, s.spec, time.Now()); len(found) > 0 {
			t.Errorf("%+v", found)
		}
	})
}

func TestATokenThatIsReplaced(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		s.starts("notes-1", "notes/app")
		s.run()
		s.after(time.Second)
		s.api.EndToken(token)
		s.after(3 * time.Minute)
		if why := Seen(s.Host).Why; !strings.Contains(why, "token") {
			t.Errorf("%q", why)
		}
		if found := Findings(s.Host, s.spec, time.Now()); len(found) != 1 || found[0].Subject != "alpha/ingress.token" {
			t.Errorf("%+v", found)
		}
		s.api.AddToken("another", cloudflaretest.All)
		s.publishes("another")
		<-s.d.Ask(true)
		if list := Seen(s.Host); list.Why != "" || !list.Routes[0].Live {
			t.Errorf("%+v", list)
		}
		content, err := os.ReadFile(hostpath.PublishingOf(s.Paths).Note)
		if err != nil || strings.Contains(string(content), "another") || strings.Contains(string(content), token) {
			t.Errorf("%s, %v", content, err)
		}
	})
}

// TestAHostThatPublishesNoMore takes off what is its own by its marks, also where that goes
// over the brake and the daemon was started meanwhile, and forgets the rest.
func TestAHostThatPublishesNoMore(t *testing.T) {
	bubble(t, func(s *stand) {
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			s.place(name, true, plain(name))
			s.starts(name+"-1", name+"/app")
		}
		s.api.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
			return append(all, cloudflaretest.Record{Type: "CNAME", Name: "theirs.example.com", Content: "x.example", TTL: 1, Comment: "salvor:home/other/4"})
		})
		s.run()
		s.after(time.Second)
		s.end()
		s.set("g", lost)
		s.spec.Ingress, s.spec.Own = nil, nil
		s.save()
		s.run()
		s.after(time.Minute)
		var left []string
		for _, r := range s.api.Records("example.com") {
			left = append(left, r.Name)
		}
		if slices.Sort(left); !slices.Equal(left, []string{"g.example.com", "theirs.example.com"}) || !s.tunnel.stopped {
			t.Errorf("%v, stopped: %t", left, s.tunnel.stopped)
		}
		notes, err := os.ReadDir(s.Paths.State + "/routes")
		if err != nil || len(notes) > 0 {
			t.Errorf("%v, %v", notes, err)
		}
		calls := len(s.api.Calls())
		s.after(time.Hour)
		if n := len(s.api.Calls()) - calls; n > 0 {
			t.Errorf("%d calls afterwards", n)
		}
	})
}

// TestWhatIsPlacedNowhereIsTakenOff: a stack that leaves the fleet takes its hostnames with it;
// one that another host has keeps them.
func TestWhatIsPlacedNowhereIsTakenOff(t *testing.T) {
	bubble(t, func(s *stand) {
		for _, name := range []string{"notes", "wiki", "files"} {
			s.place(name, true, plain(name))
			s.starts(name+"-1", name+"/app")
		}
		s.run()
		s.after(time.Second)
		s.set("notes", record.Verdict{State: record.Lost, Ended: true, Epoch: 2, Reason: "its placement ended at epoch 2"})
		s.set("wiki", lost)
		s.after(time.Minute)
		s.live("before the apply", "files", "notes", "wiki")
		s.spec.Stacks = s.spec.Stacks[2:]
		s.save()
		<-s.d.Ask(true)
		s.live("after it", "files", "wiki")
		note := readPublished(s.Host)
		if note == nil || len(note.Owners) != 1 || note.Owners["files"] != 1 {
			t.Errorf("%+v", note)
		}
	})
}

func TestAStackThatIsStopped(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		s.starts("notes-1", "notes/app")
		s.spec.Ingress.Routes = append(s.own(), plain("nas"))
		s.save()
		s.run()
		s.after(time.Second)
		s.live("at the start", "nas", "notes")
		s.spec.Stacks[0].Stopped = true
		s.save()
		<-s.d.Ask(true)
		s.live("stopped", "nas")
	})
}

// TestTheBrake: what goes without an apply that showed it, and is much, stays.
func TestTheBrake(t *testing.T) {
	bubble(t, func(s *stand) {
		names := []string{"a", "b", "c", "d", "e", "f", "g"}
		for _, name := range names {
			s.place(name, true, plain(name))
			s.starts(name+"-1", name+"/app")
		}
		s.run()
		s.after(time.Second)
		for _, name := range names {
			s.stops(name + "-1")
		}
		s.after(20 * time.Minute)
		s.live("with the brake", names...)
		if !slices.ContainsFunc(Findings(s.Host, s.spec, time.Now()), func(f finding.Finding) bool { return f.Code == finding.RoutesKept }) {
			t.Error("the brake is not a finding")
		}
		<-s.d.Ask(true)
		s.live("after an apply that showed it")
	})
}

// TestABrokenSeal is a host that can't open its own: nothing is asked, and that is a finding.
func TestABrokenSeal(t *testing.T) {
	bubble(t, func(s *stand) {
		s.place("notes", true, plain("notes"))
		heretest.Seal(t, s.Host, s.spec.Own, "alpha", agentapi.SealedFile{})
		s.save()
		s.run()
		s.after(time.Hour)
		found := Findings(s.Host, s.spec, time.Now())
		if len(s.api.Calls()) > 0 || len(found) != 1 || !strings.Contains(found[0].Text, "has no token") {
			t.Errorf("%d calls, %+v", len(s.api.Calls()), found)
		}
	})
}
