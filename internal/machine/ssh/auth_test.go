package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"salvor/internal/machine"
	"salvor/internal/machine/sshtest"
	"salvor/internal/secret"
	"salvor/internal/socketdir"
)

func TestPassphraseIsAskedOnlyForAKeyThatIsTaken(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	o.Handshake = time.Second
	asked := 0
	o.Auth = Auth{Files: []string{server.LockedKey}, Passphrase: func(file string, _ int) (secret.Value, error) {
		asked++
		<-time.After(1200 * time.Millisecond) // a person types longer than the handshake may take
		return secret.NewString("open sesame"), nil
	}}
	dial(t, o)
	o.Auth.Files = []string{server.UserKey, server.LockedKey}
	dial(t, o)
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	o.Auth = Auth{Files: []string{server.LockedKey}, Passphrase: func(file string, wrong int) (secret.Value, error) {
		if wrong == 2 {
			return secret.Value{}, errors.New(file + ": no more tries")
		}
		return secret.NewString("wrong"), nil
	}}
	if _, err := Dial(t.Context(), o); !errors.Is(err, machine.ErrDenied) || !strings.Contains(err.Error(), server.LockedKey+": no more tries") {
		t.Errorf("wrong passphrase: %v", err)
	}
	o.Auth.Passphrase = func(_ string, wrong int) (secret.Value, error) {
		return secret.NewString([]string{"wrong", "open sesame"}[wrong]), nil
	}
	dial(t, o) // at the second try
}

func TestTheKeptKeyIsOpenedOnlyForAHostThatTakesNoOther(t *testing.T) {
	server := sshtest.Start(t)
	private, err := os.ReadFile(server.UserKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(server.UserKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	kept := KeptKey{Public: PublicKey(strings.TrimSpace(string(public))), Open: func(context.Context) (secret.Value, error) {
		opened++
		return secret.New(private), nil
	}}
	o := options(server)
	o.Auth = Auth{Files: []string{server.OtherKey}, Kept: []KeptKey{kept}}
	dial(t, o)
	o.Auth = Auth{Files: []string{server.UserKey}, Kept: []KeptKey{kept}}
	dial(t, o)
	if opened != 1 {
		t.Errorf("opened %d times, want once", opened)
	}
}

func TestAMadeKeyIsOneThatSSHTakes(t *testing.T) {
	private, line, err := NewKey("salvor-home")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	public, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || comment != "salvor-home" || string(public.Marshal()) != string(signer.PublicKey().Marshal()) {
		t.Errorf("line %q, %v", line, err)
	}
}

func TestKeysOfAnAgent(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	o.Auth = Auth{Agent: startAgent(t, server.OtherKey, server.UserKey), Files: []string{filepath.Join(t.TempDir(), "none")}}
	dial(t, o)
}

func TestAKeyInTheAgentNeedsNoPassphrase(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	o.Auth = Auth{Agent: startAgent(t, server.LockedKey), Files: []string{server.LockedKey}, Passphrase: func(string, int) (secret.Value, error) {
		return secret.Value{}, errors.New("asked")
	}}
	dial(t, o)
}

// TestMoreKeysThanSSHDLetsOneConnectionTry are tried over several, and the one that was taken is first the next time.
func TestMoreKeysThanSSHDLetsOneConnectionTry(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	held := agent.NewKeyring()
	for range 8 {
		private, _, err := NewKey("another")
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(private.Reveal())
		if err == nil {
			err = held.Add(agent.AddedKey{PrivateKey: key})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	socket, stop, err := serveAgent(t.Context(), held)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	private, err := os.ReadFile(server.UserKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(server.UserKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	var took []PublicKey
	note := func(k PublicKey) { took = append(took, k) }
	kept := KeptKey{Public: PublicKey(strings.TrimSpace(string(public))), Open: func(context.Context) (secret.Value, error) { return secret.New(private), nil }}
	o.Auth = Auth{Agent: socket, Kept: []KeptKey{kept}, Took: note}
	dial(t, o)
	if len(took) > 0 {
		t.Errorf("a kept key was noted: %q", took)
	}
	key, err := ssh.ParseRawPrivateKey(private)
	if err == nil {
		err = held.Add(agent.AddedKey{PrivateKey: key})
	}
	if err != nil {
		t.Fatal(err)
	}
	o.Auth = Auth{Agent: socket, Took: note}
	dial(t, o)
	if len(took) != 1 || !isKey(string(took[0]), mustParse(t, kept.Public)) {
		t.Fatalf("the host took %q", took)
	}
	o.Auth.Last = took[0]
	signers, err := held.Signers()
	if err != nil {
		t.Fatal(err)
	}
	if all := first(signers, took[0]); len(all) != 9 || !isKey(string(took[0]), all[0].PublicKey()) || isKey(string(took[0]), all[8].PublicKey()) {
		t.Errorf("%d keys, the one that was taken is not the first", len(all))
	}
	dial(t, o)
}

func mustParse(t *testing.T, key PublicKey) ssh.PublicKey {
	t.Helper()
	public, err := key.parse()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestAPassphraseIsAskedOnce in a process that connects twice.
func TestAPassphraseIsAskedOnce(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	asked := 0
	o.Auth = Auth{Files: []string{server.LockedKey}, Unlocked: &Unlocked{}, Passphrase: func(string, int) (secret.Value, error) {
		asked++
		return secret.NewString("open sesame"), nil
	}}
	dial(t, o)
	dial(t, o)
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// startAgent serves the keys on a socket, as ssh-agent does.
func startAgent(t *testing.T, files ...string) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.ParseRawPrivateKey(content)
		if err != nil {
			key, err = ssh.ParseRawPrivateKeyWithPassphrase(content, []byte("open sesame"))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := socketdir.Make("agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(ring, conn)
		}
	}()
	return l.Addr().String()
}

func TestUserAuthFollowsTheSSHConfiguration(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("SSH_AUTH_SOCK", "/agent")
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	standard := []string{home + "/.ssh/id_ed25519", home + "/.ssh/id_ecdsa", home + "/.ssh/id_rsa"}
	for name, c := range map[string]struct {
		config, host string
		want         []string
	}{
		"none":             {"", "a.example", standard},
		"for this host":    {"Host *.example\n  IdentityFile ~/.ssh/lab\nHost *\n  IdentityFile %d/other\n", "a.example", []string{home + "/.ssh/lab", home + "/other"}},
		"for another host": {"Host b.example\n  IdentityFile ~/.ssh/lab\n", "a.example", standard},
		"not understood":   {"Match exec \"true\"\n  IdentityFile ~/.ssh/lab\n", "a.example", standard},
	} {
		if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		auth, err := UserAuth(c.host)
		if err != nil || auth.Agent != "/agent" {
			t.Errorf("%s: %+v, %v", name, auth, err)
		}
		if diff := cmp.Diff(c.want, auth.Files); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
