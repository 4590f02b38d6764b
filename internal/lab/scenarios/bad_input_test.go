package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

// TestBadInput tries what can be wrong only where there are hosts: each command
// ends with its code and one line that says what, and changes nothing. (What
// needs no host is in cmd/salvor/testdata/script/bad-input.txtar.)
func TestBadInput(t *testing.T) {
	ctx := t.Context()
	s := scenario.Begin(t, time.Second)
	w, images, alpha := onAlpha(t, s)
	for i, name := range []string{"big", "locked", "lost", "older"} {
		st := world.Stack{Name: name, Store: "files", Host: "alpha", Port: 8081 + i, Every: "20ms", Size: 100, Limit: 50}
		must(t, w.Write("stacks/"+name+"/compose.yaml", st.Compose(images, "")))
	}
	must(t, w.Commit(ctx, "four stacks"))
	_, err := w.Salvor(ctx, nil, "apply")
	must(t, err)
	_, err = alpha.Exec(ctx, "sh", "-c", "head -c 25000000 /dev/urandom >/var/lib/docker/volumes/big_data/_data/big")
	must(t, err)
	for _, name := range []string{"big", "locked", "lost", "older", "older"} {
		_, err = w.Salvor(ctx, nil, "snapshot", "take", name)
		must(t, err)
	}
	b := &badInput{t: t, s: s, w: w}
	b.changedHostKey(ctx, alpha)
	b.olderCompose(ctx, images.Nginx)
	b.remoteAway(ctx)
	must(t, alpha.Kill(ctx))
	b.refused(ctx, fault.Unreachable, `^salvor: not every host could be reached: 1 of 1$`, "plan")
	b.refused(ctx, fault.Unreachable, `^salvor: not every host could be reached: alpha: `, "apply")
	b.refused(ctx, fault.Unreachable, `^salvor: .*alpha`, "snapshot", "take", "big")
	b.recoverInVain(ctx)
}

type badInput struct {
	t *testing.T
	s *scenario.Scenario
	w *world.World
}

// changedHostKey pins another key than the one that the host shows.
func (b *badInput) changedHostKey(ctx context.Context, h *lab.Host) {
	known, err := b.w.Read("hosts/known_hosts")
	must(b.t, err)
	other := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(h.Address.String())+` .*$`).ReplaceAllString(known,
		h.Address.String()+" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ")
	if other == known {
		b.t.Fatalf("no line for %s in\n%s", h.Address, known)
	}
	must(b.t, b.w.Write("hosts/known_hosts", other))
	must(b.t, b.w.Commit(ctx, "another host key"))
	b.refused(ctx, fault.Unreachable, `^salvor: .*alpha.*host key`, "apply")
	b.refused(ctx, fault.Unreachable, `^salvor: alpha: host key not trusted: `, "snapshot", "take", "big")
	must(b.t, b.w.Write("hosts/known_hosts", known))
	must(b.t, b.w.Commit(ctx, "the host key again"))
}

// olderCompose declares a stack with a key that the specification has and the
// Compose 2.26 of Debian 13 does not know.
func (b *badInput) olderCompose(ctx context.Context, image string) {
	const folder = "stacks/newer"
	must(b.t, b.w.Write(folder+"/compose.yaml", "x-salvor: {host: alpha}\nservices:\n  web:\n    image: "+image+"\n    networks: {default: {interface_name: eth9}}\nnetworks: {default: {}}\n"))
	must(b.t, b.w.Commit(ctx, "a newer key"))
	const why = `alpha/newer: the host's Docker Compose rejects the project: .*interface_name.* \[compose-refused\]$`
	b.refused(ctx, fault.General, "^salvor: the 2 problems above are in the way$", "plan") // its engine is too old for the key, too
	plan, err := b.w.Salvor(ctx, nil, "plan", "--quiet")
	if b.ended(err, fault.General); !regexp.MustCompile("(?m)^fatal: " + why).MatchString(plan) {
		b.t.Errorf("the plan of a stack that the host refuses says %s", plan)
	}
	_, err = b.w.Salvor(ctx, nil, "apply")
	if said := b.ended(err, fault.Partial); !regexp.MustCompile(`newer is left running as it is: ` + strings.TrimSuffix(why, "$")).MatchString(said) {
		b.t.Errorf("an apply that leaves a stack out says %s", said)
	}
	must(b.t, os.RemoveAll(filepath.Join(b.w.Dir, folder)))
	must(b.t, b.w.Commit(ctx, "without it"))
}

func (b *badInput) remoteAway(ctx context.Context) {
	must(b.t, b.w.Remote.Down(ctx))
	b.refused(ctx, fault.Unreachable, `^salvor: alpha: .*(remote|nas|offsite)`, "snapshot", "take", "big")
	must(b.t, b.w.Remote.Up(ctx))
}

// recoverInVain recovers onto a host whose disk is too small for one stack, with a
// wrong repository password for the second, without the snapshots of the third and
// without the newest of the fourth; for which the same command with the consent to
// that loss restores the previous one.
func (b *badInput) recoverInVain(ctx context.Context) {
	b.wrongPassword(ctx, "locked")
	must(b.t, os.RemoveAll(filepath.Join(b.w.Remote.Dir, "salvor", "snapshots", "lost")))
	b.loseNewest("older")
	gamma, err := b.w.Host(ctx, "gamma", lab.HostOptions{})
	must(b.t, err)
	_, err = gamma.Exec(ctx, "sh", "-c", "mkdir -p /var/lib/docker/volumes && mount -t tmpfs -o size=8m tmpfs /var/lib/docker/volumes")
	must(b.t, err)
	key, err := world.Fingerprint(ctx, gamma)
	must(b.t, err)
	before := b.stored()

	again := []string{"recover", "alpha", "--to", "gamma=root@" + gamma.Address.String(), "--host-key", key}
	_, err = b.w.Salvor(ctx, nil, append([]string{"--quiet"}, again...)...)
	said := b.ended(err, fault.Partial)
	for _, want := range []string{
		`(?m)^salvor: gamma: big: .*not enough disk space at /var/lib/docker/volumes.*: \d+ MiB are needed, \d+ MiB are free$`,
		`(?m)^salvor: gamma: locked: .*volume data: its data is not ready here, and the password in the sealed file does not open its repository$`,
		`(?m)^salvor: gamma: lost: .*volume data: its data is not ready here, and its newest snapshot is missing: .* was proven: the remote does not list it$`,
		`(?m)^salvor: gamma: older: .*volume data: its data is not ready here, and its newest snapshot is missing: .* was proven: the remote does not list it\ngamma says: .*--accept-loss for the newest that is left, `,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			b.t.Errorf("no line %s in\n%s", want, said)
		}
	}
	if diff := cmp.Diff(before, b.stored()); diff != "" {
		b.t.Errorf("the snapshots on the remote changed (-before +after):\n%s", diff)
	}
	running, err := gamma.Exec(ctx, "docker", "ps", "--quiet")
	if err != nil || strings.TrimSpace(running) != "" {
		b.t.Errorf("started on gamma without their data: %q %v", running, err)
	}
	b.s.Count("refusals", 4)
	_, err = b.w.Salvor(ctx, nil, append(again, "--accept-loss")...)
	said = b.ended(err, fault.Partial)
	if !regexp.MustCompile(`is missing on the remote and was given up; .* was restored, and data written after it is lost, that is \d+`).MatchString(said) {
		b.t.Errorf("the loss is not said:\n%s", said)
	}
	running, err = gamma.Exec(ctx, "docker", "ps", "--format", "{{.Names}}")
	if err != nil || !regexp.MustCompile(`^(older-\S+\s*)+$`).MatchString(running) {
		b.t.Errorf("with consent these run on gamma: %q %v", running, err)
	}
}

// loseNewest removes a stack's newest snapshot from the remote. The record says
// which it is.
func (b *badInput) loseNewest(stack string) {
	proven, err := filepath.Glob(filepath.Join(b.w.Remote.Dir, filepath.FromSlash(readLock(b.t, b.w).Record.Path), "proven", stack, "*.json"))
	must(b.t, err)
	if len(proven) != 1 {
		b.t.Fatalf("proven of %s: %v", stack, proven)
	}
	name := strings.TrimSuffix(filepath.Base(proven[0]), ".json")
	id := name[strings.LastIndexByte(name, '-')+1:]
	files, err := filepath.Glob(filepath.Join(b.w.Remote.Dir, "salvor", "snapshots", stack, "*", "snapshots", id))
	must(b.t, err)
	if len(files) != 1 {
		b.t.Fatalf("the newest snapshot of %s: %v", stack, files)
	}
	must(b.t, os.Remove(files[0]))
}

// wrongPassword replaces a stack's repository password in its recovery file, as who
// has the fleet's keys can.
func (b *badInput) wrongPassword(ctx context.Context, stack string) {
	content, err := b.w.Read("salvor.lock")
	must(b.t, err)
	var lock fleet.Lock
	must(b.t, json.Unmarshal([]byte(content), &lock))
	declared, err := b.w.Read("fleet.yaml")
	must(b.t, err)
	r := seal.Recovery{Stack: stack}
	for target, id := range lock.Stacks[stack].Repositories {
		r, err = r.Add(seal.Repository{ID: id, Target: target, Location: "nas:salvor/snapshots/" + stack + "/" + id, Password: seal.NewPassword()})
		must(b.t, err)
	}
	private, err := b.w.Salvor(ctx, nil, "--quiet", "secret", "get", "fleet_sign_key")
	must(b.t, err)
	key, err := sign.ParseKey(secret.NewString(private))
	must(b.t, err)
	sealed, err := r.Seal(regexp.MustCompile(`\bage1[a-z0-9]+`).FindAllString(declared, -1), key)
	must(b.t, err)
	for file, content := range sealed.Files(seal.RecoveryPath(stack)) {
		must(b.t, b.w.Write(file, string(content)))
	}
	must(b.t, b.w.Commit(ctx, "another password"))
}

// refused runs a command that must end with code and say one line that matches,
// and change nothing in the repository and on the remote.
func (b *badInput) refused(ctx context.Context, code int, pattern string, args ...string) {
	b.t.Helper()
	head, err := os.ReadFile(filepath.Join(b.w.Dir, ".git", "refs", "heads", "main"))
	must(b.t, err)
	before := b.stored()
	_, err = b.w.Salvor(ctx, nil, append([]string{"--quiet"}, args...)...)
	said := b.ended(err, code)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if len(lines) > 2 || len(lines) == 2 && !strings.HasPrefix(lines[1], "hint: ") && !strings.Contains(lines[1], " says: ") || !regexp.MustCompile(pattern).MatchString(lines[0]) {
		b.t.Errorf("%v: want one line %s and a hint, got\n%s", args, pattern, said)
	}
	after, err := os.ReadFile(filepath.Join(b.w.Dir, ".git", "refs", "heads", "main"))
	if err != nil || string(after) != string(head) {
		b.t.Errorf("%v: committed %s on %s, %v", args, after, head, err)
	}
	if diff := cmp.Diff(before, b.stored()); diff != "" {
		b.t.Errorf("%v: the remote changed:\n%s", args, diff)
	}
	b.s.Count("refusals", 1)
}

// ended checks the exit code of a command and returns what it said.
func (b *badInput) ended(err error, code int) string {
	b.t.Helper()
	var ended *world.CommandError
	if !errors.As(err, &ended) {
		b.t.Fatalf("ended with %v, want exit code %d", err, code)
	}
	if ended.Code() != code {
		b.t.Errorf("exit code %d, want %d: %v", ended.Code(), code, err)
	}
	return ended.Said
}

// stored lists what is stored in snapshot repositories, locks aside.
func (b *badInput) stored() map[string]int64 {
	b.t.Helper()
	files := map[string]int64{}
	root := filepath.Join(b.w.Remote.Dir, "salvor", "snapshots")
	must(b.t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/locks/") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		files[path] = info.Size()
		return nil
	}))
	return files
}
