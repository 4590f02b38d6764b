package firstlogin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/machine/ssh"
	"salvor/internal/machine/sshtest"
	"salvor/internal/secret"
)

const (
	password = "correct horse"
	renewed  = "battery staple"
)

// A visit is a host, the fleet's key, and what a person types there.
type visit struct {
	f    *sshtest.Fake
	key  string // the fleet's private one
	line string
	asks Asks

	asked     []string
	confirmed []string
}

func newVisit(t *testing.T, o sshtest.FakeOptions) *visit {
	t.Helper()
	root := machinetest.NewFake()
	root.Say(0, "", "true")
	o.Password, o.Root = password, root
	f, err := sshtest.StartFake(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	private, line, err := ssh.NewKey("salvor-fleet")
	if err != nil {
		t.Fatal(err)
	}
	v := &visit{f: f, key: filepath.Join(t.TempDir(), "key"), line: line}
	if err := os.WriteFile(v.key, private.Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	v.asks = Asks{Password: v.types("password", password), New: func() (secret.Value, error) {
		v.asked = append(v.asked, "new")
		return secret.NewString(renewed), nil
	}, Confirm: func(q string) error {
		v.confirmed = append(v.confirmed, q)
		return nil
	}, Sudo: func(wrong int, loggedIn bool) (secret.Value, error) {
		if loggedIn {
			return v.types("the same for sudo", "")(wrong)
		}
		return v.types("sudo", password)(wrong)
	}}
	return v
}

func (v *visit) types(what string, all ...string) func(int) (secret.Value, error) {
	return func(wrong int) (secret.Value, error) {
		if wrong >= len(all) {
			return secret.Value{}, ssh.ErrWrongPassword
		}
		v.asked = append(v.asked, what)
		return secret.NewString(all[wrong]), nil
	}
}

func (v *visit) options(user string) ssh.Options {
	return ssh.Options{Name: "alpha", Address: "127.0.0.1", Port: v.f.Port, User: user, Keys: []ssh.PublicKey{ssh.PublicKey(v.f.HostKey)}, Auth: ssh.Auth{Files: []string{v.key}}}
}

// enter is what salvor does: it opens the door where Dial is denied, and dials again.
func (v *visit) enter(t *testing.T, user string) (Opened, error) {
	t.Helper()
	m, err := ssh.Dial(t.Context(), v.options(user))
	if err == nil {
		return Opened{}, m.Close()
	}
	why := ssh.WhyDenied(err)
	if why == 0 {
		return Opened{}, err
	}
	done, err := Door{Login: v.options(user), User: user, Lines: []string{v.line}, Asks: v.asks}.Open(t.Context(), why)
	if err != nil {
		return done, err
	}
	m, err = ssh.Dial(t.Context(), v.options(user))
	if err != nil {
		return done, fmt.Errorf("dial after it: %w", err)
	}
	return done, m.Close()
}

func (v *visit) authorized(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(v.f.Home, ".ssh", "authorized_keys"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(content)
}

func (v *visit) block() string { return "# begin salvor\n" + v.line + "\n# end salvor\n" }

// TestOpen: one visit each, and a second one that finds nothing to do and asks nothing.
func TestOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user    string
		is      sshtest.FakeOptions
		there   string // authorized_keys before; "fleet" for the fleet's key
		want    Opened
		asked   []string
		confirm int
	}{
		"root with a password":            {user: "root", want: Opened{Keys: true}, asked: []string{"password"}},
		"other keys are there":            {user: "root", there: "# mine\nssh-rsa AAAA old", want: Opened{Keys: true}, asked: []string{"password"}},
		"asked by PAM":                    {user: "root", is: sshtest.FakeOptions{Interactive: true}, want: Opened{Keys: true}, asked: []string{"password"}},
		"an expired password":             {user: "root", is: sshtest.FakeOptions{Expired: true}, want: Opened{Keys: true, Changed: true}, asked: []string{"password", "new"}},
		"expired, asked by PAM":           {user: "root", is: sshtest.FakeOptions{Interactive: true, Expired: true}, want: Opened{Keys: true}, asked: []string{"password", "new"}},
		"a key, and an expired password":  {user: "root", is: sshtest.FakeOptions{Expired: true}, there: "fleet", want: Opened{Changed: true}, asked: []string{"password", "new"}},
		"sudo without a password":         {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoFree}, want: Opened{Keys: true}, asked: []string{"password"}},
		"sudo with the same password":     {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoAsks}, want: Opened{Keys: true, Sudo: true}, asked: []string{"password", "the same for sudo"}, confirm: 1},
		"a key, and sudo with a password": {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoAsks}, there: "fleet", want: Opened{Sudo: true}, asked: []string{"sudo"}, confirm: 1},
		"expired, and sudo with the new":  {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoAsks, Expired: true}, want: Opened{Keys: true, Changed: true, Sudo: true}, asked: []string{"password", "new", "the same for sudo"}, confirm: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.is.User = c.user
			v := newVisit(t, c.is)
			before := strings.ReplaceAll(c.there, "fleet", v.line+"\n")
			if before != "" {
				put(t, v.f.Home, before)
			}
			done, err := v.enter(t, c.user)
			if err != nil || done != c.want {
				t.Fatalf("%+v, %v; want %+v", done, err, c.want)
			}
			if diff := cmp.Diff(c.asked, v.asked); diff != "" || len(v.confirmed) != c.confirm {
				t.Errorf("asked (-want +got):\n%sconfirmed %q", diff, v.confirmed)
			}
			want := before
			if c.want.Keys {
				if want = before; want != "" && !strings.HasSuffix(want, "\n") {
					want += "\n"
				}
				want += v.block()
			}
			if got := v.authorized(t); got != want {
				t.Errorf("authorized_keys %q, want %q", got, want)
			}
			left(t, v)
			asked := len(v.asked)
			if done, err := v.enter(t, c.user); err != nil || done != (Opened{}) || len(v.asked) != asked || v.authorized(t) != want {
				t.Errorf("again: %+v, %v, asked %q", done, err, v.asked)
			}
		})
	}
}

// left checks modes, that no temporary file stays, and that no password was in a command line.
func left(t *testing.T, v *visit) {
	t.Helper()
	for path, want := range map[string]os.FileMode{filepath.Join(v.f.Home, ".ssh"): 0o700, filepath.Join(v.f.Home, ".ssh", "authorized_keys"): 0o600, filepath.Join(v.f.Sudoers, "salvor"): 0o440} {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) && strings.HasSuffix(path, "/salvor") {
			continue
		}
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	for _, dir := range []string{filepath.Join(v.f.Home, ".ssh"), v.f.Sudoers} {
		if names, err := filepath.Glob(dir + "/.salvor*"); err != nil || len(names) > 0 {
			t.Errorf("left behind: %q, %v", names, err)
		}
	}
	for _, line := range v.f.Lines() {
		if strings.Contains(line, password) || strings.Contains(line, renewed) {
			t.Errorf("a command line has the password: %s", line)
		}
	}
}

func put(t *testing.T, home, content string) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Join(home, ".ssh"), 0o700), os.WriteFile(filepath.Join(home, ".ssh", "authorized_keys"), []byte(content), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefused: what a visit ends with, and the second one after the fix.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user string
		is   sshtest.FakeOptions
		bad  func(*visit)
		want string
		hint string
		fix  func(*visit)
	}{
		"wrong password": {user: "root", bad: func(v *visit) { v.asks.Password = v.types("password", "wrong") },
			want: "access denied: root@127.0.0.1:PORT: wrong password", hint: "PermitRootLogin", fix: func(v *visit) { v.asks.Password = v.types("password", password) }},
		"no passwords": {user: "root", is: sshtest.FakeOptions{KeysOnly: true},
			want: "access denied: root@127.0.0.1:PORT: it accepts none of the keys, and takes no passwords", hint: "salvor key ssh prints the line for ~/.ssh/authorized_keys there", fix: func(v *visit) { v.f.Change(func(o *sshtest.FakeOptions) { o.KeysOnly = false }) }},
		"a new password that is too short": {user: "root", is: sshtest.FakeOptions{Expired: true}, bad: func(v *visit) {
			v.asks.New = func() (secret.Value, error) { return secret.NewString("short"), nil }
		}, want: "access denied: the host refuses the new password: BAD PASSWORD: The password is shorter than 8 characters", hint: "choose another one", fix: func(v *visit) {
			v.asks.New = func() (secret.Value, error) { return secret.NewString(renewed), nil }
		}},
		"disk full": {user: "root", is: sshtest.FakeOptions{Full: true},
			want: "write authorized_keys of root: sync: No space left on device", fix: func(v *visit) { v.f.Change(func(o *sshtest.FakeOptions) { o.Full = false }) }},
		"authorized_keys is a link": {user: "root", bad: func(v *visit) {
			put(t, v.f.Home, "")
			name := filepath.Join(v.f.Home, ".ssh", "authorized_keys")
			if err := errors.Join(os.Remove(name), os.Symlink("/elsewhere", name)); err != nil {
				t.Error(err)
			}
		}, want: "read authorized_keys of root: HOME/.ssh/authorized_keys is not a regular file", fix: func(v *visit) {
			if err := os.Remove(filepath.Join(v.f.Home, ".ssh", "authorized_keys")); err != nil {
				t.Error(err)
			}
		}},
		"half a block": {user: "root", bad: func(v *visit) { put(t, v.f.Home, "# begin salvor\n") },
			want: `~/.ssh/authorized_keys of root has the line "# begin salvor" without "# end salvor" after it`, fix: func(v *visit) { put(t, v.f.Home, "") }},
		"no sudo": {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoMissing},
			want: "access denied: ops can't become root: sudo is not installed", hint: "root@ADDRESS", fix: func(v *visit) { v.f.Change(func(o *sshtest.FakeOptions) { o.Sudo = sshtest.SudoAsks }) }},
		"may not use sudo": {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoRefuses},
			want: "access denied: ops may not use sudo: ops is not in the sudoers file.", hint: "adduser ops sudo", fix: func(v *visit) { v.f.Change(func(o *sshtest.FakeOptions) { o.Sudo = sshtest.SudoAsks }) }},
		"wrong password for sudo": {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoAsks}, bad: func(v *visit) {
			v.asks.Sudo = func(wrong int, _ bool) (secret.Value, error) { return v.types("sudo", "wrong", "again")(wrong) }
		}, want: "access denied: wrong password of ops for sudo", hint: "not root's", fix: func(v *visit) {
			v.asks.Sudo = func(wrong int, _ bool) (secret.Value, error) { return v.types("sudo", "wrong", password)(wrong) }
		}},
		"not confirmed": {user: "ops", is: sshtest.FakeOptions{Sudo: sshtest.SudoAsks}, bad: func(v *visit) {
			v.asks.Confirm = func(string) error { return errors.New("not confirmed, nothing was changed") }
		}, want: "not confirmed, nothing was changed", fix: func(v *visit) { v.asks.Confirm = func(string) error { return nil } }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.is.User = c.user
			v := newVisit(t, c.is)
			if c.bad != nil {
				c.bad(v)
			}
			_, err := v.enter(t, c.user)
			want := strings.NewReplacer("PORT", fmt.Sprint(v.f.Port), "HOME", v.f.Home).Replace(c.want)
			if err == nil || err.Error() != want || !strings.Contains(fault.Hint(err), c.hint) {
				t.Fatalf("%v (hint %q), want %q (%q)", err, fault.Hint(err), want, c.hint)
			}
			if strings.HasPrefix(want, "access denied") != errors.Is(err, machine.ErrDenied) {
				t.Errorf("%v is denied: %v", err, errors.Is(err, machine.ErrDenied))
			}
			c.fix(v)
			if _, err := v.enter(t, c.user); err != nil {
				t.Fatalf("the second run: %v", err)
			}
			left(t, v)
		})
	}
}

// TestSudoersKeepsOtherUsers adds a line to those that an earlier first login wrote.
func TestSudoersKeepsOtherUsers(t *testing.T) {
	t.Parallel()
	v := newVisit(t, sshtest.FakeOptions{User: "ops", Sudo: sshtest.SudoAsks})
	file := filepath.Join(v.f.Sudoers, "salvor")
	if err := os.WriteFile(file, []byte("ann ALL=(ALL:ALL) NOPASSWD: ALL\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := v.enter(t, "ops"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if want := "ann ALL=(ALL:ALL) NOPASSWD: ALL\nops ALL=(ALL:ALL) NOPASSWD: ALL\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// TestSudoersThatVisudoRefusesNeverCounts: the file stays as it was.
func TestSudoersThatVisudoRefusesNeverCounts(t *testing.T) {
	t.Parallel()
	v := newVisit(t, sshtest.FakeOptions{User: "ops", Sudo: sshtest.SudoAsks})
	file := filepath.Join(v.f.Sudoers, "salvor")
	if err := os.WriteFile(file, []byte("what is this\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := v.enter(t, "ops"); err == nil || !strings.HasPrefix(err.Error(), "write /etc/sudoers.d/salvor of ops") {
		t.Errorf("%v", err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "what is this\n" {
		t.Errorf("%q, %v", got, err)
	}
	left(t, v)
}
