package routecase

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// environment is that of the vectors.
const environment = `{"account_zones": ["example.com", "other.org", "lab.example.com"], "default_zone": "example.com", "grace_period_s": 600, "account_owner_email": "owner@example.com",
"access_groups": {"family": {"policy_name": "DockFlare-AccessGroup-family", "decision": "allow", "include": [{"email": {"email": "a@example.com"}}]},
"public-default-bypass": {"policy_name": "P", "decision": "bypass", "include": [{"everyone": {}}]}, "authenticated-default": {"policy_name": "A", "decision": "allow", "include": [{"login_method": {"id": "i"}}]}}}`

// labelled is a container as a case has it: NAME KEY=VALUE…, without the prefix.
func labelled(t *testing.T, text string) string {
	t.Helper()
	fields := strings.Fields(text)
	labels := map[string]string{"dockflare.enable": "true", "dockflare.service": "http://" + fields[0] + ":80"}
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		labels["dockflare."+key] = value
	}
	content, err := json.Marshal(map[string]any{"name": fields[0], "labels": labels, "network": "cloudflare-net"})
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// happening is an event, written TIME EVENT [of CONTAINER].
func happening(text string) string {
	at, rest, _ := strings.Cut(text, " ")
	event, container, of := strings.Cut(rest, " of ")
	if !of {
		return fmt.Sprintf(`{"at_s": %s, "event": %q, "container": null}`, at, event)
	}
	return fmt.Sprintf(`{"at_s": %s, "event": %q, "container": %q}`, at, event, container)
}

func parse(t *testing.T, setup string, containers, events []string) Case {
	t.Helper()
	var cs, es []string
	for _, c := range containers {
		cs = append(cs, labelled(t, c))
	}
	for _, e := range events {
		es = append(es, happening(e))
	}
	if setup == "" {
		setup = "{}"
	}
	content := fmt.Sprintf(`{"id": "X", "environment": %s, "setup": %s, "containers": [%s], "events": [%s]}`, environment, setup, strings.Join(cs, ","), strings.Join(es, ","))
	c, err := Read([]byte(content), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inWords is a state in few words: rules; records; applications; statuses.
func inWords(t *testing.T, s State) string {
	t.Helper()
	var rules, names, apps, statuses []string
	for _, r := range s.Ingress {
		rules = append(rules, strings.TrimPrefix(r.Hostname+r.Path+">"+r.Service, ">"))
	}
	for _, content := range s.DNS {
		var r record
		if err := json.Unmarshal(content, &r); err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimSuffix(r.Type+":"+r.Name+">"+r.Content, ">"+tunnel))
	}
	for _, content := range s.Apps {
		var a app
		if err := json.Unmarshal(content, &a); err != nil {
			t.Fatal(err)
		}
		apps = append(apps, a.Name+"@"+a.Domain)
	}
	for _, r := range s.Rules {
		text := r.Hostname + text(r.Path)
		if r.Status != active {
			text += "~"
		}
		statuses = append(statuses, text)
	}
	return strings.Join(rules, " ") + "; " + strings.Join(names, " ") + "; " + strings.Join(apps, " ") + "; " + strings.Join(statuses, " ")
}

const (
	nothing = "http_status:404; ; ; "
	onlyA   = "a.example.com>http://a:80 http_status:404; CNAME:a.example.com; ; a.example.com"
	foreign = `{"ingress": [{"hostname": "f.example.com", "service": "http://f:1", "originRequest": {"caPool": "/x"}}, {"hostname": "*.example.com", "service": "http://w:1"}, {"service": "http_status:404"}], "dns": [{"zone": "example.com", "name": "f.example.com", "type": "CNAME", "content": "elsewhere.example.net"}]}`
)

// A divergence is one of the things that DockFlare does wrong, and what Salvor does.
type divergence struct {
	id, what, setup    string
	containers, events []string
	want               string // after the last event
	found              string // part of a finding's text, "" for no finding
}

var divergences = []divergence{
	{"D1", "the API of Access fails", `{"access_api": "error"}`, []string{"a hostname=a.example.com access.group=family"}, []string{"0 start of a"}, nothing, "can't be confirmed"},
	{"D1", "it answers 403", `{"faults": [{"path": "/access/apps", "status": 403}]}`, []string{"a hostname=a.example.com access.group=family", "b hostname=b.example.com"}, []string{"0 start of a", "0 start of b"}, "b.example.com>http://b:80 http_status:404; CNAME:b.example.com; ; b.example.com", "can't be confirmed"},
	{"D2", "the owner's address can't be read", `{"members_permission": false}`, []string{"a hostname=a.example.com access.policy=authenticate"}, []string{"0 start of a"}, nothing, "the access group authenticated-default, which says who logs in, is not declared"},
	{"D2", "or is not set", `{"account_owner_email": null}`, []string{"a hostname=a.example.com access.group=authenticated-default"}, []string{"0 start of a"}, nothing, "the access group authenticated-default, which says who logs in, is not declared"},
	{"D3", "an unknown group", "", []string{"a hostname=a.example.com access.group=famly"}, []string{"0 start of a"}, nothing, `did you mean "family"?`},
	{"D3", "none of several is known", "", []string{"a hostname=a.example.com access.groups=x,y"}, []string{"0 start of a"}, nothing, `"x" is not an access group`},
	{"D3", "rules without a policy protect", "", []string{`a hostname=a.example.com access.custom_rules=[{"decision":"allow"}]`}, []string{"0 start of a"}, "a.example.com>http://a:80 http_status:404; CNAME:a.example.com; DockFlare-a.example.com@a.example.com; a.example.com", ""},
	{"D4", "a policy that is not known", "", []string{"a hostname=a.example.com access.policy=public"}, []string{"0 start of a"}, nothing, "public is not a policy"},
	{"D5", "foreign rules and records", foreign, []string{"a hostname=a.example.com"}, []string{"0 start of a"},
		"a.example.com>http://a:80 f.example.com>http://f:1 *.example.com>http://w:1 http_status:404; CNAME:a.example.com CNAME:f.example.com>elsewhere.example.net; ; a.example.com", ""},
	{"D6", "a foreign CNAME", `{"dns_records": [{"zone": "example.com", "name": "a.example.com", "type": "CNAME", "content": "x.example.net"}]}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"},
		"http_status:404; CNAME:a.example.com>x.example.net; ; ", "of type CNAME that is not Salvor's"},
	{"D6", "a foreign address", `{"dns": [{"zone": "example.com", "name": "a.example.com", "type": "A", "content": "192.0.2.1"}]}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"},
		"http_status:404; A:a.example.com>192.0.2.1; ; ", "a record of type A"},
	{"D6", "a foreign application", `{"access_apps": [{"name": "mine", "domain": "a.example.com"}]}`, []string{"a hostname=a.example.com access.group=family"}, []string{"0 start of a"},
		"http_status:404; ; mine@a.example.com; ", "is not Salvor's: mine"},
	{"D7", "a path behind its hostname", "", []string{"a hostname=a.example.com", "b hostname=a.example.com path=/api"}, []string{"0 start of a", "1 start of b"},
		"a.example.com/api>http://b:80 a.example.com>http://a:80 http_status:404; CNAME:a.example.com; ; a.example.com a.example.com/api", ""},
	{"D8", "a change within the grace period", "", []string{"a hostname=a.example.com", "b hostname=b.example.com"}, []string{"0 start of a", "60 stop of a", "61 start of b"},
		"a.example.com>http://a:80 b.example.com>http://b:80 http_status:404; CNAME:a.example.com CNAME:b.example.com; ; a.example.com~ b.example.com", ""},
	{"D9", "the newer of two replicas stops", "", []string{"a hostname=a.example.com", "b hostname=a.example.com"}, []string{"0 start of a", "1 start of b", "60 stop of b", "720 cleanup-tick"}, onlyA, ""},
	{"D9", "the older one stops", "", []string{"a hostname=a.example.com", "b hostname=a.example.com"}, []string{"0 start of a", "1 start of b", "60 stop of a"},
		"a.example.com>http://b:80 http_status:404; CNAME:a.example.com; ; a.example.com", ""},
	{"D10", "a signal", "", []string{"a hostname=a.example.com"}, []string{"0 start of a", "60 kill (SIGHUP) of a", "720 cleanup-tick"}, onlyA, ""},
	{"D11", "a wildcard that is not wanted any more", "", []string{"a hostname=a.example.com", "w hostname=*.example.com"}, []string{"0 start of a", "0 start of w", "1 stop of w", "720 cleanup-tick"}, onlyA, ""},
	{"D11", "a foreign wildcard", `{"existing_ingress": [{"hostname": "*.example.com", "service": "http://w:1"}, {"service": "http_status:404"}]}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"},
		"a.example.com>http://a:80 *.example.com>http://w:1 http_status:404; CNAME:a.example.com; ; a.example.com", ""},
	{"D12", "a reconcile puts a hostname into its own zone", "", []string{"p hostname=p.other.org"}, []string{"0 start of p", "15 full-reconcile"},
		"p.other.org>http://p:80 http_status:404; CNAME:p.other.org; ; p.other.org", ""},
	{"D12", "outside of its zone", "", []string{"a hostname=a.example.com zonename=other.org"}, []string{"0 start of a"}, nothing, "outside of its zone other.org"},
	{"D12", "in no zone", "", []string{"a hostname=a.example.net"}, []string{"0 start of a"}, nothing, "has no zone in the account"},
	{"D13", "a rule is removed by hand", "", []string{"a hostname=a.example.com"}, []string{"0 start of a", "60 ingress rule removed at Cloudflare", "120 full-reconcile"}, onlyA, ""},
	{"D14", "a listing that fails", "", []string{"a hostname=a.example.com"}, []string{"0 start of a", "15 full-reconcile (container listing fails)", "720 cleanup-tick"}, onlyA, ""},
	{"D14", "a listing that takes too long", "", []string{"a hostname=a.example.com"}, []string{"0 start of a", "15 full-reconcile (listing timeout)", "720 cleanup-tick"}, onlyA, ""},
	{"D15", "a hostname behind a wildcard", "", []string{"w hostname=*.apps.example.com", "a hostname=a.apps.example.com"}, []string{"0 start of w", "1 start of a"},
		"a.apps.example.com>http://a:80 *.apps.example.com>http://w:80 http_status:404; CNAME:*.apps.example.com CNAME:a.apps.example.com; ; *.apps.example.com a.apps.example.com", ""},
}

// TestDivergences has one test for each thing that DockFlare does wrong, D1 to D15.
func TestDivergences(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, d := range divergences {
		ids[d.id] = true
		t.Run(d.id+" "+d.what, func(t *testing.T) {
			t.Parallel()
			got := parse(t, d.setup, d.containers, d.events).Play()
			if words := inWords(t, got.State); words != d.want {
				t.Errorf("%s, want\n%s", words, d.want)
			}
			var texts []string
			for _, f := range got.Findings {
				texts = append(texts, f.Text)
			}
			if all := strings.Join(texts, "\n"); (d.found == "") != (all == "") || !strings.Contains(all, d.found) {
				t.Errorf("found %q, want %q", all, d.found)
			}
		})
	}
	if t.Logf("%d cases of %d kinds", len(divergences), len(ids)); len(ids) != 15 {
		t.Errorf("%d kinds, want 15", len(ids))
	}
}

// lifecycles are things that DockFlare does right, in the forms that a case may have.
var lifecycles = []divergence{
	{"L2", "the grace period ends", "", []string{"a hostname=a.example.com access.group=family"}, []string{"0 start of a", "60 stop of a", "720 cleanup-tick"}, nothing, ""},
	{"L2", "it has not ended", "", []string{"a hostname=a.example.com"}, []string{"0 start of a", "60 stop of a", "659 cleanup-tick"}, strings.TrimSuffix(onlyA, " a.example.com") + " a.example.com~", ""},
	{"L4", "another hostname after a new start", "", []string{"a hostname=a.example.com", "a hostname=b.example.com"}, []string{"0 start of a", "60 stop of a", "61 start of a"},
		"a.example.com>http://a:80 b.example.com>http://a:80 http_status:404; CNAME:a.example.com CNAME:b.example.com; ; a.example.com~ b.example.com", ""},
	{"L4", "and later", "", []string{"a hostname=a.example.com", "a hostname=b.example.com"}, []string{"0 start of a", "60 stop of a", "61 start of a", "720 cleanup-tick"},
		"b.example.com>http://a:80 http_status:404; CNAME:b.example.com; ; b.example.com", ""},
	{"L5", "a rule that was made by hand", `{"manual_rules": [{"hostname": "a.example.com", "path": null, "service": "http://m:1", "source": "manual"}]}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"},
		"a.example.com>http://m:1 http_status:404; ; ; a.example.com", "made by hand"},
	{"L5", "the same, as DockFlare's state", `{"state": {"managed_rules": {"a.example.com|": {"hostname": "a.example.com", "path": null, "service": "http://m:1", "source": "manual"}}}}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"},
		"a.example.com>http://m:1 http_status:404; ; ; a.example.com", "made by hand"},
	{"L6", "access is removed", "", []string{"a hostname=a.example.com access.group=family", "a hostname=a.example.com"}, []string{"0 start of a", "60 stop of a", "61 start of a"}, onlyA, ""},
	{"L6", "access is added", "", []string{"a hostname=a.example.com", "a hostname=a.example.com access.group=family"}, []string{"0 start of a", "60 stop of a", "61 start of a"},
		"a.example.com>http://a:80 http_status:404; CNAME:a.example.com; DockFlare-a.example.com@a.example.com; a.example.com", ""},
	{"11", "a custom prefix", `{"settings": {"LABEL_PREFIX": "dockflare"}}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"}, onlyA, ""},
	{"14", "no default zone", `{"default_zone": null}`, []string{"a hostname=a.example.net", "b hostname=a.example.com"}, []string{"0 start of a"}, nothing, "has no zone"},
	{"20", "one of several is wrong", "", []string{"a hostname=bad_host.example.com 0.hostname=a.example.com 1.hostname=b.example.com 1.service=ftp://x 2.hostname=c.example.com 2.access.policy=default_tld"}, []string{"0 start of a"},
		"a.example.com>http://a:80 c.example.com>http://a:80 http_status:404; CNAME:a.example.com CNAME:c.example.com; ; a.example.com c.example.com", "not published"},
	{"12", "a zone that the account lacks", "", []string{"a hostname=a.example.com zonename=nosuch.net"}, []string{"0 start of a"}, onlyA, "the account has no zone nosuch.net"},
	{"12", "another zone that contains it", "", []string{"a hostname=x.lab.example.com zonename=Example.com"}, []string{"0 start of a"}, "x.lab.example.com>http://a:80 http_status:404; CNAME:x.lab.example.com; ; x.lab.example.com", ""},
	{"13", "records by zone, and a configuration", `{"cloudflare": {"dns": {"example.com": [{"name": "f.example.com", "type": "TXT", "content": "x"}]}, "tunnel": {"originRequest": {"access": {"required": false}}, "warp-routing": {"enabled": false}, "ingress": [{"service": "http://d:1"}]}}}`,
		[]string{"a hostname=a.example.com access.group=family"}, []string{"0 start of a"}, "a.example.com>http://a:80 http://d:1; CNAME:a.example.com TXT:f.example.com>x; DockFlare-a.example.com@a.example.com; a.example.com", ""},
	{"13", "an event at Cloudflare about a container", "", []string{"a hostname=a.example.com"}, []string{"0 start of a", "60 remove ingress rule of a"}, onlyA, ""},
	{"20", "a key that is not known", `{"nonsense": {"x": 1}}`, []string{"a hostname=a.example.com"}, []string{"0 start of a"}, onlyA, "the key is not known"},
	{"20", "without events all run", "", []string{"a hostname=a.example.com"}, nil, onlyA, ""},
}

func TestLifecycles(t *testing.T) {
	t.Parallel()
	for _, d := range lifecycles {
		got := parse(t, d.setup, d.containers, d.events).Play()
		if words := inWords(t, got.State); words != d.want {
			t.Errorf("%s %s: %s, want\n%s", d.id, d.what, words, d.want)
		}
		if (d.found == "") != (len(got.Findings) == 0) || d.found != "" && !strings.Contains(fmt.Sprint(got.Findings), d.found) {
			t.Errorf("%s %s: %v, want %q", d.id, d.what, got.Findings, d.found)
		}
	}
}

// TestProtectedPathBelowAPublicHostname: it is refused, and not served by the public rule.
func TestProtectedPathBelowAPublicHostname(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"nosuch", "family"} {
		got := parse(t, `{"access_api": {"status": 500}}`, []string{"a hostname=a.example.com 0.hostname=a.example.com 0.path=/admin 0.access.group=" + group}, nil).Play()
		if words, want := inWords(t, got.State), "a.example.com/admin>http_status:503 a.example.com>http://a:80 http_status:404; CNAME:a.example.com; ; a.example.com"; words != want {
			t.Errorf("%s: %s, want\n%s", group, words, want)
		}
	}
}
