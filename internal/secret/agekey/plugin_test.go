package agekey

import (
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"salvor/internal/secret"
)

const pluginName = "salvortest"

// TestMain is also the plugin: age starts it under the plugin's name. Its payload is
// an unencrypted X25519 identity, so that it needs no device.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "age-plugin-"+pluginName {
		os.Exit(m.Run())
	}
	p, err := plugin.New(pluginName)
	if err != nil {
		panic(err)
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return age.ParseX25519Recipient(string(data)) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) { return age.ParseX25519Identity(string(data)) })
	os.Exit(p.Main())
}

func TestAgePluginsWorkForOperators(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "age-plugin-"+pluginName)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	key := mustKey(t)
	recipient := plugin.EncodeRecipient(pluginName, []byte(key.Recipient))
	identity := plugin.EncodeIdentity(pluginName, key.Secret.Reveal())

	sealed, err := Encrypt(secret.NewString(canary), recipient)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, filepath.Join(t.TempDir(), "home.age"), []byte(identity+"\n"))
	f, err := Open(path, FileOptions{UI: plugin.NewTerminalUI(t.Logf, t.Logf)})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Decrypt("x", sealed, f); err != nil || string(v.Reveal()) != canary {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	withoutUI, _ := Open(path, FileOptions{})
	_, err = Decrypt("x", sealed, withoutUI)
	wantLocked(t, err)
}
