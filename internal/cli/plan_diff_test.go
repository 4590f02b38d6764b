package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/progress"
	"salvor/internal/terminal"
)

// TestPlanDiff: what is deployed is rendered from its commit, as what is wanted is.
func TestPlanDiff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Ann", "-c", "user.email=ann@example.net"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, content string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(compose, conf string) string {
		write("stacks/shop/compose.yaml", compose)
		write("stacks/shop/conf/app.conf", conf)
		git("add", "-A")
		git("commit", "-qm", "shop")
		return git("rev-parse", "HEAD")
	}
	git("init", "-q", "-b", "main")
	write("fleet.yaml", "schema: 1\nfleet: home\nhosts: {alpha: {address: 127.0.0.1, port: 1}}\nremotes: {disk: {type: local}}\nrecipients:\n"+
		"  operators: {ann: age1vs0mx45wvkfs5x99aku9qlpkq95ggql52nr7d3lvtxlq2lx32f6su8v5us}\n  recovery: age1nxmvcuy6t3rgce2j6znrkm38tnnex262vg0vlemke80xf7z0u9vsl2dapd\n")
	const service = "x-salvor: {host: alpha}\nservices:\n  web:\n    image: nginx:1.2%\n    volumes: [\"./conf:/etc/app:ro\"]\n"
	first := commit(strings.Replace(service, "%", "7", 1), "listen 80\n")
	commit(strings.Replace(service, "%", "8", 1), "listen 81\n")

	a, err := app.Open(t.Context(), app.Options{Dir: dir, Sink: progress.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	changes := []agentapi.Change{{Stack: "shop", ID: "services", Action: "~"}, {Stack: "gone", ID: "placement", Action: "-"}}
	shown := func(deployed map[string]string) string {
		var out bytes.Buffer
		p := deploy.Plan{Hosts: []deploy.HostPlan{{Host: "alpha", Changes: changes, Deployed: deployed}}}
		if err := printDiffs(t.Context(), terminal.NewPage(&out, true), a, &p); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	var lines []string
	for line := range strings.Lines(shown(map[string]string{"shop": first})) {
		if strings.ContainsAny(line[:1], "+-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	want := []string{
		"--- shop/compose.yaml (resolved)", "+++ shop/compose.yaml (resolved)", "-    image: nginx:1.27", "+    image: nginx:1.28",
		"--- shop/conf/app.conf", "+++ shop/conf/app.conf", "-listen 80", "+listen 81",
	}
	if diff := cmp.Diff(want, slicesWithout(lines, "dev.salvor.files")); diff != "" {
		t.Error(diff)
	}
	if got := shown(map[string]string{"shop": strings.Repeat("a", 40)}); !strings.HasPrefix(got, "shop: deployed at aaaaaaa, which can't be shown: ") {
		t.Error(got)
	}
	if got := shown(nil); !strings.HasPrefix(got, "--- /dev/null\n+++ shop/compose.yaml (resolved)\n") {
		t.Error(got)
	}
}

// slicesWithout drops the lines with a word.
func slicesWithout(lines []string, word string) []string {
	var kept []string
	for _, line := range lines {
		if !strings.Contains(line, word) {
			kept = append(kept, line)
		}
	}
	return kept
}
