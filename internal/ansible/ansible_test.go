package ansible

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/embedded"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/local"
	"salvor/internal/machine/ssh"
	"salvor/internal/machine/sshtest"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/socketdir"
)

// answers is a salvord that answers as a host which lacks a file, until it was prepared once,
// and notes what it is asked.
const answers = `#!/bin/sh
cd "$(dirname "$0")"
[ "$1" = converge ] || exit 2
shift
cat >request
echo "$@" >>asked
check=
for word; do [ "$word" != --check ] || check=yes; done
resource='{"id":"file /etc/x","state":"right"}' changed=false
if [ ! -e prepared ]; then
  resource='{"id":"file /etc/x","state":"done","action":"~","cause":"mode is 0644, want 0600"}' changed=true
  [ -n "$check" ] || touch prepared
fi
[ ! -e failing ] || { echo '{"schema":3,"salvord":"1.0.0","changed":true,"resources":[],"error":{"code":1,"text":"file /etc/x: disk full","hint":"make room"}}'; exit 1; }
echo '{"schema":3,"salvord":"1.0.0","changed":'$changed',"resources":['$resource'],"left":[{"area":"ssh","why":"it can lock you out"}]}'
`

// fleetAt is a fleet with the host alpha, which is this computer by a server of the test.
func fleetAt(server *sshtest.Server, kept ssh.KeptKey) *Fleet {
	return &Fleet{
		Declared: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha", Address: "127.0.0.1", Port: server.Port, User: "root"}}},
		Version:  "1.0.0",
		Request: func(h fleet.Host) (agentapi.Converge, error) {
			return agentapi.Converge{Host: agentapi.Host{Fleet: "home", Name: h.Name, SSH: agentapi.SSH{Keys: []string{"{{ lookup('pipe', 'touch /tmp/pwned') }}"}}}}, nil
		},
		Login: func(_ context.Context, h fleet.Host) (ssh.Options, error) {
			return ssh.Options{Name: h.Name, Address: h.Address, Port: h.Port, User: h.User, Keys: []ssh.PublicKey{ssh.PublicKey(server.HostKey)}, Auth: ssh.Auth{Kept: []ssh.KeptKey{kept}}}, nil
		},
		Secret: func(context.Context, string) (secret.Value, error) {
			return secret.NewString(vaultPassword + "\n"), nil
		},
		Program: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(answers)), nil },
		Confirm: func(context.Context) error { return nil },
	}
}

const vaultPassword = "9b1c0f7e5a3d4826-hunter2"

// keyOf is the server's user key, kept as the fleet's is.
func keyOf(t *testing.T, server *sshtest.Server) ssh.KeptKey {
	t.Helper()
	public, err := os.ReadFile(server.UserKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return ssh.KeptKey{Public: ssh.PublicKey(strings.TrimSpace(string(public))), Open: func(context.Context) (secret.Value, error) {
		private, err := os.ReadFile(server.UserKey)
		return secret.New(private), err
	}}
}

// A stand is a control repository with its playbooks, on a computer that has Ansible.
type stand struct {
	*Fleet
	t       *testing.T
	server  *sshtest.Server
	repo    string
	salvord string // where the host has it

	temporary string // where temporary files are
}

func newStand(t *testing.T) *stand {
	t.Helper()
	if testing.Short() {
		t.Skip("starts ansible-playbook several times")
	}
	if Installed() != nil {
		sshtest.Missing(t, "no ansible-playbook: apt install ansible")
	}
	server := sshtest.Start(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
	temporary, err := socketdir.Make("stand-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	t.Setenv("TMPDIR", temporary)
	t.Setenv("ANSIBLE_HOST_KEY_CHECKING", "False") // as many have it, in an ansible.cfg
	s := &stand{Fleet: fleetAt(server, keyOf(t, server)), t: t, server: server, repo: t.TempDir(), temporary: temporary}
	s.salvord = filepath.Join(t.TempDir(), "salvord")
	files, err := controlrepo.Playbooks()
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		s.write(path, string(content))
	}
	return s
}

func (s *stand) write(path, content string) {
	s.t.Helper()
	at := filepath.Join(s.repo, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

// play runs a playbook and returns what it prints.
func (s *stand) play(playbook string, args ...string) (string, error) {
	s.t.Helper()
	var out bytes.Buffer
	args = append(args, "-e", "salvor_program="+s.salvord)
	err := s.Run(s.t.Context(), Play{Playbook: filepath.Join(s.repo, playbook), Args: args, Cache: filepath.Join(s.repo, "cache"), Out: &out, Err: &out})
	return out.String(), err
}

func (s *stand) asked() string {
	content, err := os.ReadFile(filepath.Join(filepath.Dir(s.salvord), "asked"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(content)
}

// hungUp checks that no connection to the host is left: it would be root's, and of no use to anyone.
func (s *stand) hungUp() {
	s.t.Helper()
	const soon = 5 * time.Second // a tenth of what ssh keeps it for
	for began := time.Now(); ; <-time.After(20 * time.Millisecond) {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			s.t.Fatal(err)
		}
		left := slices.DeleteFunc(all, func(file string) bool {
			words, err := os.ReadFile(file)
			return err != nil || !bytes.HasPrefix(words, []byte("ssh: "+s.temporary))
		})
		if len(left) == 0 {
			return
		}
		if time.Since(began) > soon {
			s.t.Fatalf("ssh is still connected: %q", left)
		}
	}
}

// TestSite: what salvord answers is what Ansible says.
func TestSite(t *testing.T) {
	s := newStand(t)
	out, err := s.play("playbooks/site.yml", "--check", "--diff")
	if err != nil || !strings.Contains(out, "changed=2 ") || !strings.Contains(out, "+ salvord: is not there") {
		t.Fatalf("a clean host: %v\n%s", err, out)
	}
	if _, err := os.Stat(s.salvord); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look installed salvord: %v", err)
	}
	if out, err = s.play("playbooks/site.yml", "-e", `{"salvor_only": ["docker"]}`); err != nil || !strings.Contains(out, "changed=2 ") || !strings.Contains(out, "area ssh is left as it is: it can lock you out") {
		t.Fatalf("the first run: %v\n%s", err, out)
	}
	if got := s.asked(); !strings.HasSuffix(got, "--only docker\n") {
		t.Errorf("salvord was asked %q", got)
	}
	var request agentapi.Request
	content, err := os.ReadFile(filepath.Join(filepath.Dir(s.salvord), "request"))
	if err := errors.Join(err, json.Unmarshal(content, &request)); err != nil || request.Schema != agentapi.Schema || !strings.Contains(string(request.Body), "{{ lookup(") {
		t.Errorf("%v, it got %s", err, content)
	}
	if out, err = s.play("playbooks/site.yml"); err != nil || !strings.Contains(out, "changed=0 ") {
		t.Errorf("the second run: %v\n%s", err, out)
	}
	beside := func(name string) string { return filepath.Join(filepath.Dir(s.salvord), name) }
	if err := os.Remove(beside("prepared")); err != nil {
		t.Fatal(err)
	}
	if out, err = s.play("playbooks/site.yml", "--check", "--diff"); err != nil || !strings.Contains(out, "~ file /etc/x: mode is 0644, want 0600") || !strings.Contains(out, "changed=1 ") {
		t.Errorf("a drift: %v\n%s", err, out)
	}
	if _, err := os.Stat(beside("prepared")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look prepared the host: %v", err)
	}
	if err := os.WriteFile(beside("failing"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err = s.play("playbooks/site.yml"); err == nil || !strings.Contains(out, `file /etc/x: disk full\nhint: make room`) {
		t.Errorf("a failure: %v\n%s", err, out)
	}
}

// TestOnlyThePinnedKeyIsTrusted, whatever an ansible.cfg says.
func TestOnlyThePinnedKeyIsTrusted(t *testing.T) {
	s := newStand(t)
	login := s.Login
	s.Login = func(ctx context.Context, h fleet.Host) (ssh.Options, error) {
		o, err := login(ctx, h)
		o.Keys = []ssh.PublicKey{o.Auth.Kept[0].Public}
		return o, err
	}
	s.write("playbooks/raw.yml", "- hosts: salvor\n  gather_facts: false\n  tasks: [{raw: 'true'}]\n")
	if out, err := s.play("playbooks/raw.yml"); err == nil || !strings.Contains(out, "Host key verification failed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestVaults: a vaulted variable is opened with a password that is in no argument, variable or file.
func TestVaults(t *testing.T) {
	s := newStand(t)
	s.Declared.Vaults = map[string]secret.Setting{"default": secret.ParseSetting("secret:vault"), "prod": secret.ParseSetting("secret:vault")}
	for _, id := range []string{"default", "prod"} {
		vault, err := ansiblevault.Seal(secret.NewString("word_"+id+": plain-"+id+"\n"), secret.NewString(vaultPassword), id)
		if err != nil {
			t.Fatal(err)
		}
		s.write("secrets/"+id+".yml", string(vault))
	}
	s.write("playbooks/vaulted.yml", `- hosts: salvor
  gather_facts: false
  vars_files: [../secrets/default.yml, ../secrets/prod.yml]
  tasks:
    - ansible.builtin.debug: {msg: "{{ word_default }}, {{ word_prod }}"}
    - ansible.builtin.shell: for p in $PPID $(cut -d' ' -f4 /proc/$PPID/stat); do tr '\0' '\n' </proc/$p/cmdline; tr '\0' '\n' </proc/$p/environ; done
      delegate_to: localhost
      register: seen
    - ansible.builtin.debug: {msg: "{{ seen.stdout }}"}
`)
	out, err := s.play("playbooks/vaulted.yml")
	if err != nil || !strings.Contains(out, "plain-default, plain-prod") {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "HOME=") || strings.Contains(out, "hunter2") {
		t.Errorf("what processes show:\n%s", out)
	}
}

func TestInventoryIsAnsibles(t *testing.T) {
	if local.Find("ansible-inventory") == "" {
		sshtest.Missing(t, "no ansible-inventory: apt install ansible")
	}
	t.Setenv("HOME", t.TempDir())
	i, err := NewInventory(jumping(), Paths{Logins: logins(t, jumping()), Config: "/a b/it's/config", Control: "/c", Programs: map[string]string{"amd64": "/p"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := i.List()
	if err != nil {
		t.Fatal(err)
	}
	file, err := i.File()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script, static := filepath.Join(dir, "hosts"), filepath.Join(dir, "hosts.json")
	err = errors.Join(os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\ncat <<'END'\n%s\nEND\n", list), 0o755), os.WriteFile(static, file, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, path := range []string{script, static} {
		var out, errs bytes.Buffer
		if err := local.Foreground(t.Context(), []string{"ansible-inventory", "-i", path, "--list"}, nil, &out, &errs); err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		var said struct {
			Meta struct {
				Hostvars map[string]map[string]any `json:"hostvars"`
			} `json:"_meta"`
			Salvor struct {
				Hosts []string `json:"hosts"`
			} `json:"salvor"`
		}
		if err := json.Unmarshal(out.Bytes(), &said); err != nil || !slices.Equal(said.Salvor.Hosts, []string{"alpha", "beta"}) {
			t.Fatalf("%v: %s", err, out.String())
		}
		beta := said.Meta.Hostvars["beta"]
		if beta["ansible_ssh_common_args"] != "-J gate@[2001:db8::1]:2200" || beta["ansible_become"] != true || beta["ansible_port"] != 2222.0 || beta["ansible_ssh_args"] != `-F '/a b/it'"'"'s/config' -C -o ControlMaster=auto -o ControlPersist=60s` {
			t.Errorf("%v", beta)
		}
		seen = append(seen, out.String())
	}
	if diff := cmp.Diff(seen[0], seen[1]); diff != "" {
		t.Errorf("the script and the file differ: %s", diff)
	}
	if strings.Contains(string(list), "{{") {
		t.Errorf("a template: %s", list)
	}
}

func logins(t *testing.T, f *Fleet) []ssh.Options {
	t.Helper()
	all, err := f.logins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// jumping is a fleet with a host behind another one.
func jumping() *Fleet {
	return &Fleet{
		Declared: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha", Address: "192.0.2.1"}, {Name: "beta", Address: "192.0.2.2"}}},
		Request: func(h fleet.Host) (agentapi.Converge, error) {
			return agentapi.Converge{Host: agentapi.Host{Name: h.Name, SSH: agentapi.SSH{Keys: []string{"{{ x }}"}}}}, nil
		},
		Login: func(_ context.Context, h fleet.Host) (ssh.Options, error) {
			o := ssh.Options{Name: h.Name, Address: h.Address}
			if h.Name == "beta" {
				o.Port, o.User, o.Jump = 2222, "ops", &ssh.Options{Address: "2001:db8::1", User: "gate", Port: 2200}
			}
			return o, nil
		},
	}
}

// TestAHostThatIsCalledAsAGroup is refused: --limit with its name would mean all hosts.
func TestAHostThatIsCalledAsAGroup(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"all", "ungrouped", "salvor"} {
		f := jumping()
		f.Declared.Hosts[0].Name = name
		if _, err := NewInventory(f, Paths{Logins: logins(t, f)}); err == nil || err.Error() != "host "+name+": Ansible means a group of hosts by that name" || !strings.Contains(fault.Hint(err), "formerly: "+name) {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
	}
}

func TestInventoryOfOneHost(t *testing.T) {
	t.Parallel()
	i, err := NewInventory(jumping(), Paths{Logins: logins(t, jumping())})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := i.Host("alpha"); err != nil || !strings.Contains(string(text), `"ansible_user": "root"`) {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := i.Host("gamma"); err == nil || fault.Hint(err) != "salvor host ls" {
		t.Errorf("%v", err)
	}
	if _, err := NewInventory(jumping(), Paths{Logins: logins(t, jumping()), Config: "/tmp/{{ x }}"}); err == nil || !strings.Contains(err.Error(), "template") {
		t.Errorf("%v", err)
	}
}

// TestPrograms are written once, again where they are not as they should be, and for the
// processors that there are.
func TestPrograms(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("program ", 1<<16)
	f := &Fleet{Program: func(arch string) (io.ReadCloser, error) {
		if arch == "arm64" {
			return nil, fmt.Errorf("%w: arm64", embedded.ErrNotBuilt)
		}
		return io.NopCloser(strings.NewReader(content)), nil
	}}
	dir := filepath.Join(t.TempDir(), "cache")
	at := filepath.Join(dir, "salvord-amd64")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]string{"none": "", "the same": content, "a part": content[:1<<18], "more": content + "x", "another": "x" + content[1:]} {
		if before != "" {
			if err := os.WriteFile(at, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		paths, err := Programs(f, dir)
		got, readErr := os.ReadFile(at)
		if err != nil || readErr != nil || string(got) != content || !cmp.Equal(paths, map[string]string{"amd64": at}) {
			t.Errorf("%s: %v, %v, %d bytes", name, paths, errors.Join(err, readErr), len(got))
		}
	}
	none := &Fleet{Program: func(string) (io.ReadCloser, error) { return nil, embedded.ErrNotBuilt }}
	if _, err := Programs(none, dir); !errors.Is(err, embedded.ErrNotBuilt) {
		t.Errorf("%v", err)
	}
}

// TestPrepareFiles keeps a site.yml, and brings the role up to this version.
func TestPrepareFiles(t *testing.T) {
	t.Parallel()
	all, err := controlrepo.Playbooks()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string][]byte{}
	r := Repository{
		File: func(path string) ([]byte, error) {
			content, is := has[path]
			if !is {
				return nil, fs.ErrNotExist
			}
			return content, nil
		},
		Commit: func(_ context.Context, files map[string][]byte, _ string) error {
			for path, content := range files {
				has[path] = content
			}
			return nil
		},
	}
	for _, step := range []struct {
		before  func()
		written int
	}{
		{func() {}, len(all)},
		{func() {}, 0},
		{func() { has[controlrepo.SitePlaybook] = []byte("mine") }, 0},
		{func() { has["playbooks/roles/salvor/tasks/main.yml"] = []byte("older") }, 1},
	} {
		step.before()
		p, err := PrepareFiles(r)
		if err != nil || (p.Question == "") != (step.written == 0) {
			t.Fatalf("%+v, %v", p, err)
		}
		if written, err := p.Run(t.Context(), nil); err != nil || len(written) != step.written {
			t.Errorf("%q, %v; want %d", written, err, step.written)
		}
	}
	if string(has[controlrepo.SitePlaybook]) != "mine" || !bytes.Equal(has["playbooks/roles/salvor/tasks/main.yml"], all["playbooks/roles/salvor/tasks/main.yml"]) {
		t.Error("not the files that were to be there")
	}
}

// TestAround runs a playbook with what the commit has in playbooks/ and secrets/ alone, and
// says why it failed.
func TestAround(t *testing.T) {
	s := newStand(t)
	s.Declared.Vaults = map[string]secret.Setting{"default": secret.ParseSetting("secret:vault")}
	s.Declared.Playbooks = fleet.Playbooks{Before: "playbooks/before.yml", After: "playbooks/after.yml"}
	vault, err := ansiblevault.Seal(secret.NewString("word: vaulted-word\n"), secret.NewString(vaultPassword), "")
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(t.TempDir(), "made")
	s.write("secrets/group.yml", string(vault))
	s.write("stacks/notes/other.yml", "- debug: {msg: from elsewhere}\n")
	s.write("playbooks/before.yml", "- hosts: all\n  gather_facts: false\n  vars_files: [../secrets/group.yml]\n  tasks:\n    - name: Write the word\n      copy: {content: \"{{ word }}\", dest: "+made+"}\n")
	s.write("playbooks/after.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - include_tasks: ../stacks/notes/other.yml\n")
	var said []string
	sink := progress.SinkFunc(func(e progress.Event) { said = append(said, e.Host+" "+e.Step+" "+e.Text) })
	a := &Around{Fleet: s.Fleet, Files: os.DirFS(s.repo), Cache: filepath.Join(s.repo, "cache")}
	if err := a.Before(t.Context(), "alpha", sink); err != nil {
		t.Fatal(err)
	}
	s.hungUp()
	if got, err := os.ReadFile(made); err != nil || string(got) != "vaulted-word" {
		t.Errorf("it wrote %q, %v", got, err)
	}
	if !slices.Contains(said, "alpha playbooks/before.yml TASK [Write the word]") {
		t.Errorf("it says %q", said)
	}
	err = a.After(t.Context(), "alpha", sink)
	if err == nil || !strings.HasPrefix(err.Error(), "playbooks/after.yml failed with exit code 2: fatal: [alpha]") || fault.Hint(err) != "salvor ansible playbooks/after.yml -- --limit alpha" {
		t.Errorf("what is not approved: %v, hint %q", err, fault.Hint(err))
	}
}

// TestWhatAroundTakesOfSecrets: Ansible takes each value that it can read for a template, which can run a program on this
// computer. So of secrets/ a playbook gets vaults, and files with vaults in them, which are approved as playbooks/ is.
func TestWhatAroundTakesOfSecrets(t *testing.T) {
	t.Parallel()
	const template = "word: \"{{ lookup('ansible.builtin.pipe', 'id') }}\"\n"
	whole, err := ansiblevault.Seal(secret.NewString("word: x\n"), secret.NewString(vaultPassword), "")
	if err != nil {
		t.Fatal(err)
	}
	part := "word: !vault |\n  " + strings.ReplaceAll(strings.TrimSpace(string(whole)), "\n", "\n  ") + "\n"
	files := fstest.MapFS{}
	for path, content := range map[string]string{
		"playbooks/before.yml": "[]", "secrets/whole.yml": string(whole), "secrets/deep/part.yml": part + "plain: 1\n",
		"secrets/plain.yml": template, "secrets/feigned.yml": " $ANSIBLE_VAULT;1.1;AES256: x\n" + template,
		"secrets/sops.yml": template + "sops: {mac: x}\n", "secrets/tag.yml": template + "other: \"!vault\"\n",
	} {
		files[path] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	dir := t.TempDir()
	if _, err := (&Around{Files: files}).furnish(dir); err != nil {
		t.Fatal(err)
	}
	var got []string
	err = fs.WalkDir(os.DirFS(dir), "secrets", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			got = append(got, path)
		}
		return err
	})
	if want := []string{"secrets/deep/part.yml", "secrets/whole.yml"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("it gets %q, %v; want %q", got, err, want)
	}
}

func TestWithoutAnsible(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := jumping().Run(t.Context(), Play{Playbook: "site.yml"}); err == nil || err.Error() != "PATH has no ansible-playbook" || !strings.Contains(fault.Hint(err), "apt install ansible") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}
