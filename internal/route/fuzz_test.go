package route

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzLabels: whatever labels say, each route makes a rule that cloudflared takes, reading
// again says the same, and one that asks for protection is protected or closed.
func FuzzLabels(f *testing.F) {
	f.Add("dockflare.enable=true\ndockflare.hostname=a.b.c\ndockflare.service=http://a:1\ndockflare.path=/x\ndockflare.access.group=family", "")
	f.Add("cf.enable=1\ncf.0.hostname=*.b.c\ncf.0.service=unix:/x\ndockflare.1.hostname=b\ncf.acess.policy=authenticate", "cf.")
	f.Add("dockflare.enable=1\ndockflare.hostname=bücher.de\ndockflare.service=tcp://[::1]:5\ndockflare.access.custom_rules=[{}]", "x")
	f.Fuzz(func(t *testing.T, text, prefix string) {
		labels := map[string]string{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			labels[name] = value
		}
		s := settings(prefix)
		c := Container{Name: "app", Labels: labels, Place: func(label string) string { return label }}
		out := s.Read(c)
		content, err := json.Marshal(out.Routes)
		if err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(s.Read(c).Routes)
		if err != nil || string(again) != string(content) {
			t.Fatalf("%s, then %s, %v", content, again, err)
		}
		rules, refused := Rules(out.Routes, nil)
		if err := Check(rules); err != nil || len(refused) > 0 {
			t.Errorf("%s: %v, %+v", content, err, refused)
		}
		asks := false
		for name := range labels {
			asks = asks || strings.HasPrefix(name, "dockflare.access.")
		}
		for _, r := range out.Routes {
			if asks && r.Access == nil && r.Closed == "" && r.Entry == "" {
				t.Errorf("%s is public: %q", r.Key(), labels)
			}
		}
	})
}

// FuzzRules: whatever foreign rules there are, they stay and in their order, and what is
// sent is refused only where they alone would be.
func FuzzRules(f *testing.F) {
	f.Add("a.x", "/p", "*.x", "http://a:1", `[{"hostname":"*.x","service":"http://f"},{"path":"/h","service":"bastion"},{"service":"http_status:404"}]`)
	f.Add("*.a.x", "", "b.a.x", "tcp://a:1", `[{"hostname":"*","service":"hello_world"}]`)
	f.Fuzz(func(t *testing.T, a, path, b, service, list string) {
		var foreign []Rule
		if json.Unmarshal([]byte(list), &foreign) != nil {
			return
		}
		rules, _ := Rules([]Route{{Hostname: a, Path: path, Service: service}, {Hostname: b, Service: service}, {Hostname: b, Path: path, Closed: "x"}}, foreign)
		alone, _ := Rules(nil, foreign)
		if Check(alone) == nil {
			if err := Check(rules); err != nil {
				t.Errorf("%v", err)
			}
		}
		var kept []string
		for _, r := range rules {
			if r.Raw != nil {
				kept = append(kept, string(r.Raw))
			}
		}
		if len(kept) != len(foreign) {
			t.Fatalf("%d of %d foreign rules are left", len(kept), len(foreign))
		}
		for i, r := range foreign {
			if kept[i] != string(r.Raw) {
				t.Errorf("%s stands where %s was", kept[i], r.Raw)
			}
		}
	})
}
