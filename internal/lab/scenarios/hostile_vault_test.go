package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/webdav"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/world"
)

// A vault is a WebDAV server as docs/append-only.md describes it: the operator may do
// everything, other users delete and overwrite nothing, and move nothing but their own
// unfinished uploads to where nothing is.
type vault struct {
	dir   string
	users map[string]string // with their passwords
}

func newVault(t *testing.T, dir string) *vault {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	v := &vault{dir: dir, users: map[string]string{}}
	for _, user := range []string{"operator", "alpha", "beta"} {
		v.users[user] = "vault-password-of-" + user
	}
	return v
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	switch {
	case v.users[user] == "" || v.users[user] != password:
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "who are you", http.StatusUnauthorized)
	case user != "operator" && !v.allows(r):
		http.Error(w, "append-only", http.StatusForbidden)
	default:
		(&webdav.Handler{FileSystem: webdav.Dir(v.dir), LockSystem: webdav.NewMemLS()}).ServeHTTP(w, r)
	}
}

func (v *vault) allows(r *http.Request) bool {
	switch r.Method {
	case http.MethodPut:
		return !v.has(r.URL.Path)
	case "MOVE":
		to, err := url.Parse(r.Header.Get("Destination"))
		name := filepath.Base(r.URL.Path)
		return err == nil && strings.HasPrefix(name, ".salvor-") && strings.HasSuffix(name, ".part") && !v.has(to.Path)
	case http.MethodGet, http.MethodHead, http.MethodOptions, "PROPFIND", "MKCOL":
		return true
	}
	return false
}

func (v *vault) has(path string) bool {
	_, err := os.Stat(filepath.Join(v.dir, filepath.FromSlash(path)))
	return err == nil
}

// declare has fleet.yaml say that snapshots go to the vault, too.
func (v *vault) declare(t *testing.T, w *world.World, at string) {
	t.Helper()
	for user, password := range v.users {
		setSecret(t, w, "vault_"+user, password)
	}
	edit(t, w, "fleet.yaml", "\ndata:\n", fmt.Sprintf("\n  vault:\n    {type: webdav, url: %q, plain_http: true, vendor: other, user: operator, pass: \"secret:vault_operator\", hosts: {alpha: {user: alpha, pass: \"secret:vault_alpha\"}, beta: {user: beta, pass: \"secret:vault_beta\"}}}\ndata:\n", at))
	edit(t, w, "fleet.yaml", "  snapshots:\n", "  snapshots:\n    - {name: vault, remote: vault, path: salvor, every: 15m, keep: {last: 8, daily: 14}, append_only: true}\n")
	must(t, w.Commit(t.Context(), "a vault"))
}

// triesTheVault tries to delete and overwrite with alpha's credential. All of it stays
// as it is.
func (h *hostile) triesTheVault() {
	t, ctx := h.t, h.t.Context()
	for name, file := range h.loot.seals {
		for option, value := range file.Remotes["vault"].Options {
			if s := string(value); option == "pass" && s != h.vault.users["alpha"] || option == "user" && s != "alpha" {
				t.Errorf("alpha's seal of %s has the vault's %s %q", name, option, s)
			}
		}
	}
	before := h.inVault()
	folder := h.store(fleet.Location{Remote: "vault", Path: "salvor"})
	all, err := folder.List(ctx, "")
	must(t, err)
	if len(all) == 0 {
		t.Error("nothing lies in the vault")
	}
	for i, o := range all {
		err := folder.Delete(ctx, o.Path)
		if err == nil || errors.Is(err, blob.ErrNotExist) {
			t.Errorf("%s in the vault: deleted, %v", o.Path, err)
		}
		h.tried("delete from the append-only target", 1)
		if i%8 == 0 {
			if _, err := folder.Put(ctx, o.Path, strings.NewReader("junk"), 4); err == nil {
				t.Errorf("%s in the vault is overwritten", o.Path)
			}
			h.tried("overwrite on the append-only target", 1)
		}
	}
	after := h.inVault()
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s in the vault is not what it was", path)
		}
	}
	h.Count("files in the vault, each as it was", len(before))
}

// inVault lists what the vault has, but for what is being uploaded.
func (h *hostile) inVault() map[string]string {
	h.t.Helper()
	list, err := oracle.Manifest(h.vault.dir)
	must(h.t, err)
	all := map[string]string{}
	for _, e := range list {
		all[e.Path] = e.Mode + " " + e.SHA256
	}
	maps.DeleteFunc(all, func(path, _ string) bool { return strings.HasSuffix(path, ".part") || path == "." })
	return all
}
