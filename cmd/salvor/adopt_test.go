package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/docker"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/inventory"
	"salvor/internal/project"
	"salvor/internal/rendering"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
	"salvor/internal/version"
)

var update = flag.Bool("update", false, "write the golden files of adopted projects")

// canary is what every secret of the projects says.
const canary = "canary-7Qm2"

// TestAdoptedProjects is issue 14, 2: projects that someone started by hand, from the host
// to the commit, and what the host's Compose makes of the commit. Each archive in
// testdata/adopt is one: what was typed on the host, and the host's files, those below
// later/ as they were edited since. Those below git/ are in the repository already.
func TestAdoptedProjects(t *testing.T) {
	all, err := filepath.Glob("testdata/adopt/*.txtar")
	if err != nil || len(all) < 12 {
		t.Fatalf("%d projects, %v", len(all), err)
	}
	counted := make([]counts, len(all))
	t.Run("all", func(t *testing.T) {
		for i, file := range all {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				t.Parallel()
				counted[i] = adopts(t, file)
			})
		}
	})
	var sum counts
	for _, c := range counted {
		sum.mounts, sum.questions = sum.mounts+c.mounts, sum.questions+c.questions
	}
	t.Logf("%d projects, %d mounts, %d questions", len(all), sum.mounts, sum.questions)
	if 10*sum.questions > sum.mounts {
		t.Error("more than one question for ten mounts")
	}
}

// recipient is one that each fleet has its own of.
var recipient = regexp.MustCompile(`age1[a-z0-9]{40,}`)

// counts are of what a project mounts, and of the folders that a person has to look at.
type counts struct{ mounts, questions int }

// adopts runs salvor on one project, and compares with the golden file what it shows, what
// it writes, and what Compose makes of that.
func adopts(t *testing.T, file string) counts {
	h := startedByHand(t, file)
	o := newOperator(t)
	o.hasAlpha(h)
	o.hasInGit(file)
	before := tree(t, o.dir+"/fleet")
	screen, err := o.command("--yes", "--passphrase-file", o.dir+"/pass", "adopt", "alpha").CombinedOutput()
	got := &txtar.Archive{Files: []txtar.File{{Name: "screen", Data: screen}}}
	if err != nil {
		got.Comment = fmt.Appendf(nil, "%v\n", err)
	}
	after := tree(t, o.dir+"/fleet")
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[name]; !kept {
			t.Errorf("%s is gone from the repository", name)
		}
	}
	c := counts{}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] == after[name] {
			continue
		}
		if strings.Contains(after[name], canary) {
			t.Errorf("%s has a secret in plain text", name)
		}
		got.Files = append(got.Files, txtar.File{Name: name, Data: []byte(shown(name, before[name], after[name]))})
	}
	c.questions = strings.Count(after[fleet.File], "\n  /") + strings.Count(string(screen), "to do first")
	got.Files = append(got.Files, txtar.File{Name: "compose", Data: o.compared(h)})
	o.isGolden(strings.TrimSuffix(file, ".txtar")+".golden", recipient.ReplaceAll(txtar.Format(got), []byte("age1…")))
	for _, one := range h.Containers {
		c.mounts += len(one.Mounts)
	}
	if strings.Contains(string(screen), canary) || strings.Contains(gitHas(t, o.dir+"/fleet"), canary) {
		t.Error("a secret is on the screen or in Git")
	}
	return c
}

// startedByHand is a host with the files of an archive, on which its lines `up FOLDER ARGS`
// were run, and then its lines `rm FOLDER`, and `mv FOLDER TO`.
func startedByHand(t *testing.T, file string) *stacktest.ByHand {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	h := &stacktest.ByHand{Root: t.TempDir()}
	lay := func(later bool) {
		for _, f := range archive.Files {
			name, is := strings.CutPrefix(f.Name, "later/")
			if is == later && !strings.HasPrefix(name, inGit) {
				put(t, filepath.Join(h.Root, name), f.Data)
			}
		}
	}
	lay(false)
	var gone, moved []string
	for line := range strings.Lines(string(archive.Comment)) {
		switch words := strings.Fields(line); {
		case len(words) > 1 && words[0] == "up":
			if err := h.Up(t.Context(), words[1], words[2:]...); err != nil {
				t.Fatal(err)
			}
		case len(words) > 1 && words[0] == "rm":
			gone = append(gone, words[1])
		case len(words) > 2 && words[0] == "mv":
			moved = append(moved, words[1:3]...)
		}
	}
	lay(true)
	for pair := range slices.Chunk(moved, 2) {
		to := filepath.Join(h.Root, pair[1])
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(filepath.Join(h.Root, pair[0]), to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range gone {
		if err := os.RemoveAll(filepath.Join(h.Root, folder)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// inGit is where an archive has the repository's files.
const inGit = "git/"

// hasInGit commits an archive's files of the repository.
func (o *operator) hasInGit(file string) {
	o.t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range archive.Files {
		if name, is := strings.CutPrefix(f.Name, inGit); is {
			put(o.t, filepath.Join(o.dir, "fleet", name), f.Data)
			o.git("add", name)
		}
	}
	o.git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", "stacks")
}

func put(t *testing.T, at string, content []byte) {
	t.Helper()
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(string(content), "#!") {
		mode = 0o755
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, content, mode); err != nil {
		t.Fatal(err)
	}
}

// hasAlpha declares the host alpha, which answers with the inventory that is taken of h.
func (o *operator) hasAlpha(h *stacktest.ByHand) {
	o.t.Helper()
	engine := docker.New(h)
	defer engine.Close()
	inv, err := inventory.Host{Engine: engine, Root: h.Root}.Look(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	answer, err := json.Marshal(inv)
	if err != nil {
		o.t.Fatal(err)
	}
	put(o.t, filepath.Join(o.dir, "hosts/alpha/inventory.json"), answer)
	o.declaresAlpha()
}

// declaresAlpha has the fleet declare the host alpha, which answers from its folder.
func (o *operator) declaresAlpha() {
	o.t.Helper()
	o.env = append(o.env, hostsVariable+"="+filepath.Join(o.dir, "hosts"))
	declared, err := os.ReadFile(o.dir + "/fleet/fleet.yaml")
	if err != nil {
		o.t.Fatal(err)
	}
	content := regexp.MustCompile(`(?m)^hosts:.*`).ReplaceAll(declared, []byte("hosts: {alpha: {address: 192.0.2.1}}"))
	put(o.t, o.dir+"/fleet/fleet.yaml", content)
	o.git("add", "--update")
	o.git("commit", "--quiet", "--no-verify", "--message", "test")
}

func (o *operator) git(args ...string) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "git", args...)
	cmd.Dir, cmd.Env = o.dir+"/fleet", o.env
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("git %s: %v: %s", args, err, out)
	}
}

// tree returns the files of a clone that Git has or could have, executable ones with a mark.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		content, err := os.ReadFile(at)
		if info, _ := d.Info(); info.Mode()&0o100 != 0 {
			content = append([]byte("(executable)\n"), content...)
		}
		files[strings.TrimPrefix(at, dir+"/")] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// shown is a file as the golden file has it: of an encrypted one the names, of one that was
// there before what was added.
func shown(name, before, content string) string {
	if added, is := strings.CutPrefix(content, before); is && before != "" {
		return added
	}
	if !strings.HasPrefix(name, fleet.SecretDir+"/") {
		return content
	}
	var lines []string
	for line := range strings.Lines(content) {
		if key, _, ok := strings.Cut(line, "=ENC["); ok {
			lines = append(lines, key)
		}
	}
	if len(lines) == 0 {
		return "(encrypted)\n"
	}
	return strings.Join(lines, "=(encrypted)\n") + "=(encrypted)\n"
}

// gitHas is everything in any commit of a clone.
func gitHas(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-C", dir, "log", "--all", "--patch", "--text")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// compared says of each stack on alpha what the host's Compose makes of it, as an apply
// finds it out.
func (o *operator) compared(h *stacktest.ByHand) []byte {
	o.t.Helper()
	dir := o.dir + "/fleet"
	loaded, err := controlrepo.Load(dir, version.String())
	if err != nil {
		o.t.Fatal(err)
	}
	stacks := map[string]project.Rendered{}
	var mu sync.Mutex // guards stacks
	look := func(st fleet.Stack, r project.Rendered) []finding.Finding {
		mu.Lock()
		defer mu.Unlock()
		if st.Host == "alpha" && r.Adoption != nil {
			stacks[st.Name] = r
		}
		return nil
	}
	_, _, err = rendering.Stacks(o.t.Context(), rendering.Source{Dir: dir, Repository: loaded, Names: rendering.NamesOf(os.DirFS(dir), loaded.Fleet), Look: look})
	if err != nil {
		o.t.Fatal(err)
	}
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		o.compare(&out, h, name, stacks[name])
	}
	return out.Bytes()
}

func (o *operator) compare(out *bytes.Buffer, h *stacktest.ByHand, name string, r project.Rendered) {
	o.t.Helper()
	secrets := map[string]string{}
	for _, key := range r.Project.Env {
		value := o.must("--passphrase-file", o.dir+"/pass", "secret", "get", name+"/"+key)
		secrets[key] = strings.TrimSuffix(value, "\n")
		if made, err := os.ReadFile(filepath.Join(o.dir, "fleet/.git/salvor", confirmation.LedgerFile)); err != nil || !strings.Contains(string(made), `made "`+name+"/"+key) {
			o.t.Errorf("an apply would ask whether %s may have %s: %v", name, key, err)
		}
	}
	stacks := stack.Wanting(stack.New(h), map[string]string{name: r.Project.Name})
	defer stacks.Close()
	c, err := stack.Named(stacks, name).Compare(o.t.Context(), stack.Deployment{Stack: name, Project: r.Project}, *r.Adoption, secrets, o.t.TempDir())
	if err != nil {
		o.t.Errorf("%s: %v", name, err)
		return
	}
	for _, service := range c.Same {
		fmt.Fprintf(out, "%s: %s: the same hash\n", name, service)
	}
	for _, why := range append(c.Differs, c.Unknown...) {
		fmt.Fprintf(out, "%s: %s\n", name, why)
	}
}

func (o *operator) isGolden(file string, got []byte) {
	o.t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			o.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		o.t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
