package route

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// settings are what the tests read labels with.
func settings(prefix string) Settings {
	family, err := AccessGroup{Name: "family", Emails: []string{"ann@example.com"}, Session: 12 * time.Hour, Launcher: true}.Group()
	if err != nil {
		panic(err)
	}
	home, err := AccessGroup{Name: "home", Bypass: true, IPs: []string{"203.0.113.55/32"}}.Group()
	if err != nil {
		panic(err)
	}
	return Settings{Prefix: prefix, Grace: 10 * time.Minute, Groups: Groups{"family": family, "home": home, LoginGroup: family}}
}

// read reads labels, written without their prefix.
func read(t *testing.T, prefix string, s Settings, labels map[string]string) Reading {
	t.Helper()
	all := map[string]string{}
	for name, value := range labels {
		if !strings.HasPrefix(name, "!") { // a label as it is
			name = prefix + name
		}
		all[strings.TrimPrefix(name, "!")] = value
	}
	return s.Read(Container{Name: "app", Labels: all, Place: func(label string) string { return "at " + label }})
}

// with is the labels of a plain route and others.
func with(others ...string) map[string]string {
	labels := map[string]string{"enable": "true", "hostname": "app.example.com", "service": "http://app:80"}
	for i := 0; i+1 < len(others); i += 2 {
		labels[others[i]] = others[i+1]
	}
	return labels
}

// says is a reading in few words: its routes, then the codes of its findings.
func says(r Reading) string {
	var parts []string
	for _, one := range r.Routes {
		text := one.Domain() + "=" + one.Service
		if one.Zone != "" {
			text += " zone:" + one.Zone
		}
		if one.Origin != (Origin{}) {
			content, _ := json.Marshal(one.Origin)
			text += " " + string(content)
		}
		if a := one.Access; a != nil {
			text += " access:" + strings.Join(a.Groups, "+")
			for _, p := range a.Policies {
				text += string(p.Inline)
			}
			if a.OfZone {
				text += "zone"
			}
		}
		if one.Closed != "" {
			text = one.Domain() + " closed"
		}
		parts = append(parts, text)
	}
	for _, f := range r.Findings {
		parts = append(parts, string(f.Code))
	}
	return strings.Join(parts, "; ")
}

// A row is one of the labels of DockFlare, and what it makes of the plain route.
type row struct {
	label string
	cases map[string]string // value to what is said
	extra []string          // further labels
	index bool              // an index inherits the base's value and replaces it
}

const plain = "app.example.com=http://app:80"

var rows = []row{
	{label: "enable", cases: map[string]string{
		"true": plain, "TRUE": plain, "True": plain, "1": plain, "t": plain, "T": plain, "yes": plain, "YES": plain, "yEs": plain,
		"false": "", "0": "", "f": "", "no": "", "off": "", "n": "", "": "",
		"on": "label-ignored", "y": "label-ignored", "2": "label-ignored", " true": "label-ignored", "true ": "label-ignored", "enabled": "label-ignored",
	}},
	{label: "hostname", index: true, cases: map[string]string{
		"App.EXAMPLE.com": plain, "*.apps.example.com": "*.apps.example.com=http://app:80", "bücher.example.com": "xn--bcher-kva.example.com=http://app:80",
		"BÜCHER.example.com": "xn--bcher-kva.example.com=http://app:80", "a-1.b.example.com": "a-1.b.example.com=http://app:80",
		strings.Repeat("a", 63) + ".example.com": strings.Repeat("a", 63) + ".example.com=http://app:80",
		"example.com":                            "example.com=http://app:80", "xn--bcher-kva.example.com": "xn--bcher-kva.example.com=http://app:80",
		strings.Repeat("a", 64) + ".example.com": "route-closed", strings.Repeat("a.", 130) + "com": "route-closed",
		"my_app.example.com": "route-closed", "-a.example.com": "route-closed", "a-.example.com": "route-closed", "a..example.com": "route-closed",
		" app.example.com": "route-closed", "app.example.com ": "route-closed", "app example.com": "route-closed", "app.example.com:443": "route-closed",
		"https://app.example.com": "route-closed", "app.example.com/x": "route-closed", "*": "route-closed", "*.": "route-closed", "a.*.example.com": "route-closed",
		"*app.example.com": "route-closed", "**.example.com": "route-closed", "*.*.example.com": "route-closed", "app": "route-closed", "localhost": "route-closed",
		"app.example.com.": "route-closed", ".example.com": "route-closed", "": "label-ignored",
	}},
	{label: "service", index: true, cases: map[string]string{
		"http://app": "app.example.com=http://app", "https://app:8443": "app.example.com=https://app:8443", "http://my_app:80": "app.example.com=http://my_app:80",
		"http://10.0.0.5:80": "app.example.com=http://10.0.0.5:80", "http://[2001:db8::1]:80": "app.example.com=http://[2001:db8::1]:80", "HTTP://app:80": plain,
		"tcp://db:5432": "app.example.com=tcp://db:5432", "ssh://box:22": "app.example.com=ssh://box:22", "rdp://win:3389": "app.example.com=rdp://win:3389",
		"http_status:404": "app.example.com=http_status:404", "http_status:100": "app.example.com=http_status:100", "http_status:599": "app.example.com=http_status:599", "bastion": "app.example.com=bastion",
		// cloudflared knows these, DockFlare refuses them
		"unix:/run/app.sock": "app.example.com=unix:/run/app.sock", "unix+tls:/run/app.sock": "app.example.com=unix+tls:/run/app.sock", "hello_world": "app.example.com=hello_world",
		"socks-proxy": "app.example.com=socks-proxy", "smb://nas:445": "app.example.com=smb://nas:445", "ws://app:80": "app.example.com=ws://app:80", "wss://app:443": "app.example.com=wss://app:443",
		"http://app:80/": "route-closed", "http://app/x": "route-closed", "http://app:80?x": "route-closed", "http://app:80#x": "route-closed", "http://u:p@app:80": "route-closed",
		"http://app:0": "route-closed", "http://app:65536": "route-closed", "http://app:99999": "route-closed", "http://app:-1": "route-closed", "http://app:": "route-closed", "http://app:eighty": "route-closed",
		"tcp://db": "route-closed", "ssh://box": "route-closed", "rdp://win": "route-closed", "smb://nas": "route-closed", "tcp://db:70000": "route-closed",
		"http_status:99": "route-closed", "http_status:600": "route-closed", "http_status:": "route-closed", "http_status:x": "route-closed", "http_status:0404": "route-closed",
		"app:80": "route-closed", "app": "route-closed", "ftp://app:21": "route-closed", "http://": "route-closed", "unix:": "route-closed", "unix:run": "route-closed",
		" http://app:80": "route-closed", "http://app:80 ": "route-closed", "http://app 1:80": "route-closed", "http://a..b:80": "route-closed", "http://[::1": "route-closed", "http://[1.2.3.4]:80": "route-closed", "": "route-closed",
	}},
	{label: "path", index: true, cases: map[string]string{
		"/api": "app.example.com/api=http://app:80", "api": "app.example.com/api=http://app:80", "/api/": "app.example.com/api=http://app:80", " api/v1/ ": "app.example.com/api/v1=http://app:80",
		"/": plain, "": plain, "  ": plain, "//": plain, `/a\.b$`: `app.example.com/a\.b$=http://app:80`, "/(a": "route-closed", "/a[": "route-closed", "/a\nb": "route-closed", "/*": "app.example.com/*=http://app:80", "/**": "route-closed",
	}},
	{label: "zonename", index: true, cases: map[string]string{
		"example.com": plain + " zone:example.com", "Example.COM": plain + " zone:example.com", "": plain, " example.com": "route-closed",
	}},
	{label: "no_tls_verify", index: true, cases: map[string]string{"true": plain + ` {"noTLSVerify":true}`, "YES": plain + ` {"noTLSVerify":true}`, "false": plain, "": plain, "on": plain + "; label-ignored"}},
	{label: "originsrvname", index: true, cases: map[string]string{" nas.lan ": plain + ` {"originServerName":"nas.lan"}`, "": plain}},
	{label: "httpHostHeader", index: true, cases: map[string]string{" nas.lan ": plain + ` {"httpHostHeader":"nas.lan"}`, "": plain}},
	{label: "http2_origin", index: true, cases: map[string]string{"yes": plain + ` {"http2Origin":true}`, "0": plain, "y": plain + "; label-ignored"}},
	{label: "disable_chunked_encoding", index: true, cases: map[string]string{"t": plain + ` {"disableChunkedEncoding":true}`, "f": plain}},
	{label: "match_sni_to_host", index: true, cases: map[string]string{"1": plain + ` {"matchSNItoHost":true}`, "no": plain}},
	{label: "access.group", index: true, cases: map[string]string{
		"family": plain + " access:family", " family ": plain + " access:family", "bypass": plain + " access:public-default-bypass", "public-default-bypass": plain + " access:public-default-bypass",
		"famly": "app.example.com closed; route-closed", "Family": "app.example.com closed; route-closed", "family,home": "app.example.com closed; route-closed", "": "app.example.com closed; route-closed",
	}},
	{label: "access.groups", index: true, cases: map[string]string{
		"family, home": plain + " access:family+home", "home,family,": plain + " access:home+family", "family": plain + " access:family", "bypass": plain + " access:public-default-bypass",
		"family, nosuch": "app.example.com closed; route-closed", "nosuch": "app.example.com closed; route-closed", " , ": "app.example.com closed; route-closed", "": "app.example.com closed; route-closed",
	}},
	{label: "access.policy", index: true, cases: map[string]string{
		"bypass": plain + " access:public-default-bypass", "authenticate": plain + " access:authenticated-default", "default_tld": plain + " access:zone",
		"public": "app.example.com closed; route-closed", "Bypass": "app.example.com closed; route-closed", "": "app.example.com closed; route-closed", "none": "app.example.com closed; route-closed",
	}},
	{label: "access.custom_rules", index: true, extra: []string{"access.policy", "custom"}, cases: map[string]string{
		`[{"decision":"allow"}]`: plain + ` access:{"decision":"allow"}`,
		`[`:                      "app.example.com closed; route-closed", `[]`: "app.example.com closed; route-closed", `{}`: "app.example.com closed; route-closed", `["x"]`: "app.example.com closed; route-closed", ``: "app.example.com closed; route-closed", `null`: "app.example.com closed; route-closed",
	}},
	{label: "access.name", cases: map[string]string{"x": "app.example.com closed; route-closed"}},
	{label: "access.session_duration", cases: map[string]string{"24h": "app.example.com closed; route-closed"}},
	{label: "access.app_launcher_visible", cases: map[string]string{"true": "app.example.com closed; route-closed"}},
	{label: "access.allowed_idps", cases: map[string]string{"a": "app.example.com closed; route-closed"}},
	{label: "access.auto_redirect_to_identity", cases: map[string]string{"true": "app.example.com closed; route-closed"}},
	{label: "access.email", cases: map[string]string{"ann@example.com": "app.example.com closed; route-closed"}},
	{label: "port", cases: map[string]string{"80": plain}},
	{label: "protocol", cases: map[string]string{"http": plain}},
}

// TestLabelRows reads each label of DockFlare under each prefix, on the base and, where it
// is inherited, at an index with and without the base's.
func TestLabelRows(t *testing.T) {
	t.Parallel()
	var labels []string
	count := 0
	for _, r := range rows {
		labels = append(labels, r.label)
		for value, want := range r.cases {
			for prefix, s := range map[string]Settings{"dockflare.": settings(""), "cloudflare.tunnel.": settings(""), "cf.ingress.": settings("cf.ingress"), "x.": settings("x..")} {
				base := with(append([]string{r.label, value}, r.extra...)...)
				if got := says(read(t, prefix, s, base)); got != want {
					t.Errorf("%s%s=%q: %q, want %q", prefix, r.label, value, got, want)
				}
				count++
				if !r.index || r.label == "hostname" {
					continue
				}
				at, plainAt := with(r.extra...), with(r.extra...)
				delete(at, "hostname")
				at["0.hostname"], at["0."+r.label] = "app.example.com", value
				if got := says(read(t, prefix, s, at)); got != want {
					t.Errorf("%s0.%s=%q: %q, want %q", prefix, r.label, value, got, want)
				}
				delete(plainAt, "hostname")
				plainAt["0.hostname"], plainAt[r.label] = "app.example.com", value
				if got := says(read(t, prefix, s, plainAt)); got != want {
					t.Errorf("%s%s=%q, inherited: %q, want %q", prefix, r.label, value, got, want)
				}
				count += 2
			}
		}
	}
	slices.Sort(labels)
	if diff := cmp.Diff(slices.Sorted(slices.Values(names())), labels); diff != "" {
		t.Errorf("labels without a row: %s", diff)
	}
	t.Logf("%d rows, %d readings", len(rows), count)
}
