package scenarios

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// TestSurroundings runs a fleet in other surroundings: a registry that asks for
// a login, a remote that speaks SFTP, and a host reached as a user with sudo
// through another host.
func TestSurroundings(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, time.Second)
	var collector oracle.Collector
	login := &lab.Login{User: "puller", Password: "lab-registry-password"}
	w, err := world.New(ctx, s.Lab, world.Options{SFTP: true, Login: login, Log: testLog{t}})
	must(t, err)
	images, err := w.Images(ctx)
	must(t, err)
	fleet, err := w.Read("fleet.yaml")
	must(t, err)
	must(t, w.Write("fleet.yaml", fleet+fmt.Sprintf("registries:\n  %q: {username: puller, password: \"secret:registry_password\"}\n", w.Registry.Address)))
	must(t, w.Commit(ctx, "the registry asks for a login"))
	_, err = w.Salvor(ctx, strings.NewReader(login.Password), "secret", "set", "registry_password")
	must(t, err)

	bastion, err := w.Lab.Host(ctx, "bastion", lab.HostOptions{})
	must(t, err)
	beta, err := w.Host(ctx, "beta", lab.HostOptions{})
	must(t, err)
	must(t, withSudoUser(t, beta))
	jumpPrint, err := world.Fingerprint(ctx, bastion)
	must(t, err)
	print, err := world.Fingerprint(ctx, beta)
	must(t, err)
	gitKey, err := w.Salvor(ctx, nil, "host", "add", "beta", "ops@"+beta.Address.String(), "--jump", "root@"+bastion.Address.String(), "--jump-key", jumpPrint, "--host-key", print)
	must(t, err)
	must(t, w.Git.AddReadKey(ctx, strings.TrimSpace(gitKey)))

	st := world.Stack{Name: "notes", Store: "sqlite", Host: "beta", Port: 8081, Every: "20ms", Size: 100}
	must(t, w.Write("stacks/notes/compose.yaml", st.Compose(images, listen(t, s.Lab, &collector))))
	must(t, w.Commit(ctx, "notes"))
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	_, err = w.Salvor(ctx, nil, "plan", "--check")
	must(t, err)
	out, err := w.Salvor(ctx, nil, "snapshot", "take", "notes")
	must(t, err)
	t.Log(out)
	_, err = w.Salvor(ctx, nil, "exec", "notes", "app", "/writer", "health")
	must(t, err)
	if _, err := w.Salvor(ctx, nil, "status"); err != nil {
		t.Error(err)
	}
	s.Count("rows acknowledged", len(collector.Acks("notes")))
	leaks, err := beta.Exec(ctx, "sh", "-c", "grep -rlF lab-registry-password /etc /var/lib/salvor /root /home 2>/dev/null; true")
	if err != nil || strings.TrimSpace(leaks) != "" {
		t.Errorf("the registry's password lies on the host's disk: %s, %v", leaks, err)
	}
}

// withSudoUser gives the host a user ops whom the operator's key lets in, with
// sudo for everything.
func withSudoUser(t *testing.T, h *lab.Host) error {
	t.Helper()
	script := `useradd -m -s /bin/bash ops && install -d -m 700 -o ops -g ops /home/ops/.ssh &&
install -m 600 -o ops -g ops /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys &&
echo 'ops ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/ops`
	_, err := h.Exec(t.Context(), "sh", "-c", script)
	return err
}
