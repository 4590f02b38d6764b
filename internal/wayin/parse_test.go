package wayin

import (
	"encoding/json"
	"strings"
	"testing"
)

// listing is of nft 1.0.6, shortened.
const listing = `{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, {"table": {"family": "inet", "name": "salvor", "handle": 2}},
{"chain": {"family": "inet", "table": "salvor", "name": "outside", "handle": 1, "type": "filter", "hook": "prerouting", "prio": -110, "policy": "accept"}},
{"rule": {"family": "inet", "table": "salvor", "chain": "outside", "handle": 3, "expr": [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "salvor", "chain": "outside", "handle": 12, "comment": "SSH", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "salvor", "chain": "outside", "handle": 13, "expr": [{"drop": null}]}}]}`

func TestRulesetsAreComparedWithoutHandles(t *testing.T) {
	t.Parallel()
	want, err := ParseRuleset([]byte(listing))
	if err != nil || len(want.parts) != 4 {
		t.Fatalf("%v, %v", want, err)
	}
	ssh := `{"rule": {"family": "inet", "table": "salvor", "chain": "outside", "handle": 12, "comment": "SSH", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"accept": null}]}},`
	drop := `{"rule": {"family": "inet", "table": "salvor", "chain": "outside", "handle": 13, "expr": [{"drop": null}]}}`
	for name, test := range map[string]struct{ is, differs string }{
		"other handles":     {strings.NewReplacer(`"handle": 12`, `"handle": 40`, `"handle": 1,`, `"handle": 9,`).Replace(listing), ""},
		"a rule is gone":    {strings.Replace(listing, ssh, "", 1), "a rule of the chain outside (SSH) is missing"},
		"another port":      {strings.Replace(listing, `"right": 22`, `"right": 2222`, 1), "a rule of the chain outside (SSH) is missing, a rule of the chain outside (SSH) was added"},
		"another policy":    {strings.Replace(listing, `"policy": "accept"`, `"policy": "drop"`, 1), "the chain outside is missing, the chain outside was added"},
		"another order":     {strings.Replace(strings.Replace(listing, ssh, "", 1), drop, drop+","+strings.TrimSuffix(ssh, ","), 1), "its rules are in another order"},
		"a set":             {strings.Replace(listing, drop, drop+`,{"set": {"name": "bad", "elem": ["192.0.2.1"]}}`, 1), "the set bad was added"},
		"an unknown object": {strings.Replace(listing, drop, drop+`,{"flowtable": {"name": "f"}}`, 1), "something of another kind was added"},
	} {
		is, err := ParseRuleset([]byte(test.is))
		if err != nil || want.Differs(is) != test.differs {
			t.Errorf("%s: %q, %v, want %q", name, want.Differs(is), err, test.differs)
		}
	}
}

func TestReplacingATable(t *testing.T) {
	t.Parallel()
	const begins = `{"nftables":[{"add":{"table":{"family":"inet","name":"salvor"}}},{"delete":{"table":{"family":"inet","name":"salvor"}}}`
	if got, err := replacing(nil); err != nil || string(got) != begins+"]}" {
		t.Errorf("without one: %s, %v", got, err)
	}
	got, err := replacing([]byte(listing))
	if err != nil || !strings.HasPrefix(string(got), begins+`,{"table":`) || strings.Contains(string(got), "metainfo") {
		t.Errorf("with one: %s, %v", got, err)
	}
}

func FuzzParseRuleset(f *testing.F) {
	f.Add([]byte(listing))
	f.Add([]byte(`{"nftables":[{"rule":null},{"chain":{"prio":"x"}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRuleset(text)
		if err != nil {
			return
		}
		if r.Differs(r) != "" {
			t.Errorf("%v differs from itself", r)
		}
		if again, err := replacing(text); err == nil && !json.Valid(again) {
			t.Errorf("%s", again)
		}
	})
}

func FuzzParseOptions(f *testing.F) {
	f.Add([]byte("port 22\nport 2222\npermitrootlogin without-password\nbanner\nkexalgorithms curve25519-sha256,diffie-hellman-group14-sha256\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		o := ParseOptions(out)
		for name, values := range o {
			if name == "" || len(values) == 0 {
				t.Errorf("%q: %q", name, values)
			}
		}
		if names, texts := broken("root", o); len(names) != len(texts) {
			t.Errorf("%q, %q", names, texts)
		}
	})
}

func FuzzParseLines(f *testing.F) {
	f.Add([]byte("/etc/ssh/sshd_config.d/70-b.conf:1:Match User bob\n/etc/ssh/sshd_config.d/70-b.conf:2:  PasswordAuthentication=yes\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		lines := ParseLines(out)
		for _, l := range lines {
			if l.Name == "" || l.Value == "" {
				t.Errorf("%+v", l)
			}
		}
		matched(lines, "root")
		why(lines, "passwordauthentication")
	})
}

func TestSSHPorts(t *testing.T) {
	t.Parallel()
	o := ParseOptions([]byte("Port 22\nport 2222\nbanner none\n\n"))
	if strings.Join(o["port"], " ") != "22 2222" || o.First("banner") != "none" || o.First("nothing") != "" {
		t.Errorf("%v", o)
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"port 22\n": "22",
		"port 22\nlistenaddress [fe80::1%eth0]:2222\nlistenaddress 0.0.0.0:2222\nlistenaddress 192.0.2.1:23 rdomain mgmt\n": "2222 23",
		"": "",
	} {
		if got := strings.Join(ParseOptions([]byte(said)).ports(), " "); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	for said, want := range map[string]string{
		"ActiveState=active\nListen=[::]:22 (Stream)\nListen=0.0.0.0:22 (Stream)\nListen=0.0.0.0:2200 (Stream)\nListen=/run/x.sock (Stream)\nListen=0.0.0.0:53 (Datagram)\n": "22 2200",
		"ActiveState=inactive\nListen=[::]:22 (Stream)\n": "",
		"ActiveState=active\n":                            "",
	} {
		if got := strings.Join(ParseSocket([]byte(said)), " "); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add([]byte("ActiveState=active\nListen=[::]:22 (Stream)\n"))
	f.Fuzz(func(_ *testing.T, out []byte) { _ = ParseSocket(out) }) // only panics matter
}

// TestRulesOfOlderVersions: nft 1.0.2 of Ubuntu 22.04 can't have a name with * in a set.
func TestRulesOfOlderVersions(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(string(rulesText)) {
		if strings.Contains(line, "*\"") && strings.Contains(line, "{ \"") {
			t.Errorf("a set with a pattern: %s", line)
		}
	}
}
