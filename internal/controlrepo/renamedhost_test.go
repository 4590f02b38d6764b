package controlrepo

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/secret/agekey"
)

// renamedFleet is a fleet of these hosts whose lock has notes on alpha.
func renamedFleet(t *testing.T, hosts string, keys map[string]string) fstest.MapFS {
	t.Helper()
	lock, err := lockfile.Encode(fleet.Lock{Stacks: map[string]fleet.Placement{
		"notes": {Host: "alpha", Epoch: 3, Repositories: map[string]string{"offsite": "aa"}, Volumes: map[string]fleet.VolumeState{"data": {Born: time.Unix(1, 0).UTC()}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{fleet.File: {Data: []byte("schema: 1\nfleet: home\nhosts: " + hosts + "\n")}, lockfile.Name: {Data: lock}, "sealed/alpha/notes.age": {}}
	for name, key := range keys {
		files["hosts/"+name+".pub"] = &fstest.MapFile{Data: []byte(key + "\n")}
	}
	return files
}

func anotherKey(t *testing.T) string {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key.Recipient
}

// TestARenamedHostKeepsItsStacks is fault V17 for hosts: formerly: was read and ignored.
func TestARenamedHostKeepsItsStacks(t *testing.T) {
	const hosts = "{gamma: {address: 192.0.2.1, formerly: alpha}}"
	for name, keys := range map[string]map[string]string{
		"its key under the old name": {"alpha": testRecipient}, "under the new one": {"gamma": testRecipient}, "under both": {"alpha": testRecipient, "gamma": testRecipient},
	} {
		repo, err := load(renamedFleet(t, hosts, keys), "")
		if err != nil {
			t.Fatal(name, err)
		}
		p := repo.Lock.Stacks["notes"]
		if p.Host != "gamma" || p.Epoch != 3 || p.Volumes["data"].Born.IsZero() {
			t.Errorf("%s: notes is placed as %+v", name, p)
		}
		if diff := cmp.Diff(map[string]string{"gamma": testRecipient}, repo.Recipients); diff != "" {
			t.Errorf("%s: keys:\n%s", name, diff)
		}
		if len(repo.Findings) > 0 {
			t.Errorf("%s: %+v", name, repo.Findings)
		}
		lock, err := lockfile.Decode(repo.Renaming[lockfile.Name])
		if err != nil || lock.Stacks["notes"].Host != "gamma" {
			t.Errorf("%s: the next commit has the lock %+v, %v", name, lock, err)
		}
		content, moved := repo.Renaming["hosts/alpha.pub"]
		if _, at := keys["alpha"]; moved != at || content != nil {
			t.Errorf("%s: hosts/alpha.pub: %q", name, content)
		}
		if _, there := keys["gamma"]; !there && string(repo.Renaming["hosts/gamma.pub"]) != testRecipient+"\n" {
			t.Errorf("%s: hosts/gamma.pub is not in the commit of the lock", name)
		}
	}
}

// TestAnotherMachineIsNoRenamedHost is fault V17 for hosts: what is formerly another
// one has its key.
func TestAnotherMachineIsNoRenamedHost(t *testing.T) {
	_, err := load(renamedFleet(t, "{gamma: {address: 192.0.2.1, formerly: alpha}}", map[string]string{"alpha": testRecipient, "gamma": anotherKey(t)}), "")
	if err == nil || !strings.Contains(err.Error(), "another machine than alpha") {
		t.Errorf("got %v", err)
	}
}

// TestAHostThatVanishedIsAskedAbout is fault V17 for hosts: a name that appeared while
// a host with stacks is gone.
func TestAHostThatVanishedIsAskedAbout(t *testing.T) {
	other := anotherKey(t)
	for name, c := range map[string]struct {
		hosts string
		keys  map[string]string
		asked bool
	}{
		"not enrolled":         {"{gamma: {address: 192.0.2.1}}", map[string]string{"alpha": testRecipient}, true},
		"the same key":         {"{gamma: {address: 192.0.2.1}}", map[string]string{"alpha": testRecipient, "gamma": testRecipient}, true},
		"another machine":      {"{gamma: {address: 192.0.2.1}}", map[string]string{"alpha": testRecipient, "gamma": other}, false},
		"it is still declared": {"{alpha: {address: 192.0.2.2}, gamma: {address: 192.0.2.1}}", map[string]string{"alpha": testRecipient}, false},
		"renamed":              {"{gamma: {address: 192.0.2.1, formerly: alpha}}", map[string]string{"alpha": testRecipient}, false},
	} {
		repo, err := load(renamedFleet(t, c.hosts, c.keys), "")
		if err != nil {
			t.Fatal(name, err)
		}
		asked := false
		for _, f := range repo.Findings {
			if f.Code == finding.HostRenamed {
				asked = f.Severity == finding.Fatal && strings.Contains(f.Fix, "formerly: alpha")
			}
		}
		if asked != c.asked {
			t.Errorf("%s: asked %v, want %v: %+v", name, asked, c.asked, repo.Findings)
		}
	}
}
