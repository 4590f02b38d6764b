package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/storage"
)

// loot is what root finds on alpha, in /etc/salvor: keys, and what they open.
type loot struct {
	identity *age.X25519Identity
	signer   sign.Key // alpha's own
	gitKey   string   // a file
	spec     agentapi.Host
	seals    map[string]agentapi.SealedFile
}

// steal takes alpha's files and opens its seals.
func (h *hostile) steal() loot {
	t := h.t
	read := func(name string) string { return exec(t, h.alpha, "cat /etc/salvor/"+name) + "\n" }
	l := loot{gitKey: filepath.Join(t.TempDir(), "git_ed25519"), seals: map[string]agentapi.SealedFile{}}
	ids, err := age.ParseIdentities(strings.NewReader(read("host.age")))
	must(t, err)
	l.identity = ids[0].(*age.X25519Identity)
	l.signer, err = sign.ParseKey(secret.NewString(read("host.sign")))
	must(t, err)
	must(t, os.WriteFile(l.gitKey, []byte(read("git_ed25519")), 0o600))
	must(t, json.Unmarshal([]byte(read("fleet.json")), &l.spec))
	for _, st := range l.spec.Stacks {
		plain, err := opened(st.Sealed, l.identity)
		must(t, err)
		var file agentapi.SealedFile
		must(t, json.Unmarshal(plain, &file))
		l.seals[st.Name] = file
	}
	h.Count("seals of alpha opened", len(l.seals))
	return l
}

func opened(sealed []byte, with age.Identity) ([]byte, error) {
	r, err := age.Decrypt(agekey.Dearmored(sealed), with)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// store opens a folder of the remote with the credential in alpha's seals.
func (h *hostile) store(where fleet.Location) *storage.Folder {
	h.t.Helper()
	folder, err := storage.Open(h.t.Context(), storage.Unsealed(h.loot.seals["notes"].Remotes), where)
	must(h.t, err)
	h.t.Cleanup(func() { folder.Close(context.WithoutCancel(h.t.Context())) })
	return folder
}

// put writes a file with the stolen credential.
func (h *hostile) put(store *storage.Folder, path string, content []byte) {
	h.t.Helper()
	_, err := store.Put(h.t.Context(), path, bytes.NewReader(content), int64(len(content)))
	must(h.t, err)
}

// got reads one with it.
func (h *hostile) got(store *storage.Folder, path string) []byte {
	h.t.Helper()
	r, err := store.Get(h.t.Context(), path, 0, -1)
	must(h.t, err)
	defer r.Close()
	content, err := io.ReadAll(r)
	must(h.t, err)
	return content
}

// enclosed is content signed by alpha's key, the only one that the thief has.
func (h *hostile) enclosed(kind sign.Kind, path string, content []byte) []byte {
	h.t.Helper()
	signed, err := h.loot.signer.Enclose(kind, path, content)
	must(h.t, err)
	return signed
}

// git runs git with an SSH key, as someone who is not an operator.
func (h *hostile) git(dir, key string, args ...string) (string, error) {
	known := filepath.Join(h.t.TempDir(), "known_hosts")
	must(h.t, os.WriteFile(known, []byte(strings.Join(h.loot.spec.Git.KnownHosts, "\n")+"\n"), 0o600))
	cmd := osexec.CommandContext(h.t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(h.loot.gitKey), "GIT_SSH_COMMAND=ssh -i " + key + " -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=" + known,
		"GIT_AUTHOR_NAME=eve", "GIT_AUTHOR_EMAIL=eve@example.net", "GIT_COMMITTER_NAME=eve", "GIT_COMMITTER_EMAIL=eve@example.net",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// cloned clones the repository with alpha's deploy key.
func (h *hostile) cloned() string {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), "clone")
	_, err := h.git("/", h.loot.gitKey, "clone", "-q", h.loot.spec.Git.URL, dir)
	must(h.t, err)
	return dir
}

// reads tries alpha's keys on all that they reach.
func (h *hostile) reads() {
	t := h.t
	dir := h.cloned()
	_, err := h.git(dir, h.loot.gitKey, "commit", "-q", "--allow-empty", "-m", "mine")
	must(t, err)
	if _, err := h.git(dir, h.loot.gitKey, "push", "-q", "origin", "HEAD"); err == nil {
		t.Error("the deploy key may push")
	}
	h.tried("push with the deploy key", 1)
	own := h.loot.identity.Recipient().String()
	for name, content := range filesBelow(h, dir) {
		switch {
		case strings.Contains(name, "/.git/"):
		case strings.HasSuffix(name, ".age"):
			h.tried("open a sealed file", 1)
			if _, err := opened(content, h.loot.identity); err == nil != strings.Contains(name, "/sealed/alpha/") {
				t.Errorf("%s: alpha opens it: %t", name, err == nil)
			}
		case strings.Contains(name, "/secrets/"):
			h.tried("open a secret", 1)
			if bytes.Contains(content, []byte(own)) {
				t.Errorf("%s is encrypted to alpha", name)
			}
		}
		h.hides(name, content)
	}
	for name, content := range filesBelow(h, h.w.Remote.Dir) {
		h.hides(name, content)
	}
	if found := exec(t, h.alpha, "grep -rlF -- "+wikiToken+" /etc/salvor /var/lib/salvor /run/salvor || :"); found != "" {
		t.Errorf("the token of wiki is on alpha: %s", found)
	}
}

// hides checks that a file which alpha reaches has nothing of beta's in plain text.
func (h *hostile) hides(name string, content []byte) {
	h.t.Helper()
	if bytes.Contains(content, []byte(wikiToken)) {
		h.t.Errorf("the token of wiki is in %s", name)
	}
	h.Count("files searched for beta's secret", 1)
}

func filesBelow(h *hostile, dir string) map[string][]byte {
	h.t.Helper()
	all := map[string][]byte{}
	must(h.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // a snapshot's lock
		}
		all[path] = content
		return err
	}))
	return all
}

// now is a time as the record has it.
func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }
