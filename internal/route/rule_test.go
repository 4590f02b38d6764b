package route

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// of is a route, written HOSTNAME/PATH=SERVICE; a service "!" closes it.
func of(text string) Route {
	key, service, _ := strings.Cut(text, "=")
	hostname, path, has := strings.Cut(key, "/")
	r := Route{Hostname: hostname, Service: service}
	if has {
		r.Path = "/" + path
	}
	if service == "!" {
		r.Service, r.Closed = "", "closed"
	}
	return r
}

func routes(texts ...string) (all []Route) {
	for _, text := range texts {
		all = append(all, of(text))
	}
	return all
}

// foreignRules are rules as Cloudflare has them, written the same way.
func foreignRules(t *testing.T, texts ...string) (all []Rule) {
	t.Helper()
	for _, text := range texts {
		r := of(text)
		content, err := json.Marshal(map[string]any{"hostname": r.Hostname, "path": r.Path, "service": r.Service, "kept": true})
		if err != nil {
			t.Fatal(err)
		}
		var rule Rule
		if err := json.Unmarshal(content, &rule); err != nil {
			t.Fatal(err)
		}
		all = append(all, rule)
	}
	return all
}

func written1(r Rule) string { return r.Hostname + r.Path + "=" + r.Service }

// TestRules: the order, what is kept, what closed routes become.
func TestRules(t *testing.T) {
	t.Parallel()
	const a, b, last = "http://a:1", "http://b:1", "=http_status:404"
	for name, c := range map[string]struct {
		routes, foreign, want []string
		refused               int
	}{
		"none":                                  {nil, nil, []string{last}, 0},
		"as declared":                           {[]string{"z.x=" + a, "a.x=" + b}, nil, []string{"z.x=" + a, "a.x=" + b, last}, 0},
		"a longer path first":                   {[]string{"a.x=" + a, "a.x/p=" + b, "a.x/p/q=" + a}, nil, []string{"a.x/p/q=" + a, "a.x/p=" + b, "a.x=" + a, last}, 0},
		"paths as long, as declared":            {[]string{"a.x/foo=" + a, "a.x/bar=" + b}, nil, []string{"a.x/foo=" + a, "a.x/bar=" + b, last}, 0},
		"others stay in their places":           {[]string{"a.x=" + a, "b.x=" + b, "a.x/p=" + a}, nil, []string{"a.x/p=" + a, "b.x=" + b, "a.x=" + a, last}, 0},
		"exact before a wildcard":               {[]string{"*.x=" + a, "a.x=" + b}, nil, []string{"a.x=" + b, "*.x=" + a, last}, 0},
		"a longer wildcard first":               {[]string{"*.x=" + a, "*.a.x=" + b, "*.x/p=" + b}, nil, []string{"*.a.x=" + b, "*.x/p=" + b, "*.x=" + a, last}, 0},
		"foreign rules stay":                    {[]string{"a.x=" + a}, []string{"f.x=" + b, "g.x/p=" + b, last}, []string{"a.x=" + a, "f.x=" + b, "g.x/p=" + b, last}, 0},
		"another catch-all stays":               {[]string{"a.x=" + a}, []string{"=" + b}, []string{"a.x=" + a, "=" + b}, 0},
		"a foreign list without one":            {[]string{"a.x=" + a}, []string{"f.x=" + b}, []string{"a.x=" + a, "f.x=" + b, last}, 0},
		"a foreign wildcard is behind":          {[]string{"a.x=" + a}, []string{"*.x=" + b, last}, []string{"a.x=" + a, "*.x=" + b, last}, 0},
		"a wildcard before a wider foreign one": {[]string{"*.a.x=" + a}, []string{"f.a.x=" + b, "*.x=" + b, last}, []string{"f.a.x=" + b, "*.a.x=" + a, "*.x=" + b, last}, 0},
		"a wildcard behind narrower ones":       {[]string{"*.x=" + a}, []string{"f.x=" + b, "*.a.x=" + b, last}, []string{"f.x=" + b, "*.a.x=" + b, "*.x=" + a, last}, 0},
		"a foreign rule for one path":           {[]string{"*.x=" + a, "a.x=" + a}, []string{"/health=" + b, last}, []string{"a.x=" + a, "/health=" + b, "*.x=" + a, last}, 0},
		"a foreign * catches all":               {[]string{"a.x=" + a}, []string{"*=" + b}, []string{"a.x=" + a, "*=" + b}, 0},
		"closed alone":                          {[]string{"a.x=!"}, nil, []string{last}, 0},
		"closed below a wildcard":               {[]string{"*.x=" + a, "a.x=!"}, nil, []string{"a.x=http_status:503", "*.x=" + a, last}, 0},
		"closed next to a whole hostname":       {[]string{"a.x=" + a, "a.x/admin=!"}, nil, []string{"a.x/admin=http_status:503", "a.x=" + a, last}, 0},
		"closed below a foreign wildcard":       {[]string{"a.x=!"}, []string{"*.x=" + b, last}, []string{"a.x=http_status:503", "*.x=" + b, last}, 0},
		"closed before a foreign catch-all":     {[]string{"a.x=!"}, []string{"=" + b}, []string{"a.x=http_status:503", "=" + b}, 0},
		"closed elsewhere":                      {[]string{"b.x=" + a, "a.x=!"}, nil, []string{"b.x=" + a, last}, 0},
		"a bad path is left out":                {[]string{"a.x/(=" + a, "b.x=" + b}, nil, []string{"b.x=" + b, last}, 1},
		"a bad service is left out":             {[]string{"a.x=nothing", "b.x=" + b, "c.x=http://c/p"}, nil, []string{"b.x=" + b, last}, 2},
		"no hostname is left out":               {[]string{"=" + a, "*=" + a, "b.x:80=" + a, "a.*.x=" + a}, nil, []string{last}, 4},
	} {
		rules, refused := Rules(routes(c.routes...), foreignRules(t, c.foreign...))
		var got []string
		for _, r := range rules {
			got = append(got, written1(r))
		}
		if diff := cmp.Diff(c.want, got); diff != "" || len(refused) != c.refused {
			t.Errorf("%s: %d refused (-want +got)\n%s", name, len(refused), diff)
		}
		if err := Check(rules); err != nil {
			t.Errorf("%s: cloudflared refuses it: %v", name, err)
		}
		for _, r := range refused {
			if r.Why == "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

// TestForeignRulesKeepTheirBytes: also fields that Salvor does not know.
func TestForeignRulesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	const text = `[{"id":"7","hostname":"f.x","service":"http://f:1","originRequest":{"caPool":"/x","access":{"required":true}},"new":[1]},{"service":"http_status:404"}]`
	var foreign []Rule
	if err := json.Unmarshal([]byte(text), &foreign); err != nil {
		t.Fatal(err)
	}
	rules, _ := Rules(nil, foreign)
	content, err := json.Marshal(rules)
	if err != nil || string(content) != text {
		t.Errorf("%s, %v", content, err)
	}
	rules, _ = Rules([]Route{{Hostname: "a.x", Service: "https://a:1", Origin: Origin{MatchSNIToHost: true}}}, nil)
	if content, err = json.Marshal(rules); err != nil || string(content) != `[{"hostname":"a.x","service":"https://a:1","originRequest":{"matchSNItoHost":true}},{"service":"http_status:404"}]` {
		t.Errorf("%s, %v", content, err)
	}
}

// TestCheck: what cloudflared refuses.
func TestCheck(t *testing.T) {
	t.Parallel()
	for want, rules := range map[string][]Rule{
		"the list is empty":                     nil,
		"the last rule has to catch":            {{Hostname: "a.x", Service: "http://a"}},
		"rule 1: only the last rule":            {{Service: "http://a"}, {Service: "http_status:404"}},
		"rule 1: only the last rule can":        {{Hostname: "*", Service: "http://a"}, {Service: "http_status:404"}},
		"has a port":                            {{Hostname: "a.x:80", Service: "http://a"}, {Service: "http_status:404"}},
		"that is not its first":                 {{Hostname: "a.*.x", Service: "http://a"}, {Service: "http_status:404"}},
		"missing closing )":                     {{Hostname: "a.x", Path: "/(", Service: "http://a"}, {Service: "http_status:404"}},
		"rule 2: the service \"http://a/p\"":    {{Hostname: "b.x", Service: "bastion"}, {Hostname: "a.x", Service: "http://a/p"}, {Service: "http_status:404"}},
		"the service \"a:80\" has no protocol":  {{Hostname: "a.x", Service: "a:80"}, {Service: "http_status:404"}},
		"\"http_status:9\" is not a status":     {{Hostname: "a.x", Service: "http_status:9"}, {Service: "http_status:404"}},
		"the service \"\" has no protocol":      {{Hostname: "a.x"}, {Service: "http_status:404"}},
		"the service \"://\" is not an address": {{Hostname: "a.x", Service: "://"}, {Service: "http_status:404"}},
	} {
		if err := Check(rules); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestInZone: the longest zone, the one that is asked for, and none.
func TestInZone(t *testing.T) {
	t.Parallel()
	zones := []string{"example.com", "other.org", "lab.example.com"}
	for _, c := range []struct {
		hostname, asked, zone string
		other                 bool
	}{
		{"x.lab.example.com", "", "lab.example.com", false}, {"lab.example.com", "", "lab.example.com", false}, {"y.example.com", "", "example.com", false},
		{"example.com", "", "example.com", false}, {"z.other.org", "", "other.org", false}, {"*.lab.example.com", "", "lab.example.com", false}, {"*.example.com", "", "example.com", false},
		{"x.lab.example.com", "example.com", "example.com", false}, {"x.lab.example.com", "nosuch.net", "lab.example.com", true},
		{"notexample.com", "", "", false}, {"a.net", "", "", false}, {"a.net", "nosuch.net", "", false}, {"a.example.com", "other.org", "", false}, {"a.example.com", "lab.example.com", "", false},
	} {
		zone, other, err := Route{Hostname: c.hostname, Zone: c.asked}.InZone(zones)
		if zone != c.zone || (other != "") != c.other || (err != nil) != (c.zone == "") {
			t.Errorf("%s in %q: %q, %q, %v", c.hostname, c.asked, zone, other, err)
		}
	}
	if zone, _, err := (Route{Hostname: "x.xn--bcher-kva.example", Zone: "xn--bcher-kva.example"}).InZone([]string{"Bücher.example"}); zone != "Bücher.example" || err != nil {
		t.Errorf("%s, %v", zone, err)
	}
	if _, _, err := (Route{Hostname: "a.b"}).InZone(nil); !errors.Is(err, ErrNoZone) || !strings.Contains(err.Error(), "which has none") {
		t.Errorf("%v", err)
	}
}

// TestOutside: a hostname outside of the zone that it asks for is named, in each form of
// declaration.
func TestOutside(t *testing.T) {
	t.Parallel()
	labels := Container{Name: "app", Place: func(label string) string { return "f:" + label }, Labels: map[string]string{
		"dockflare.enable": "1", "dockflare.service": "http://a:1", "dockflare.zonename": "example.com",
		"dockflare.hostname": "a.example.com", "dockflare.0.hostname": "a.example.org",
	}}
	declared := Settings{}.Declare([]Declared{{Hostname: "b.example.com", Zone: "Lab.example.com", Service: "http://b:1", Position: "f:2"}, {Hostname: "c.example.com", Zone: "example.com", Service: "http://c:1"}})
	var got []string
	for _, f := range slices.Concat(settings("").Read(labels).Findings, declared.Findings) {
		got = append(got, f.Subject+": "+f.Text)
	}
	want := []string{
		"f:dockflare.0.hostname: a.example.org is outside of the zone example.com that it asks for: it is not published",
		"f:2: b.example.com is outside of the zone lab.example.com that it asks for: it is not published",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestWatch: within the grace period, behind it, replicas, a start again, and what is not a
// container.
func TestWatch(t *testing.T) {
	t.Parallel()
	one := func(of, hostname string) Owned {
		return Owned{"s", Route{Hostname: hostname, Of: of, Grace: time.Minute}}
	}
	all := []Owned{one("a", "a.x"), one("b", "b.x"), one("b2", "b.x"), one("", "nas.x")}
	start := time.Unix(1000, 0)
	var w Watch
	for i, step := range []struct {
		at      time.Duration
		running string
		want    string // OF@HOSTNAME, with ~ within its grace period
	}{
		{0, "", "a@a.x~ b@b.x~ @nas.x"}, // nothing was seen yet: announced
		{time.Second, "a b b2", "a@a.x b@b.x @nas.x"},
		{time.Hour, "a b2", "a@a.x b2@b.x @nas.x"},                   // the other replica at once
		{time.Hour + time.Second, "a b b2", "a@a.x b2@b.x @nas.x"},   // who serves goes on
		{2 * time.Hour, "b", "a@a.x~ b@b.x @nas.x"},                  // a stops
		{2*time.Hour + 59*time.Second, "b", "a@a.x~ b@b.x @nas.x"},   // within its minute
		{2*time.Hour + 59*time.Second, "a b", "a@a.x b@b.x @nas.x"},  // back
		{3 * time.Hour, "b", "a@a.x~ b@b.x @nas.x"},                  // gone again
		{3*time.Hour + time.Minute, "b", "b@b.x @nas.x"},             // for its minute
		{3*time.Hour + 2*time.Minute, "", "b@b.x~ @nas.x"},           // b, too
		{3*time.Hour + 150*time.Second, "", "b@b.x~ @nas.x"},         // of two that are gone, the one that served
		{3*time.Hour + 3*time.Minute, "", "@nas.x"},                  // both are
		{3*time.Hour + 3*time.Minute, "b2", "b2@b.x @nas.x"},         // a new start
		{3*time.Hour + 3*time.Minute, "a b2", "a@a.x b2@b.x @nas.x"}, // of all
	} {
		var again Watch // as in a program that starts again at each step
		content, err := json.Marshal(&w)
		if err == nil {
			err = json.Unmarshal(content, &again)
		}
		if err != nil {
			t.Fatal(err)
		}
		w = again
		var got []string
		for _, wanted := range w.Look(start.Add(step.at), all, func(o Owned) bool { return slices.Contains(strings.Fields(step.running), o.Route.Of) }) {
			text := wanted.Route.Of + "@" + wanted.Route.Hostname
			if !wanted.Until.IsZero() {
				text += "~"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("step %d: %s, want %s", i, strings.Join(got, " "), step.want)
		}
	}
}

// TestGroups: what groups of fleet.yaml become.
func TestGroups(t *testing.T) {
	t.Parallel()
	say := func(all []Match) string {
		var parts []string
		for _, m := range all {
			content, _ := json.Marshal(m)
			parts = append(parts, strings.NewReplacer(`{"`, "", `"}`, "", `":"`, "=", `":true}`, "").Replace(string(content)))
		}
		return strings.Join(parts, ",")
	}
	for want, g := range map[string]AccessGroup{
		"allow email=a@x.y,domain=x.y":                                                                     {Emails: []string{"a@x.y"}, Domains: []string{"x.y"}},
		"allow email=a@x.y if provider=google":                                                             {Emails: []string{"a@x.y"}, Providers: []string{"google"}},
		"allow domain=x.y if provider=google; allow domain=x.y if provider=github":                         {Domains: []string{"x.y"}, Providers: []string{"google", "github"}},
		"allow email=a@x.y if ip=192.0.2.0/24,country=CH; allow email=a@x.y if ip=192.0.2.0/24,country=DE": {Emails: []string{"a@x.y"}, IPs: []string{"192.0.2.0/24"}, Countries: []string{"CH", "DE"}},
		"non_identity token=ci":                                                                            {Tokens: []string{"ci"}},
		"allow email=a@x.y if provider=p; non_identity token=ci":                                           {Emails: []string{"a@x.y"}, Providers: []string{"p"}, Tokens: []string{"ci"}},
		"bypass everyone": {Bypass: true},
		"bypass ip=192.0.2.0/24; bypass ip=198.51.100.0/24": {Bypass: true, IPs: []string{"192.0.2.0/24", "198.51.100.0/24"}},
		"bypass ip=192.0.2.0/24 if country=CH":              {Bypass: true, IPs: []string{"192.0.2.0/24"}, Countries: []string{"CH"}},
		"bypass country=CH":                                 {Bypass: true, Countries: []string{"CH"}},
		"! bypass asks no one":                              {Bypass: true, Emails: []string{"a@x.y"}},
		"! ips has a range that is a great part":            {Bypass: true, IPs: []string{"192.0.2.0/24", "128.0.0.0/1"}},
		"! ips has a range that is a great part of":         {Bypass: true, IPs: []string{"2000::/3"}},
		"! providers alone":                                 {Providers: []string{"google"}},
		"! it lets no one in":                               {},
		"! it lets no one in:":                              {IPs: []string{"192.0.2.0/24"}},
		"! its providers, ips and countries make 52":        {Emails: []string{"a@x.y"}, Providers: make([]string, 4), IPs: make([]string, 13)},
	} {
		group, err := g.Group()
		if text, wrong := strings.CutPrefix(want, "! "); wrong || err != nil {
			if err == nil || !strings.HasPrefix(err.Error(), text) {
				t.Errorf("%s: %v", want, err)
			}
			continue
		}
		var got []string
		for _, p := range group.Policies {
			text := string(p.Decision) + " " + say(p.Include)
			if len(p.Require) > 0 {
				text += " if " + say(p.Require)
			}
			got = append(got, text)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s, want %s", strings.Join(got, "; "), want)
		}
		if protects := (&Access{Policies: group.Policies}).Protects(); protects != (want != "bypass everyone") {
			t.Errorf("%s: protects %v", want, protects)
		}
	}
	for d, want := range map[time.Duration]string{0: "24h", 24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", 7 * 24 * time.Hour: "168h"} {
		if got := session(d); got != want {
			t.Errorf("%v is written %s, want %s", d, got, want)
		}
	}
}
