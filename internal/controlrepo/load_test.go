package controlrepo

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

var update = flag.Bool("update", false, "write the golden files")

// TestProblemsAreGolden loads each bad repository of testdata/bad and compares
// all that is reported with the archive's file `want`.
func TestProblemsAreGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no bad repositories", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fsys, want := fstest.MapFS{}, ""
			var inputs []txtar.File
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				fsys[f.Name] = &fstest.MapFile{Data: f.Data}
				inputs = append(inputs, f)
			}
			_, err = load(fsys, "0.1.0")
			if err == nil {
				t.Fatal("no problem reported")
			}
			got := report(err)
			if *update {
				archive.Files = append(inputs, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
			if strings.Contains(got, "hunter2") || strings.Contains(got, "AGE-SECRET") || strings.Contains(got, "tskey") {
				t.Error("a message shows a secret")
			}
		})
	}
}

func report(err error) string {
	var out strings.Builder
	for _, p := range yamldoc.Problems(err) {
		out.WriteString(p.Error() + "\n")
		if p.Advice != "" {
			out.WriteString("\thint: " + p.Advice + "\n")
		}
	}
	return out.String()
}

const designFleet = `# the example of the design
fleet: home
x-shared: &ssh {user: ops, port: 2222}
hosts:
  beta:  {address: beta.example.net, <<: *ssh, jump: "ops@gate.example.net:22"}
  alpha: {address: 192.0.2.10, user: root}
remotes:
  drive: {type: drive, root_folder_id: abc, token: secret:drive_token}
  enc: {type: crypt, remote: "drive:enc", password: secret:enc, show_mapping: true, port: 22}
data:
  shared: {remote: drive, path: salvor/shared}
  snapshots:
    - {name: offsite, remote: drive, path: salvor/snapshots, every: 15m, keep: {last: 8, daily: 14}}
    - {name: weekly, remote: enc, path: s, every: 7d}
networks: {proxy: {}}
registries: {"ghcr.io": {username: me, password: secret:ghcr}}
vaults: {default: "secret:vault_password"}
secrets:
  nas_password: {command: [op, read, "op://home/nas/password"], timeout: 1m, revision: 3, rotate: 13w}
  drive_token: {command: [pass, show, drive]}
vars: {TZ: Europe/Zurich, PORT: 8080}
tailnet: {tags: [tag:salvor, tag:db, tag:db], auth: secret:tailscale_oauth, login_server: "https://headscale.example", accept_dns: true, url: "https://mirror.example/tailscale", key: K}
monitoring: {netdata: true}
recipients: {operators: {ann: ` + testRecipient + `}, recovery: ` + testRecipient + `}
`

const designStack = `x-salvor:
  host: alpha
  rpo: 5m
  dir: /opt/stacks/notes
  volumes:
    db:    {protect: snapshot, consistent: postgres}
    media: {protect: shared}
    cache: {protect: none}
services: {}
`

func TestLoad(t *testing.T) {
	repo, err := load(fstest.MapFS{
		"fleet.yaml":                {Data: []byte(designFleet)},
		"stacks/notes/compose.yaml": {Data: []byte(designStack)},
		"stacks/idle/compose.yml":   {Data: []byte("services: {}\n")},
		"stacks/README.md":          {Data: []byte("not a stack")},
		"hosts/alpha.pub":           {Data: []byte("# alpha\r\n" + testRecipient + "\r\n")},
		"hosts/gone.pub":            {Data: []byte(testRecipient)},
		"hosts/known_hosts":         {Data: []byte("# pinned\n192.0.2.10,[beta.example.net]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDxYm0jp3dPpuGwfrC9b8S8bzmrlFrfyeXFRfFxEkJJ4 alpha\n")},
	}, "0.1.0+dev")
	if err != nil {
		t.Fatal(err)
	}
	want := fleet.Fleet{
		Name: "home",
		Hosts: []fleet.Host{
			{Name: "alpha", Address: "192.0.2.10", Port: 22, User: "root"},
			{Name: "beta", Address: "beta.example.net", Port: 2222, User: "ops", Jump: "ops@gate.example.net:22"},
		},
		Remotes: []fleet.Remote{
			{Name: "drive", Type: "drive", Options: map[string]secret.Setting{"root_folder_id": secret.ParseSetting("abc"), "token": secret.ParseSetting("secret:drive_token")}},
			{Name: "enc", Type: "crypt", Options: map[string]secret.Setting{"remote": secret.ParseSetting("drive:enc"), "password": secret.ParseSetting("secret:enc"), "show_mapping": secret.ParseSetting("true"), "port": secret.ParseSetting("22")}},
		},
		Record: fleet.Location{Remote: "drive", Path: "salvor/record"},
		Shared: fleet.Location{Remote: "drive", Path: "salvor/shared"},
		Snapshots: []fleet.Target{
			{Name: "offsite", Where: fleet.Location{Remote: "drive", Path: "salvor/snapshots"}, Every: 15 * time.Minute, Keep: fleet.Keep{Last: 8, Daily: 14}},
			{Name: "weekly", Where: fleet.Location{Remote: "enc", Path: "s"}, Every: 7 * 24 * time.Hour, Keep: fleet.Keep{Last: 8, Daily: 14, Weekly: 8, Monthly: 12}},
		},
		Networks:   []fleet.Network{{Name: "proxy", Driver: "bridge"}},
		Registries: []fleet.Registry{{Name: "ghcr.io", Username: secret.ParseSetting("me"), Password: secret.ParseSetting("secret:ghcr")}},
		Vaults:     map[string]secret.Setting{"default": secret.ParseSetting("secret:vault_password")},
		Secrets: []fleet.Secret{
			{Name: "drive_token", Command: []string{"pass", "show", "drive"}, Timeout: 30 * time.Second, Revision: 1},
			{Name: "nas_password", Command: []string{"op", "read", "op://home/nas/password"}, Timeout: time.Minute, Revision: 3, Rotate: 91 * 24 * time.Hour},
		},
		Vars:       map[string]string{"TZ": "Europe/Zurich", "PORT": "8080"},
		Git:        fleet.Git{Branch: "main"},
		Tailnet:    &fleet.PrivateNetwork{Tags: []string{"tag:db", "tag:salvor"}, Auth: secret.ParseSetting("secret:tailscale_oauth"), LoginServer: "https://headscale.example", AcceptDNS: true, URL: "https://mirror.example/tailscale", Key: "K"},
		Recipients: fleet.Recipients{Operators: map[string]string{"ann": testRecipient}, Recovery: testRecipient},
		Stacks: []fleet.Stack{
			{Name: "idle", Dir: "stacks/idle", File: "compose.yml", PauseLimit: 5 * time.Second, PauseEvery: time.Hour},
			{Name: "notes", Dir: "stacks/notes", File: "compose.yaml", Host: "alpha", RPO: 5 * time.Minute, ProjectDir: "/opt/stacks/notes",
				PauseLimit: 5 * time.Second, PauseEvery: time.Hour, Volumes: []fleet.VolumePolicy{
					{Volume: "db", Protect: fleet.Snapshot, Consistent: fleet.Postgres, Position: "stacks/notes/compose.yaml:6:5"},
					{Volume: "media", Protect: fleet.Shared, Position: "stacks/notes/compose.yaml:7:5"},
					{Volume: "cache", Protect: fleet.None, Position: "stacks/notes/compose.yaml:8:5"},
				}},
		},
	}
	if diff := cmp.Diff(want, repo.Fleet, cmp.Comparer(func(a, b secret.Setting) bool { return a == b })); diff != "" {
		t.Errorf("fleet differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"alpha": testRecipient, "gone": testRecipient}, repo.Recipients); diff != "" {
		t.Error(diff)
	}
	if len(repo.HostKeys) != 1 || cmp.Diff([]string{"192.0.2.10", "[beta.example.net]:2222"}, repo.HostKeys[0].Patterns) != "" {
		t.Errorf("host keys: %v", repo.HostKeys)
	}
	var codes []finding.Code
	for _, f := range repo.Findings {
		codes = append(codes, f.Code)
	}
	if diff := cmp.Diff([]finding.Code{finding.HostFileUnused, finding.SettingUnused, finding.StackUnplaced}, codes); diff != "" {
		t.Error(diff)
	}
	if got := repo.Place("hosts", "alpha", "user").String(); got != "fleet.yaml:6:38" {
		t.Errorf("Place = %s", got)
	}
}

func TestPeriodsOfSecretsThatAreNotThere(t *testing.T) {
	repo, err := load(fstest.MapFS{
		"fleet.yaml":               {Data: []byte("fleet: home\nsecrets:\n  nas_pasword: {rotate: 90d}\n  notes/DB_PASSWORT: {rotate: 4w}\n  nas_password: {rotate: 1d}\n  notes/DB_PASSWORD: {rotate: 1d}\n  group.yml/a.b: {rotate: 1d}\n")},
		"stacks/notes/compose.yml": {Data: []byte("services: {}\n")},
		"secrets/nas_password":     {Data: []byte("x")},
		"secrets/group.yml":        {Data: []byte("x")},
		"secrets/notes.env":        {Data: []byte("DB_PASSWORD=ENC[x]\nsops_mac=y\n")},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range repo.Findings {
		if f.Code == finding.SecretMissing && f.Severity == finding.Fatal {
			got = append(got, f.String())
		}
	}
	want := []string{
		`fleet.yaml:3:3: the fleet has no secret "nas_pasword", did you mean "nas_password"? [secret-missing]`,
		`fleet.yaml:4:3: the fleet has no secret "notes/DB_PASSWORT", did you mean "notes/DB_PASSWORD"? [secret-missing]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadFollowsNoLinkOutside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "fleet.yaml"), []byte("fleet: home\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "fleet.yaml"), filepath.Join(dir, "fleet.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, ""); err == nil {
		t.Error("a link out of the repository was followed")
	}
}

func TestExpansionIsBounded(t *testing.T) {
	bomb := "fleet: home\nx-a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	vars := "vars: {A: x}\nhosts:\n"
	for i := 'b'; i < 'j'; i++ {
		prev := string(i - 1)
		bomb += "x-" + string(i) + ": &" + string(i) + " [" + strings.Repeat("*"+prev+",", 9) + "*" + prev + "]\n"
	}
	_, err := load(fstest.MapFS{"fleet.yaml": {Data: []byte(bomb + vars + "  alpha: {address: a, docker: *i}\ntailnet: {tags: *i}\n")}}, "")
	if err == nil || len(yamldoc.Problems(err)) > 50 {
		t.Errorf("%d problems", len(yamldoc.Problems(err)))
	}
}

func TestLooksSecret(t *testing.T) {
	for key, want := range map[string]bool{
		"pass": true, "client_secret": true, "secret_access_key": true, "token": true, "API_TOKEN": true, "DB_PASSWORD": true, "key_pem": true,
		"access_key_id": false, "key_file": false, "token_url": false, "root_folder_id": false, "bypass": false, "PUBLIC_KEY": false, "TZ": false,
	} {
		if got := looksSecret(key); got != want {
			t.Errorf("looksSecret(%q) = %v", key, got)
		}
	}
}

func TestFindWalksUp(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "stacks", "hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fleet.File), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(filepath.Join(dir, "stacks", "hello")); got != dir || err != nil {
		t.Errorf("Find = %q, %v", got, err)
	}
	if _, err := Find(t.TempDir()); !errors.Is(err, ErrNotFound) {
		t.Errorf("err = %v, want ErrNotFound", err)
	}
}
