package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

const goodStack = "x-salvor: {host: alpha}\nservices: {web: {image: nginx}}\n"

// commitStacks commits Compose files of stacks, "" for none, and opens the fleet.
func commitStacks(t *testing.T, dir string, stacks map[string]string) *App {
	t.Helper()
	files := map[string][]byte{}
	for name, content := range stacks {
		files["stacks/"+name] = []byte(content)
		if content == "" {
			files["stacks/"+name] = nil
		}
	}
	a := openPrinted(t, dir)
	if _, err := a.Checkout.Git.CommitFiles(t.Context(), files, "stacks"); err != nil {
		t.Fatal(err)
	}
	return openPrinted(t, dir)
}

// TestOneStackStopsNoOther is issue 10, C.12, case 09: one stack that did not load
// stopped every command, and of two errors one was said, not always the same.
func TestOneStackStopsNoOther(t *testing.T) {
	dir := printedRepo(t, newKey(t).Recipient)
	a := commitStacks(t, dir, map[string]string{
		"good/compose.yaml":   goodStack,
		"image/compose.yaml":  "x-salvor: {host: alpha}\nservices: {web: {image: \"${IMAGE}\"}}\n",
		"mount/compose.yaml":  "x-salvor: {host: alpha}\nservices: {web: {image: nginx, volumes: [\"${NOPE}:/data\"]}}\n",
		"yaml/compose.yaml":   "services: [\n",
		"empty/compsoe.yaml":  "services: {}\n",
		"salvor/compose.yaml": "x-salvor: {hots: alpha}\nservices: {}\n",
		"needs/compose.yaml":  "x-salvor: {host: alpha, needs: [gone]}\nservices: {web: {image: nginx}}\n",
		"env/compose.yaml":    "x-salvor: {host: alpha}\nservices: {web: {image: nginx, env_file: [gone.env]}}\n",
		"class/compose.yaml":  "x-salvor: {host: alpha}\nservices: {web: {image: nginx, volumes: [\"/srv/x:/x\"]}}\n",
	})
	want := []string{"class", "empty", "env", "image", "mount", "needs", "salvor", "yaml"}
	var broken, said []string
	for _, st := range a.Fleet().Stacks {
		if _, rendered := a.Needs.Rendered()[st.Name]; rendered == st.Broken {
			t.Errorf("%s: broken %v, rendered %v", st.Name, st.Broken, rendered)
		}
		if st.Broken {
			broken = append(broken, st.Name)
		}
	}
	for _, f := range a.Findings() {
		if f.Severity == finding.Fatal {
			if f.Code == finding.RecordMissing {
				continue // of the whole fleet
			}
			said = append(said, f.Stack)
			if !strings.HasPrefix(f.Subject, "stacks/"+f.Stack) {
				t.Errorf("%s is about %s", f.Subject, f.Stack)
			}
		}
	}
	if diff := cmp.Diff(want, broken) + cmp.Diff(want, said); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if again := openPrinted(t, dir); !cmp.Equal(again.Findings(), a.Findings()) {
		t.Errorf("said in another order: %v", cmp.Diff(a.Findings(), again.Findings()))
	}
}

// TestBrokenStackStaysWhereItIs: it is neither placed again nor moved nor dropped,
// its host is asked to keep its own version, and its seal stays.
func TestBrokenStackStaysWhereItIs(t *testing.T) {
	a := commitStacks(t, printedRepo(t, newKey(t).Recipient), map[string]string{
		"runs/compose.yaml": "x-salvor: {host: beta}\nservices: [\n", "never/compose.yaml": "services: [\n", "good/compose.yaml": goodStack,
	})
	lock := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"runs": {Host: "alpha", Epoch: 3}, "good": {Host: "alpha", Epoch: 1}, "notes": {Host: "alpha", Epoch: 1},
	}}
	next, moves := placement.Next(a.Fleet(), lock, nil)
	if diff := cmp.Diff(lock, next); diff != "" || len(moves) > 0 {
		t.Errorf("moves %v (-want +got)\n%s", moves, diff)
	}
	stale, err := a.sealer().Stale(t.Context(), lock)
	if _, resealed := stale["runs"]; resealed || err != nil || stale["good"] == "" {
		t.Errorf("seals %v, %v", stale, err)
	}
	if err := a.Broken("runs"); err == nil || !strings.HasPrefix(err.Error(), "stack runs does not load: stacks/runs/compose.yaml:") {
		t.Error(err)
	}
	if err := a.Broken("good"); err != nil {
		t.Error(err)
	}
}

// TestRecoveryDeploysTheVersionThatLoads is issue 10, C.12: a recovery takes a stack
// whose file does not load now as it was at the newest commit at which it did.
func TestRecoveryDeploysTheVersionThatLoads(t *testing.T) {
	dir := printedRepo(t, newKey(t).Recipient)
	commitStacks(t, dir, map[string]string{"wiki/compose.yaml": "x-salvor: {host: alpha}\nservices: {web: {image: \"nginx:1\", volumes: [\"./conf:/conf:ro\", \"data:/data\"]}}\nvolumes: {data: {}}\n", "wiki/conf/a": "one\n"})
	commitStacks(t, dir, map[string]string{"wiki/conf/a": "two\n"})
	a := commitStacks(t, dir, map[string]string{"wiki/compose.yaml": "services: [\n", "never/compose.yaml": "services: [\n"})
	said, err := a.Revive(t.Context(), []string{"notes", "wiki", "never"})
	if err != nil || len(said) != 2 || !strings.HasPrefix(said[0], "never is not started: ") || !strings.HasPrefix(said[1], "wiki is deployed as of ") {
		t.Fatalf("said %q, %v", said, err)
	}
	st, _ := a.Fleet().Stack("wiki")
	wiki := a.Needs.Rendered()["wiki"]
	if st.Broken || len(wiki.Volumes) != 1 || len(wiki.Project.Files) != 1 || string(wiki.Project.Files[0].Data) != "two\n" {
		t.Errorf("%+v, %+v", st, wiki)
	}
	if st, _ := a.Fleet().Stack("never"); !st.Broken {
		t.Error("a stack that never loaded is taken for one that does")
	}
	files, err := a.Rehost([]string{"wiki"}, "beta")
	if err != nil || len(files) > 0 {
		t.Errorf("edits of a file that can't be read: %v, %v", files, err)
	}
}

// TestWhatGitLeavesOutIsSaid is faults F7 and F8: a submodule and a Git LFS pointer
// were found by nothing before plan, or by nothing at all.
func TestWhatGitLeavesOutIsSaid(t *testing.T) {
	dir := printedRepo(t, newKey(t).Recipient)
	commitStacks(t, dir, map[string]string{"good/compose.yaml": goodStack, "good/big.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "stacks/good/link")); err != nil {
		t.Fatal(err)
	}
	for _, files := range []checkout.Files{checkout.Committed, checkout.WorkTree} {
		a, err := Open(t.Context(), Options{Dir: dir, Files: files, Sink: progress.Discard(), Approve: approveAll})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range a.Findings() {
			if f.Code == finding.NotInGit {
				got = append(got, string(f.Severity)+" "+f.Subject)
			}
		}
		want := []string{"warning stacks/good/big.bin"}
		if files == checkout.WorkTree {
			want = []string{"fatal stacks/good/link", "warning stacks/good/big.bin"}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got)\n%s", files, diff)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRoutesOfALostHost: fleet.yaml says where they are, on top of what the recovery changes there
// anyway, and so does the opened fleet.
func TestRoutesOfALostHost(t *testing.T) {
	const id = "00000000-1111-2222-3333-444444444444"
	dir := printedRepo(t, newKey(t).Recipient)
	ingress := "ingress: {provider: cloudflare, routes: [{hostname: nas.example.com, service: \"http://192.0.2.5\", host: alpha}], tunnels: {alpha: " + id + "}} # mine\n"
	if _, err := openPrinted(t, dir).Checkout.Git.CommitFiles(t.Context(), map[string][]byte{fleet.File: []byte(printedFleet + ingress)}, "routes"); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{"gamma": strings.Replace(ingress, "host: alpha", "host: gamma", 1), "alpha": strings.Replace(ingress, "alpha: "+id, "", 1)} {
		a, files := openPrinted(t, dir), map[string][]byte{}
		if to == "gamma" {
			files[fleet.File] = []byte(printedFleet + "# gamma was added\n" + ingress)
		}
		if err := a.ForRecovery().MoveRoutes("alpha", to, files); err != nil {
			t.Fatal(err)
		}
		if got := string(files[fleet.File]); !strings.HasSuffix(got, want) || strings.Contains(got, "# gamma was added") != (to == "gamma") {
			t.Errorf("%s: %s", to, got)
		}
		if i := a.Fleet().Ingress; i.Routes[0].Host != to || (i.Tunnels["alpha"] == id) != (to == "gamma") {
			t.Errorf("%s: %+v", to, i)
		}
		again := map[string][]byte{}
		if err := a.ForRecovery().MoveRoutes("alpha", to, again); err != nil || len(again) > 0 {
			t.Errorf("%s: again: %v, %v", to, again, err)
		}
	}
}
