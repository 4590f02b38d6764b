package check

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/secretnames"
)

// kept are the names of secrets that stay with the operators.
type kept []string

func (k kept) Deliverable(name string) error {
	for _, one := range k {
		if one == name {
			return fault.WithHint(errors.New("the secret "+name+" stays with the operators"), "use another secret")
		}
	}
	return nil
}

// declaring loads a repository of these files.
func declaring(t *testing.T, files map[string]string) *controlrepo.Repository {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	repo, err := controlrepo.Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// lines are findings as a reader sees them.
func lines(found []finding.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.Severity)+" "+string(f.Code)+" "+f.Subject+": "+f.Text+" ("+f.Fix+")")
	}
	return all
}

const head = "schema: 1\nfleet: home\nrecipients:\n  operators: {ann: age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg}\n  recovery: age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\n"

// TestFindings loads commits in which one thing does not fit.
func TestFindings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fleet string
		kept  kept
		want  []string
	}{
		"nothing declared": {fleet: head},
		"a remote of an unknown type": {
			fleet: head + "remotes:\n  nas: {type: floppy}\n",
			want:  []string{`fatal remote-invalid fleet.yaml:7:3: the remote nas: unknown type "floppy" (docs/snapshots.md shows what each type of remote needs)`},
		},
		"a bandwidth that rclone does not read": {
			fleet: head + "remotes:\n  nas:\n    type: local\n    bandwidth: 25:00,1M\n",
			want:  []string{`fatal remote-invalid fleet.yaml:9:16: the remote nas: bandwidth: invalid hour (must be between 00 and 23): 25 (write it as rclone's --bwlimit: "1M" for 1 MiB a second, "08:00,512k 23:00,off", "2M:off" to limit uploads only)`},
		},
		"an address that is a secret": {
			fleet: head + "remotes:\n  nas: {type: webdav, url: secret:where, user: ann, pass: secret:nas}\n",
			want:  []string{"fatal remote-invalid fleet.yaml:7:28: the remote nas: url sets where the remote is, and Git does not show changes inside a secret (write url in plain text)"},
		},
		"a secret that stays with the operators": {
			fleet: head + "remotes:\n  nas: {type: webdav, url: \"https://nas.example\", user: ann, pass: secret:ssh}\n",
			kept:  kept{"ssh"},
			want:  []string{"fatal remote-invalid fleet.yaml:7:68: the remote nas: the secret ssh stays with the operators (use another secret)"},
		},
		"an sftp server without a pinned key": {
			fleet: head + "remotes:\n  nas: {type: sftp, host: nas.example, user: ann, pass: secret:nas}\n",
			want:  []string{"fatal remote-invalid fleet.yaml:7:3: the remote nas: the server's host key is not pinned"},
		},
		"a host's credential": {
			fleet: head + "hosts:\n  alpha: {address: 192.0.2.1}\nremotes:\n  nas:\n    type: webdav\n    url: https://nas.example\n    user: ann\n    pass: secret:nas\n" +
				"    hosts:\n      alpha: {url: https://evil.example}\n",
			want: []string{"fatal remote-invalid fleet.yaml:15:20: the remote nas for host alpha: url is not a credential: it is the same for all users of the remote (what a credential for webdav may have: bearer_token, pass, user)"},
		},
		"a credential that stays with the operators": {
			fleet: head + "hosts:\n  alpha: {address: 192.0.2.1}\nremotes:\n  nas:\n    type: webdav\n    url: https://nas.example\n    user: ann\n    pass: secret:nas\n" +
				"    hosts:\n      alpha: {user: al, pass: secret:ssh}\n",
			kept: kept{"ssh"},
			want: []string{"fatal remote-invalid fleet.yaml:15:31: the remote nas for host alpha: the secret ssh stays with the operators (use another secret)"},
		},
		"a credential of what has none": {
			fleet: head + "hosts:\n  alpha: {address: 192.0.2.1}\nremotes:\n  disk: {type: local}\n  box: {type: crypt, remote: \"disk:/srv\", password: secret:box, hosts: {alpha: {password: secret:other}}}\n",
			want:  []string{"the remote box for host alpha: a crypt remote has one password for all its readers (give the credential to the remote that it wraps)"},
		},
		"a registry's login that stays with the operators": {
			fleet: head + "registries:\n  registry.example: {username: ann, password: secret:ssh}\n",
			kept:  kept{"ssh"},
			want:  []string{"fatal registry-invalid fleet.yaml:7:47: the registry registry.example: the secret ssh stays with the operators (use another secret)"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := lines(Findings(declaring(t, map[string]string{fleet.File: test.fleet}), test.kept, nil))
			if len(got) != len(test.want) {
				t.Fatalf("findings:\n%s", strings.Join(got, "\n"))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

// TestS01AddressesAndKeysAreNoSecretsOfARemote has fleet.yaml hide where a remote is,
// and give it the fleet's own keys.
func TestS01AddressesAndKeysAreNoSecretsOfARemote(t *testing.T) {
	t.Parallel()
	names := secretnames.Names{Files: fstest.MapFS{"secrets/" + secretnames.SSHKey: {}, "secrets/token": {}}}
	for options, want := range map[string]string{
		"url: secret:" + secretnames.SSHKey:                              "sets where the remote is",
		"url: \"https://nas\", pass: secret:" + secretnames.SSHKey:       "opens the fleet",
		"url: \"https://nas\", user: ann, pass: secret:token, vendor: x": "",
	} {
		repo := declaring(t, map[string]string{fleet.File: head + "remotes:\n  nas: {type: webdav, " + options + "}\n"})
		got := strings.Join(lines(Findings(repo, names, nil)), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", options, got, want)
		}
	}
}

// TestAFolderWithoutAName has a folder of stacks/ whose name no stack can have: the
// finding is about no stack.
func TestAFolderWithoutAName(t *testing.T) {
	t.Parallel()
	repo := declaring(t, map[string]string{fleet.File: head, "stacks/Not A Name/compose.yaml": "services: {}\n"})
	found := Findings(repo, kept{}, nil)
	if len(found) != 1 || found[0].Code != finding.StackBroken || found[0].Stack != "" || !strings.Contains(found[0].Subject, "Not A Name") {
		t.Errorf("%+v", found)
	}
}

// TestPortsOfWhatRuns leaves out what takes no port: a stopped stack, an idle service, a
// stack without a host.
func TestPortsOfWhatRuns(t *testing.T) {
	t.Parallel()
	web := func(stack string) project.Rendered {
		return project.Rendered{Published: []project.Published{{Port: project.Port{Published: "80"}, Service: "web", Position: "stacks/" + stack + "/compose.yaml:4:14"}}}
	}
	stacks := map[string]project.Rendered{"idle": {}, "nowhere": web("nowhere"), "one": web("one"), "stopped": web("stopped"), "two": web("two")}
	repo := &controlrepo.Repository{
		Fleet: fleet.Fleet{Record: fleet.Location{Remote: "disk"}, Stacks: []fleet.Stack{
			{Name: "idle", Host: "alpha"}, {Name: "nowhere"}, {Name: "one", Host: "alpha"}, {Name: "stopped", Host: "alpha"}, {Name: "two", Host: "alpha"},
		}},
		Lock: fleet.Lock{Stacks: map[string]fleet.Placement{"stopped": {Host: "alpha", Stopped: true}}},
	}
	want := []string{"warning port-taken stacks/two/compose.yaml:4:14: one/web and two/web both publish port 80/tcp on alpha (change the published port of one of them)"}
	if diff := cmp.Diff(want, lines(Findings(repo, kept{}, stacks))); diff != "" {
		t.Error(diff)
	}
}

// TestARecordHasAPlace before the first stack is deployed.
func TestARecordHasAPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stack  fleet.Stack
		remote string
		want   int
	}{
		"no remote":          {fleet.Stack{Name: "web", Host: "alpha"}, "", 1},
		"a remote":           {fleet.Stack{Name: "web", Host: "alpha"}, "disk", 0},
		"nothing to deploy":  {fleet.Stack{Name: "web"}, "", 0},
		"does not even load": {fleet.Stack{Name: "web", Host: "alpha", Broken: true}, "", 0},
	} {
		repo := &controlrepo.Repository{Fleet: fleet.Fleet{Record: fleet.Location{Remote: test.remote}, Stacks: []fleet.Stack{test.stack}}}
		found := Findings(repo, kept{}, nil)
		if len(found) != test.want || test.want > 0 && found[0].Code != finding.RecordMissing {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestUnprotected names the volumes that would get no snapshots.
func TestUnprotected(t *testing.T) {
	t.Parallel()
	volumes := []project.Volume{{Source: "files", Protect: fleet.Snapshot}, {Source: "cache"}, {Source: "db", Protect: fleet.Snapshot}}
	st := fleet.Stack{Name: "notes", Host: "alpha", Dir: "stacks/notes", File: "compose.yaml"}
	found := Unprotected(&fleet.Fleet{}, st, volumes)
	if len(found) != 1 || found[0].Code != finding.TargetMissing || found[0].Stack != "notes" || found[0].Subject != "stacks/notes/compose.yaml" ||
		found[0].Text != "there is no snapshot target, but db, files of notes needs snapshots" {
		t.Errorf("%+v", found)
	}
	with := &fleet.Fleet{Snapshots: []fleet.Target{{Name: "offsite"}}}
	nowhere := st
	nowhere.Host = ""
	for name, found := range map[string][]finding.Finding{
		"there is a target":   Unprotected(with, st, volumes),
		"it is not deployed":  Unprotected(&fleet.Fleet{}, nowhere, volumes),
		"no volume is to be ": Unprotected(&fleet.Fleet{}, st, volumes[1:2]),
	} {
		if len(found) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
