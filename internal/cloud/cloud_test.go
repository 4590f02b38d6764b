package cloud

import (
	"encoding/json"
	"strings"
	"testing"

	"salvor/internal/fleet"
)

func TestParseFrom(t *testing.T) {
	t.Parallel()
	from, err := ParseFrom([]string{"203.0.113.7", "198.51.100.0/24", "2001:db8::/32", "0.0.0.0/0", "::ffff:203.0.113.7"})
	if err != nil || len(from) != 5 || from[4] != from[0] || from[0].String() != "203.0.113.7/32" || from[3].String() != "0.0.0.0/0" {
		t.Errorf("%v, %v", from, err)
	}
	for bad, want := range map[string]string{"": "is not an address", "me": "is not an address", "203.0.113.7/24": "write the network as 203.0.113.0/24", "1.2.3.4/33": "is not an address"} {
		if _, err := ParseFrom([]string{bad}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestUserData: cloud-init makes no host key where it is given one, lets root in by key and
// no one by password. Two seeds never have one key.
func TestUserData(t *testing.T) {
	t.Parallel()
	seed, err := NewSeed("ssh-ed25519 AAAA salvor-fleet")
	if err != nil {
		t.Fatal(err)
	}
	data, err := seed.UserData()
	if err != nil {
		t.Fatal(err)
	}
	content, is := strings.CutPrefix(string(data.Reveal()), "#cloud-config\n")
	var has map[string]json.RawMessage
	if err := json.Unmarshal([]byte(content), &has); !is || err != nil {
		t.Fatalf("%v: %.40q", err, content)
	}
	for key, want := range map[string]string{"disable_root": "false", "ssh_pwauth": "false", "ssh_authorized_keys": `"ssh-ed25519 AAAA salvor-fleet"`, "ssh_keys": string(seed.Once)} {
		if !strings.Contains(string(has[key]), want) {
			t.Errorf("%s: %s, want %s", key, has[key], want)
		}
	}
	if other, err := NewSeed("ssh-ed25519 AAAA"); err != nil || other.Once == seed.Once {
		t.Errorf("the same key twice: %v", err)
	}
}

func FuzzParseServer(f *testing.F) {
	f.Add("aws:eu-central-1/k3v9x2mq")
	f.Add("aws:/x")
	f.Fuzz(func(t *testing.T, v string) {
		s, err := fleet.ParseServer(v)
		if err == nil && s.String() != v {
			t.Errorf("%q became %q", v, s)
		}
	})
}
