package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
)

const installDocker = "DEBIAN_FRONTEND=noninteractive apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "

func program(t *testing.T, env []string, argv ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestRegistryServesHosts(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "registry"})
	login := &lab.Login{User: "puller", Password: "not-a-secret"}
	open, err := l.Registry(ctx, "registry", nil)
	must(t, err)
	closed, err := l.Registry(ctx, "private", login)
	must(t, err)
	ref, err := open.Ref(ctx, lab.Nginx)
	must(t, err)
	private, err := closed.Ref(ctx, lab.Nginx)
	must(t, err)

	h, err := l.Host(ctx, "alpha", lab.HostOptions{})
	must(t, err)
	must(t, h.TrustRegistry(ctx, open.Address, closed.Address))
	_, err = h.Exec(ctx, "sh", "-c", installDocker+"docker.io docker-cli")
	must(t, err)

	_, err = h.Exec(ctx, "docker", "pull", "-q", ref)
	must(t, err)
	if _, err := h.Exec(ctx, "docker", "pull", "-q", private); err == nil {
		t.Error("the private registry serves everybody")
	}
	_, err = h.Exec(ctx, "docker", "login", "-u", login.User, "-p", login.Password, closed.Address)
	must(t, err)
	_, err = h.Exec(ctx, "docker", "pull", "-q", private)
	must(t, err)

	must(t, open.Down(ctx))
	if _, err := h.Exec(ctx, "docker", "pull", "-q", ref); err == nil {
		t.Error("a registry that is down serves images")
	}
	must(t, open.Up(ctx))
	_, err = h.Exec(ctx, "docker", "pull", "-q", ref)
	must(t, err)
}

func TestGitReadKey(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "git"})
	g, err := l.Git(ctx)
	must(t, err)
	hostKey, err := g.HostKey(ctx)
	must(t, err)
	dir := t.TempDir()
	known, reader, work := filepath.Join(dir, "known"), filepath.Join(dir, "reader"), filepath.Join(dir, "work")
	address := strings.TrimSuffix(strings.TrimPrefix(g.URL(), "ssh://git@"), "/srv/git/fleet.git")
	must(t, os.WriteFile(known, []byte(address+" "+hostKey+"\n"), 0o600))
	_, err = program(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", reader)
	must(t, err)
	public, err := os.ReadFile(reader + ".pub")
	must(t, err)
	as := func(key string) []string {
		return []string{fmt.Sprintf("GIT_SSH_COMMAND=ssh -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes -o BatchMode=yes -o ConnectTimeout=30", key, known)}
	}
	git := func(key string, argv ...string) (string, error) {
		return program(t, as(key), append([]string{"git", "-c", "user.name=lab", "-c", "user.email=lab@lab.invalid"}, argv...)...)
	}

	if out, err := git(reader, "clone", "-q", g.URL(), work); err == nil {
		t.Errorf("an unknown key may clone: %s", out)
	}
	out, err := git(l.Key(), "clone", "-q", g.URL(), work)
	if err != nil {
		t.Fatal(out)
	}
	for _, argv := range [][]string{{"checkout", "-q", "-b", "main"}, {"commit", "-q", "--allow-empty", "-m", "first"}, {"push", "-q", "origin", "main"}} {
		if out, err := git(l.Key(), append([]string{"-C", work}, argv...)...); err != nil {
			t.Fatalf("git %v: %s", argv, out)
		}
	}
	must(t, g.AddReadKey(ctx, string(public)))
	copied := filepath.Join(dir, "copy")
	if out, err := git(reader, "clone", "-q", g.URL(), copied); err != nil {
		t.Fatalf("clone with a read key: %s", out)
	}
	out, err = git(reader, "-C", work, "push", "origin", "main:other")
	if err == nil || !strings.Contains(out, "only read") {
		t.Errorf("push with a read key: %v: %s", err, out)
	}

	must(t, g.Down(ctx))
	if _, err := git(reader, "-C", copied, "fetch", "-q"); err == nil {
		t.Error("a Git host that is down answers")
	}
	must(t, g.Up(ctx))
	if out, err := git(reader, "-C", copied, "fetch", "-q"); err != nil {
		t.Errorf("fetch after the Git host came back: %s", out)
	}
}

func TestRemoteByWebDAVAndSFTP(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "remote"})
	r, err := l.Remote(ctx)
	must(t, err)
	h, err := l.Host(ctx, "alpha", lab.HostOptions{})
	must(t, err)
	_, err = h.Exec(ctx, "sh", "-c", installDocker+"rclone")
	must(t, err)
	obscured, err := h.Exec(ctx, "rclone", "obscure", r.Password)
	must(t, err)
	config := fmt.Sprintf("[dav]\ntype = webdav\nurl = %s\nvendor = other\nuser = %s\npass = %s\n", r.WebDAV(), r.User, obscured)
	config += fmt.Sprintf("[sftp]\ntype = sftp\nhost = %s\nport = %d\nuser = %s\npass = %s\n", r.SFTP().Addr(), r.SFTP().Port(), r.User, obscured)
	must(t, h.WriteFile(ctx, "/root/.config/rclone/rclone.conf", config))
	_, err = h.Exec(ctx, "sh", "-c", "head -c 40000000 /dev/urandom > /root/big")
	must(t, err)

	for _, name := range []string{"dav", "sftp"} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Exec(ctx, "rclone", "copyto", "--retries", "1", "/root/big", name+":"+name+"/big")
			must(t, err)
			_, err = h.Exec(ctx, "rclone", "check", "--download", "/root/big", name+":"+name)
			must(t, err)
			stored := filepath.Join(r.Dir, name, "big")
			content, err := os.ReadFile(stored)
			must(t, err)
			content[1000] ^= 1
			must(t, os.WriteFile(stored, content, 0o644))
			if _, err := h.Exec(ctx, "rclone", "check", "--download", "/root/big", name+":"+name); err == nil {
				t.Error("a tampered file reads like the original")
			}
		})
	}
	must(t, r.Down(ctx))
	if _, err := h.Exec(ctx, "rclone", "lsf", "--retries", "1", "--low-level-retries", "1", "--contimeout", "2s", "dav:"); err == nil {
		t.Error("a remote that is down answers")
	}
	must(t, r.Up(ctx))
	_, err = h.Exec(ctx, "rclone", "lsf", "dav:")
	must(t, err)
}
