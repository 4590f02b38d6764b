package route

import (
	"strings"
	"testing"
)

// TestIndexes: indexes inherit the base, replace it, clear it, and end at a gap.
func TestIndexes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"base and indexes, in order": {with("0.hostname", "a.example.com", "1.hostname", "b.example.com", "1.service", "http://b:1"), plain + "; a.example.com=http://app:80; b.example.com=http://b:1"},
		"without a base hostname":    {map[string]string{"enable": "1", "service": "http://app:80", "0.hostname": "a.example.com"}, "a.example.com=http://app:80"},
		"without a base at all":      {map[string]string{"enable": "1", "0.service": "http://app:80", "0.hostname": "a.example.com"}, "a.example.com=http://app:80"},
		"eleven of them": {map[string]string{"enable": "1", "service": "http://a:1", "0.hostname": "a0.b.c", "1.hostname": "a1.b.c", "2.hostname": "a2.b.c", "3.hostname": "a3.b.c", "4.hostname": "a4.b.c", "5.hostname": "a5.b.c",
			"6.hostname": "a6.b.c", "7.hostname": "a7.b.c", "8.hostname": "a8.b.c", "9.hostname": "a9.b.c", "10.hostname": "a10.b.c"},
			"a0.b.c=http://a:1; a1.b.c=http://a:1; a2.b.c=http://a:1; a3.b.c=http://a:1; a4.b.c=http://a:1; a5.b.c=http://a:1; a6.b.c=http://a:1; a7.b.c=http://a:1; a8.b.c=http://a:1; a9.b.c=http://a:1; a10.b.c=http://a:1"},
		"a gap":                       {with("0.hostname", "a.example.com", "2.hostname", "c.example.com"), plain + "; a.example.com=http://app:80; label-ignored"},
		"from one":                    {with("1.hostname", "b.example.com"), plain + "; label-ignored"},
		"an empty hostname is a gap":  {with("0.hostname", "", "1.hostname", "b.example.com"), plain + "; label-ignored; label-ignored"},
		"leading zeros":               {with("00.hostname", "a.example.com"), plain + "; label-ignored"},
		"enable has no index":         {with("0.enable", "true"), plain + "; label-ignored"},
		"one that is wrong":           {with("0.hostname", "not a name", "1.hostname", "b.example.com"), plain + "; b.example.com=http://app:80; route-closed"},
		"the base is wrong":           {with("hostname", "bad_name", "0.hostname", "b.example.com"), "b.example.com=http://app:80; route-closed"},
		"an empty value clears":       {with("originsrvname", "x", "path", "/p", "no_tls_verify", "1", "0.hostname", "b.example.com", "0.originsrvname", "", "0.path", "", "0.no_tls_verify", ""), "app.example.com/p=http://app:80 {\"noTLSVerify\":true,\"originServerName\":\"x\"}; b.example.com=http://app:80"},
		"the later of two counts":     {with("0.hostname", "APP.example.com", "0.service", "http://b:1"), "app.example.com=http://b:1; label-ignored"},
		"also where paths are alike":  {with("path", "api/", "0.hostname", "app.example.com", "0.path", "/api", "0.service", "http://b:1"), "app.example.com/api=http://b:1; label-ignored"},
		"the later one is closed":     {with("0.hostname", "app.example.com", "0.access.group", "nosuch"), "app.example.com closed; label-ignored; route-closed"},
		"the later one is only wrong": {with("0.hostname", "app.example.com", "0.service", "nothing"), plain + "; route-closed"},
	} {
		if got := says(read(t, prefix, settings(""), c.labels)); got != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, c.want)
		}
	}
}

// TestAccessOfIndexes: an index replaces an inherited group only with its own groups, or
// with bypass and authenticate.
func TestAccessOfIndexes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		base, index []string
		want        string
	}{
		"inherited":                     {[]string{"access.group", "family"}, nil, "family"},
		"inherited groups":              {[]string{"access.groups", "family,home"}, nil, "family+home"},
		"its own group":                 {[]string{"access.groups", "family,home"}, []string{"access.group", "home"}, "home"},
		"its own groups come first":     {nil, []string{"access.group", "family", "access.groups", "home"}, "home"},
		"bypass replaces":               {[]string{"access.group", "family"}, []string{"access.policy", "bypass"}, PublicGroup},
		"authenticate replaces":         {[]string{"access.group", "home"}, []string{"access.policy", "authenticate"}, LoginGroup},
		"another word does not":         {[]string{"access.group", "family"}, []string{"access.policy", "custom"}, "family"},
		"nor does default_tld":          {[]string{"access.group", "family"}, []string{"access.policy", "default_tld"}, "family"},
		"a group before an own policy":  {nil, []string{"access.group", "family", "access.policy", "bypass"}, "family"},
		"a base policy, inherited":      {[]string{"access.policy", "authenticate"}, nil, LoginGroup},
		"an own policy":                 {[]string{"access.policy", "authenticate"}, []string{"access.policy", "bypass"}, PublicGroup},
		"an own group, a base policy":   {[]string{"access.policy", "bypass"}, []string{"access.group", "family"}, "family"},
		"an empty own group":            {[]string{"access.group", "family"}, []string{"access.group", ""}, "closed"},
		"an unknown own group":          {[]string{"access.group", "family"}, []string{"access.group", "x"}, "closed"},
		"rules":                         {[]string{"access.policy", "x", "access.custom_rules", `[{"a":1}]`}, nil, `{"a":1}`},
		"rules alone":                   {nil, []string{"access.custom_rules", `[{"a":1}]`}, `{"a":1}`},
		"a group before rules":          {[]string{"access.custom_rules", `[{"a":1}]`}, []string{"access.group", "family"}, "family"},
		"a misspelt group":              {nil, []string{"access.grup", "family"}, "closed"},
		"a misspelt base group":         {[]string{"acess.group", "family"}, nil, "closed"},
		"an unknown access label":       {nil, []string{"access.countries", "CH"}, "closed"},
		"misspelt, and a group":         {nil, []string{"access.grup", "family", "access.group", "family"}, "family"},
		"misspelt, and everyone":        {nil, []string{"access.grup", "family", "access.policy", "bypass"}, "closed"},
		"base misspelt, own everyone":   {[]string{"access.grup", "family"}, []string{"access.group", "bypass"}, PublicGroup},
		"email alone":                   {[]string{"access.email", "ann@example.com"}, nil, "closed"},
		"a setting alone":               {[]string{"access.session_duration", "1h"}, nil, "closed"},
		"a duration that is not one":    {nil, []string{"access.custom_rules", `[{"a":1}]`, "access.session_duration", "soon"}, "closed"},
		"settings of a base, own group": {[]string{"access.name", "x"}, []string{"access.group", "home"}, "home"},
		"another prefix, misspelt":      {[]string{"!dockfare.access.group", "family"}, nil, "closed"},
	} {
		labels := map[string]string{"enable": "true", "service": "http://app:80", "0.hostname": "a.example.com"}
		for i := 0; i+1 < len(c.base); i += 2 {
			labels[c.base[i]] = c.base[i+1]
		}
		for i := 0; i+1 < len(c.index); i += 2 {
			labels["0."+c.index[i]] = c.index[i+1]
		}
		out := read(t, prefix, settings(""), labels)
		got, _, _ := strings.Cut(says(out), ";")
		want := "a.example.com=http://app:80 access:" + c.want
		if c.want == "closed" {
			want = "a.example.com closed"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestPrefixes: for each label the custom prefix comes before dockflare., and that before
// the older one. One that is empty is there.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prefix string
		labels map[string]string
		want   string
	}{
		"mixed":                  {"", map[string]string{"!cloudflare.tunnel.enable": "1", "!dockflare.hostname": "new.example.com", "!cloudflare.tunnel.hostname": "old.example.com", "!cloudflare.tunnel.service": "http://mix:80"}, "new.example.com=http://mix:80"},
		"custom first":           {"cf", map[string]string{"!cf.enable": "1", "!cf.hostname": "a.b.c", "!dockflare.hostname": "d.e.f", "!cloudflare.tunnel.service": "http://mix:80", "!dockflare.service": "http://d:80"}, "a.b.c=http://d:80"},
		"custom is off":          {"cf", map[string]string{"!cf.enable": "no", "!dockflare.enable": "1", "!dockflare.hostname": "d.e.f", "!dockflare.service": "http://d:80"}, ""},
		"empty is there":         {"", map[string]string{"!dockflare.enable": "1", "!dockflare.hostname": "a.b.c", "!dockflare.service": "http://a:1", "!dockflare.path": "", "!cloudflare.tunnel.path": "/p"}, "a.b.c=http://a:1"},
		"indexes mixed":          {"", map[string]string{"!dockflare.enable": "1", "!dockflare.service": "http://a:1", "!cloudflare.tunnel.0.hostname": "a.b.c", "!dockflare.1.hostname": "d.e.f"}, "a.b.c=http://a:1; d.e.f=http://a:1"},
		"dots behind the prefix": {"cf.ingress..", map[string]string{"!cf.ingress.enable": "1", "!cf.ingress.hostname": "a.b.c", "!cf.ingress.service": "http://a:1"}, "a.b.c=http://a:1"},
		"another's labels":       {"", map[string]string{"!traefik.enable": "true", "!com.example.hostname": "x"}, ""},
		"no custom prefix":       {"", map[string]string{"!cf.enable": "1", "!cf.hostname": "a.b.c", "!cf.service": "http://a:1"}, ""},
		"capitals":               {"", map[string]string{"!Dockflare.enable": "1", "!dockflare.Hostname": "a.b.c"}, "label-ignored; label-ignored"},
		"not switched on":        {"", map[string]string{"!dockflare.hostname": "a.b.c", "!dockflare.service": "http://a:1"}, "label-ignored"},
		"switched on misspelt":   {"", map[string]string{"!dockflare.enabled": "true", "!dockflare.hostname": "a.b.c"}, "label-ignored; label-ignored"},
		"nothing but on":         {"", map[string]string{"!dockflare.enable": "true"}, "label-ignored"},
	} {
		if got := says(read(t, "", settings(c.prefix), c.labels)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestNotes: each label without effect says why, and what was meant by a misspelt one is
// in the finding.
func TestNotes(t *testing.T) {
	t.Parallel()
	s := settings("")
	for name, c := range map[string]struct {
		labels map[string]string
		want   []string // LABEL: WHY
		fix    string
	}{
		"off":             {map[string]string{"enable": "false", "hostname": "a.b.c"}, []string{"dockflare.hostname: dockflare.enable is not true"}, ""},
		"a later prefix":  {with("!cloudflare.tunnel.hostname", "x.y.z"), []string{"cloudflare.tunnel.hostname: dockflare.hostname comes before it"}, ""},
		"a gap":           {with("1.hostname", "x.y.z", "1.service", "http://x:1"), []string{"dockflare.1.hostname: dockflare.0.hostname is missing, and indexes end there", "dockflare.1.service: dockflare.0.hostname is missing, and indexes end there"}, "number the indexes from 0 without a gap"},
		"not HTTP":        {with("service", "ssh://x:22", "no_tls_verify", "1"), []string{"dockflare.no_tls_verify: ssh://x:22 is not HTTP"}, ""},
		"a group":         {with("access.group", "family", "access.name", "x", "access.policy", "bypass"), []string{"dockflare.access.name: dockflare.access.group comes before it", "dockflare.access.policy: dockflare.access.group comes before it"}, ""},
		"groups":          {with("access.group", "home", "access.groups", "family"), []string{"dockflare.access.group: dockflare.access.groups comes before it"}, ""},
		"misspelt":        {with("hostnmae", "x"), []string{"dockflare.hostnmae: the label is not known"}, "write dockflare.hostname"},
		"misspelt access": {with("acess.group", "x"), []string{"dockflare.acess.group: the label is not known"}, "write dockflare.access.group"},
		"a wrong case":    {with("httphostheader", "x"), []string{"dockflare.httphostheader: the label is not known"}, "write dockflare.httpHostHeader"},
		"an index":        {with("0.hostname", "x.y.z", "0.servce", "http://x:1"), []string{"dockflare.0.servce: the label is not known"}, "write dockflare.0.service"},
		"a prefix":        {with("!docklfare.hostname", "x.y.z"), []string{"docklfare.hostname: the label is not known"}, "write dockflare.hostname"},
		"an older prefix": {with("!cloudflare.tunel.hostname", "x.y.z"), []string{"cloudflare.tunel.hostname: the label is not known"}, "write cloudflare.tunnel.hostname"},
		"nothing like it": {with("wholly.other", "x"), []string{"dockflare.wholly.other: the label is not known"}, "remove it; docs/routes.md lists the labels"},
		"never read":      {with("port", "1", "protocol", "x"), []string{"dockflare.port: " + unreadMigration, "dockflare.protocol: " + unreadMigration}, ""},
		"email, a group":  {with("access.group", "family", "access.email", "x"), []string{"dockflare.access.email: no version of DockFlare reads it: name an access group"}, ""},
		"Tailscale":       {with("tailscale.serve", "1"), []string{"dockflare.tailscale.serve: labels for Tailscale are in no release of DockFlare, and Salvor does not read them"}, ""},
		"all are used":    {with("0.hostname", "x.y.z", "access.group", "family", "0.access.group", "home"), nil, ""},
	} {
		out := read(t, prefix, s, c.labels)
		var got []string
		for _, n := range out.Notes {
			got = append(got, n.Label+": "+n.Why)
			if n.Place != "at "+n.Label {
				t.Errorf("%s: %s is at %s", name, n.Label, n.Place)
			}
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s, want\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		if c.fix != "" && (len(out.Findings) == 0 || out.Findings[0].Fix != c.fix) {
			t.Errorf("%s: %+v, want the fix %s", name, out.Findings, c.fix)
		}
	}
}

// TestProtectedPaths: Access knows plain paths, and cloudflared looks for them anywhere.
func TestProtectedPaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/admin":          "app.example.com/admin=http://app:80 access:family; route-path",
		"^/admin":         "app.example.com/admin=http://app:80 access:family; route-path",
		"^/admin(/|$)":    "app.example.com/admin=http://app:80 access:family",
		"/a.b-c_d~e":      "app.example.com/a.b-c_d~e=http://app:80 access:family; route-path",
		"/admin.*":        "app.example.com/admin.* closed; route-closed",
		"/(admin|secret)": "app.example.com/(admin|secret) closed; route-closed",
		"/admin$":         "app.example.com/admin$ closed; route-closed",
	} {
		if got := says(read(t, prefix, settings(""), with("path", path, "access.group", "family"))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	whole := with("access.group", "family", "0.hostname", "app.example.com", "0.path", "/admin")
	if got, want := says(read(t, prefix, settings(""), whole)), plain+" access:family; app.example.com/admin=http://app:80 access:family"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestProtectedWildcards: Access knows one level of names, cloudflared all.
func TestProtectedWildcards(t *testing.T) {
	t.Parallel()
	for want, labels := range map[string]map[string]string{
		"*.example.com=http://app:80 access:family; route-path": with("hostname", "*.example.com", "access.group", "family"),
		"*.example.com=http://app:80":                           with("hostname", "*.example.com"),
	} {
		if got := says(read(t, prefix, settings(""), labels)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestUnreadable: a label with a secret closes what it could be about.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	c := Container{Name: "app", Labels: map[string]string{"dockflare.enable": "1", "dockflare.hostname": "app.example.com", "dockflare.service": "http://${X}:80"}, Place: func(string) string { return "x" }, Unreadable: []string{"dockflare.service"}}
	out := settings("").Read(c)
	if len(out.Routes) > 0 || len(out.Findings) != 1 || !strings.Contains(out.Findings[0].Text, "dockflare.service has a secret") {
		t.Errorf("%+v", out)
	}
}
