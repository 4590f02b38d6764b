package secretstore

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
)

// newVaultStore has the passwords of two vault ids, as SOPS files.
func newVaultStore(t *testing.T) (*Store, fstest.MapFS) {
	t.Helper()
	s, files, _ := newStore(t)
	s.Vaults = map[string]secret.Setting{"default": secret.ParseSetting("secret:vault_password"), "prod": secret.ParseSetting("secret:vault_prod")}
	for name, password := range map[string]string{"vault_password": "of the default", "vault_prod": "of production\n"} {
		commit(t, files)(s.Writer().Set(t.Context(), name, secret.NewString(password)))
	}
	return s, files
}

func sealed(t *testing.T, value, password, id string) *fstest.MapFile {
	t.Helper()
	data, err := ansiblevault.Seal(secret.NewString(value), secret.NewString(password), id)
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: data}
}

func TestVaultsAreSecretsToo(t *testing.T) {
	s, files := newVaultStore(t)
	files["secrets/cloudflare_token"] = sealed(t, canary, "of the default", "")
	files["secrets/notes/tls.pem"] = sealed(t, canary, "of production", "prod")
	files["secrets/mislabelled"] = sealed(t, canary, "of production", "")

	for _, name := range []string{"cloudflare_token", "mislabelled"} {
		if got, err := s.Resolve(t.Context(), name); err != nil || string(got.Reveal()) != canary {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
	if got, err := s.File(t.Context(), "secrets/notes/tls.pem"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("file: %q, %v", got.Reveal(), err)
	}

	t.Run("one that is set stays one", func(t *testing.T) {
		commit(t, files)(s.Writer().Set(t.Context(), "cloudflare_token", secret.NewString("new-"+canary)))
		if !bytes.HasPrefix(files["secrets/cloudflare_token"].Data, []byte("$ANSIBLE_VAULT;1.1;AES256\n")) {
			t.Error("it is no vault any more")
		}
		if got, err := s.Resolve(t.Context(), "cloudflare_token"); err != nil || string(got.Reveal()) != "new-"+canary {
			t.Errorf("%q, %v", got.Reveal(), err)
		}
	})
	t.Run("the list says what opens them", func(t *testing.T) {
		all, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, i := range all {
			found[i.Name] = strings.Join(i.OtherKeys, " ")
		}
		if found["notes/tls.pem"] != "vault id prod" || found["cloudflare_token"] != "vault id default" {
			t.Errorf("%v", found)
		}
	})
	t.Run("new recipients leave them alone", func(t *testing.T) {
		s.opts.Recipients = append(s.opts.Recipients, mustKey(t).Recipient)
		changes, err := s.Writer().Reencrypt()
		if err != nil {
			t.Fatal(err)
		}
		if _, changed := changes["secrets/cloudflare_token"]; changed || len(changes) != 2 {
			t.Errorf("changed %v", changes.Paths())
		}
	})
}

func TestVaultsThatDoNotOpen(t *testing.T) {
	s, files := newVaultStore(t)
	files["secrets/unknown_id"] = sealed(t, canary, "of nobody", "staging")
	files["secrets/tampered"] = sealed(t, canary, "of the default", "")
	data := files["secrets/tampered"].Data
	data[len(data)-3] ^= 1
	files["secrets/cut"] = &fstest.MapFile{Data: data[:len(data)/2]}
	files["secrets/notes.env"] = sealed(t, "A="+canary+"\n", "of the default", "")

	for name, want := range map[string][]error{
		"unknown_id": {secret.ErrLocked}, "cut": {ansiblevault.ErrFormat},
		"tampered": {secret.ErrLocked, ansiblevault.ErrFormat}, // where the digit is still one, or not
	} {
		_, err := s.Resolve(t.Context(), name)
		if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "secrets/"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.EnvNames("notes"); err == nil || !strings.Contains(err.Error(), "secrets/notes.env is an Ansible Vault") {
		t.Errorf("a stack's variables: %v", err)
	}
	s.Vaults["prod"] = secret.ParseSetting("secret:tampered")
	files["secrets/x"] = sealed(t, canary, "p", "prod")
	if _, err := s.Resolve(t.Context(), "x"); err == nil {
		t.Error("a vault opened with the password in a vault")
	}
}

func TestThePasswordOfVaultsTakesThemAlong(t *testing.T) {
	s, files := newVaultStore(t)
	files["secrets/cloudflare_token"] = sealed(t, canary, "of the default", "")
	files["secrets/notes/tls.pem"] = sealed(t, canary, "of production", "prod")
	files["secrets/mislabelled"] = sealed(t, canary, "of production", "")
	other := slices.Clone(files["secrets/notes/tls.pem"].Data)

	changes, err := s.Writer().Set(t.Context(), "vault_password", secret.NewString("another"))
	if want := []string{"secrets/cloudflare_token", "secrets/vault_password"}; err != nil || !slices.Equal(changes.Paths(), want) {
		t.Fatalf("%v, %v, want %v", changes.Paths(), err, want)
	}
	commit(t, files)(changes, nil)
	for _, name := range []string{"cloudflare_token", "mislabelled", "notes/tls.pem"} {
		if got, err := s.Resolve(t.Context(), name); err != nil || string(got.Reveal()) != canary {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
	if !bytes.Equal(other, files["secrets/notes/tls.pem"].Data) {
		t.Error("a vault of another id was changed")
	}
}

func TestFilesInFoldersHaveNamesToo(t *testing.T) {
	s, files := newVaultStore(t)
	files["secrets/notes/tls.pem"] = sealed(t, canary, "of the default", "")
	if _, _, ok := s.Variable("notes/tls.pem"); ok {
		t.Error("a file counts as a variable")
	}
	if stack, name, ok := s.Variable("notes/DB"); !ok || stack != "notes" || name != "DB" {
		t.Errorf("%s, %s, %v", stack, name, ok)
	}
	commit(t, files)(s.Writer().Set(t.Context(), "notes/tls.pem", secret.NewString("new")))
	if got, err := s.Resolve(t.Context(), "notes/tls.pem"); err != nil || string(got.Reveal()) != "new" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
	for _, name := range []string{"notes/new.pem", "../fleet.yaml", "notes/../vault_password"} {
		if _, err := s.Writer().Set(t.Context(), name, secret.NewString("x")); err == nil {
			t.Errorf("%s was set", name)
		}
	}
}
