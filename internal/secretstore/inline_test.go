package secretstore

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
)

// group is a YAML file with one value under the vault id prod.
func group(t *testing.T, files fstest.MapFS) {
	t.Helper()
	vault := strings.TrimSpace(string(sealed(t, canary, "of production", "prod").Data))
	files["secrets/group.yml"] = &fstest.MapFile{Data: []byte("# of the group\ndb:\n  user: notes\n  password: !vault |\n    " + strings.ReplaceAll(vault, "\n", "\n    ") + "\n")}
}

func TestValuesInYAML(t *testing.T) {
	s, files := newVaultStore(t)
	group(t, files)
	if got, err := s.Resolve(t.Context(), "group.yml/db.password"); err != nil || string(got.Reveal()) != canary {
		t.Fatalf("%q, %v", got.Reveal(), err)
	}
	if got, err := s.File(t.Context(), "secrets/group.yml/db.password"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("mounted by name: %q, %v", got.Reveal(), err)
	}
	before, err := s.Sealed("group.yml/db.password")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("set in place and beside", func(t *testing.T) {
		commit(t, files)(s.Writer().Set(t.Context(), "group.yml/db.token", secret.NewString("t")))
		if after, err := s.Sealed("group.yml/db.password"); err != nil || string(after) != string(before) {
			t.Errorf("another value changed what this one is sealed from: %v", err)
		}
		commit(t, files)(s.Writer().Set(t.Context(), "group.yml/db.password", secret.NewString("new-"+canary)))
		if after, err := s.SealedAt("secrets/group.yml/db.password"); err != nil || string(after) == string(before) {
			t.Errorf("a new value left what it is sealed from: %v", err)
		}
		if text := string(files["secrets/group.yml"].Data); !strings.HasPrefix(text, "# of the group\ndb:\n  user: notes\n  password: !vault |\n    $ANSIBLE_VAULT;1.2;AES256;prod\n") {
			t.Errorf("the rest changed:\n%s", text)
		}
	})
	t.Run("the whole file in clear", func(t *testing.T) {
		got, err := s.File(t.Context(), "secrets/group.yml")
		if err != nil {
			t.Fatal(err)
		}
		var plain struct{ DB map[string]string }
		if err := yaml.Unmarshal(got.Reveal(), &plain); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"user": "notes", "password": "new-" + canary, "token": "t"}, plain.DB); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("listed by name", func(t *testing.T) {
		names, err := s.Unfiled()
		if diff := cmp.Diff([]string{"group.yml/db.password", "group.yml/db.token"}, names); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		all, err := s.List()
		if err != nil || all[0].Name != "group.yml/db.password" || all[0].File != "secrets/group.yml" || all[0].OtherKeys[0] != "vault id prod" || !all[0].Fits || all[0].Stack != "" {
			t.Errorf("%+v, %v", all[0], err)
		}
	})
	t.Run("new recipients leave it alone", func(t *testing.T) {
		s.opts.Recipients = append(s.opts.Recipients, mustKey(t).Recipient)
		changes, err := s.Writer().Reencrypt()
		if _, changed := changes["secrets/group.yml"]; err != nil || changed {
			t.Errorf("changed %v, %v", changes.Paths(), err)
		}
	})
}

func TestYAMLFilesThatAreNone(t *testing.T) {
	s, files := newVaultStore(t)
	encrypted, err := sops.Encrypt("secrets/app.yaml", secret.NewString("a: "+canary+"\n"), s.opts.Recipients)
	commit(t, files)(Changes{"secrets/app.yaml": encrypted}, err)
	files["secrets/whole.yml"] = sealed(t, "a: "+canary, "of the default", "")
	files["secrets/plain.yml"] = &fstest.MapFile{Data: []byte("a: " + canary + "\n")}
	group(t, files)
	for name, want := range map[string]string{
		"app.yaml/a": "is a SOPS file", "whole.yml/a": "is one Ansible Vault", "plain.yml/a": "not encrypted", "group.yml/db.user": "is not encrypted", "group.yml/db": "is not encrypted",
	} {
		_, err := s.Resolve(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"app.yaml/a", "whole.yml/a", "plain.yml/a", "group.yml", "group.yml/db", "../x.yml/a", "a/../../x.yml/b"} {
		if changes, err := s.Writer().Set(t.Context(), name, secret.NewString(canary)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: set in %v", name, changes.Paths())
		}
	}
}

func TestNewYAMLFileTakesTheVaultThereIs(t *testing.T) {
	s, files := newVaultStore(t)
	commit(t, files)(s.Writer().Set(t.Context(), "new.yml/a", secret.NewString(canary)))
	if text := string(files["secrets/new.yml"].Data); !strings.HasPrefix(text, "a: !vault |\n          $ANSIBLE_VAULT;1.1;AES256\n") {
		t.Error(text)
	}
	s.Vaults = map[string]secret.Setting{"prod": s.Vaults["prod"]}
	commit(t, files)(s.Writer().Set(t.Context(), "other.yml/a", secret.NewString(canary)))
	if text := string(files["secrets/other.yml"].Data); !strings.Contains(text, ";prod\n") {
		t.Error(text)
	}
	s.Vaults["dev"] = secret.ParseSetting("secret:vault_dev")
	if _, err := s.Writer().Set(t.Context(), "third.yml/a", secret.NewString(canary)); err == nil || !strings.Contains(err.Error(), "does not have the vault id default, only dev, prod") {
		t.Errorf("which of two: %v", err)
	}
	s.Vaults = nil
	if _, err := s.Writer().Set(t.Context(), "third.yml/a", secret.NewString(canary)); !errors.Is(err, secret.ErrLocked) || fault.Hint(err) == "" {
		t.Errorf("no vault id: %v", err)
	}
}

func TestWeakVaultPasswordsAreReported(t *testing.T) {
	s, files := newVaultStore(t)
	group(t, files)
	var weak []string
	s.opts.Weak = func(id string) { weak = append(weak, id) }
	if _, err := s.Resolve(t.Context(), "group.yml/db.password"); err != nil || !slices.Equal(weak, []string{"prod"}) {
		t.Errorf("%v, %v", weak, err)
	}
	weak = nil
	commit(t, files)(s.Writer().Set(t.Context(), "vault_prod", secret.NewString("0f6e3b1c9d2a8475e6f7a8b9c0d1e2f3")))
	commit(t, files)(s.Writer().Set(t.Context(), "new.yml/a", secret.NewString("x")))
	if !slices.Equal(weak, []string{"default"}) {
		t.Errorf("%v", weak)
	}
}

func TestCommandsAreSecretsToo(t *testing.T) {
	s := printed(t)
	s.Put(t, []byte(canary))
	store := s.Store.(*renewed).Store
	store.Secrets = append(store.Secrets, fleet.Secret{Name: "notes/DB_PASSWORD", Command: []string{"cat"}, Revision: 3}, fleet.Secret{Name: "plain", Rotate: 1})
	if names, err := store.Unfiled(); err != nil || !slices.Equal(names, []string{"token"}) {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := store.EnvNames("notes"); err != nil || !slices.Equal(names, []string{"DB_PASSWORD"}) {
		t.Errorf("%v, %v", names, err)
	}
	all, err := store.List()
	if err != nil || len(all) != 2 || all[0].Name != "token" || all[0].Command == nil || all[1].Stack != "notes" || all[1].Revision != 3 {
		t.Errorf("%+v, %v", all, err)
	}
	if got, err := store.File(t.Context(), "secrets/token"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("mounted: %v", err)
	}
	one, err := store.Sealed("token")
	if err != nil || strings.Contains(string(one), canary) {
		t.Errorf("%s, %v", one, err)
	}
	store.Secrets[0].Revision++
	if two, err := store.SealedAt("secrets/token"); err != nil || string(one) == string(two) {
		t.Errorf("a new revision left what it is sealed from: %s, %v", two, err)
	}
	if _, err := store.Writer().Set(t.Context(), "token", secret.NewString("x")); !errors.Is(err, secret.ErrReadOnly) || fault.Hint(err) != "change it there, then salvor secret rotate token" {
		t.Errorf("set: %v (%s)", err, fault.Hint(err))
	}
}

// TestAProgramCanPrintAVaultPassword lets one kind of store open another.
func TestAProgramCanPrintAVaultPassword(t *testing.T) {
	s := printed(t)
	s.Put(t, []byte("of the default"))
	store := s.Store.(*renewed).Store
	files := fstest.MapFS{"secrets/x": sealed(t, canary, "of the default", "")}
	store.Files, store.Vaults = files, map[string]secret.Setting{"default": secret.ParseSetting("secret:token")}
	if got, err := store.Resolve(t.Context(), "x"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("%v", err)
	}
}
