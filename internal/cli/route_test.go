package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fault"
)

const vectors = "../routecase/testdata/dockflare-examples.json"

// TestRoutePlanPlaysEveryCase of the vectors, in the form of expected.
func TestRoutePlanPlaysEveryCase(t *testing.T) {
	content, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(content, &lists); err != nil {
		t.Fatal(err)
	}
	d, played := newDesk(t), 0
	for _, list := range lists {
		var cases []struct {
			ID          string            `json:"id"`
			Checkpoints []json.RawMessage `json:"checkpoints"`
		}
		if json.Unmarshal(list, &cases) != nil {
			continue
		}
		for _, c := range cases {
			code, out, said := d.salvor("route", "plan", "--case", vectors+"#"+c.ID, "--json")
			var got struct {
				Schema                           int
				ID                               string
				Ingress, DNS, Access_Apps, Rules []json.RawMessage //nolint:revive // as the case has it
				Checkpoints                      []json.RawMessage
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != fault.OK || said != "" {
				t.Fatalf("%s: %d, %s, %v", c.ID, code, said, err)
			}
			if got.Schema != 1 || got.ID != c.ID || len(got.Ingress) == 0 || got.DNS == nil || got.Access_Apps == nil || got.Rules == nil || len(got.Checkpoints) != len(c.Checkpoints) {
				t.Errorf("%s: %s", c.ID, out)
			}
			if code, out, said = d.salvor("route", "plan", "--case", vectors+"#"+c.ID); code != fault.OK || said != "" || !strings.Contains(out, "http_status:404\n") {
				t.Errorf("%s: %d, %s%s", c.ID, code, out, said)
			}
			played++
		}
	}
	if played != 14 {
		t.Errorf("%d cases played, want 14", played)
	}
	for name, want := range map[string]string{vectors + "#DF-99": `"DF-99" is not a case in it`, "nowhere.json#X": "the case's file can't be read", vectors: `"" is not a case`} {
		if code, _, said := d.salvor("route", "plan", "--case", name); code != fault.General || !strings.Contains(said, want) {
			t.Errorf("%s: %d, %s", name, code, said)
		}
	}
}

// TestRoutePlanAndExplain of a commit: what is published and for whom, what is not and why.
func TestRoutePlanAndExplain(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Join(t.TempDir(), "fleet")
	if code, _, said := d.salvor("init", dir, "--no-passphrase"); code != fault.OK {
		t.Fatal(said)
	}
	if code, _, said := d.salvor("-C", dir, "route", "plan"); code != fault.General || !strings.Contains(said, "fleet.yaml of the newest commit has no ingress:") {
		t.Errorf("%d, %s", code, said)
	}
	appendTo(t, filepath.Join(dir, "fleet.yaml"), "\ningress:\n  provider: cloudflare\n  access:\n    family: {emails: [ann@example.com]}\n")
	stack := filepath.Join(dir, "stacks", "notes")
	if err := os.MkdirAll(stack, 0o755); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(stack, "compose.yaml"), `services:
  web:
    image: nginx:1
    labels:
      dockflare.enable: "true"
      dockflare.service: http://web:80
      dockflare.hostname: notes.example.com
      dockflare.access.group: family
      dockflare.access.name: mine
      dockflare.0.hostname: public.example.com
      dockflare.0.access.policy: bypass
      dockflare.1.hostname: secret.example.com
      dockflare.1.access.group: famly
`)
	d.git(dir, "add", "-A")
	d.git(dir, "commit", "--no-verify", "-qm", "notes")
	code, out, said := d.salvor("-C", dir, "route", "plan")
	for _, want := range []string{
		"no host:\n", "notes.example.com    http://web:80   notes   family\n", "public.example.com   http://web:80   notes   public-default-bypass\n",
		"secret.example.com   http://web:80   notes   not published\n", `stacks/notes/compose.yaml:12:7: secret.example.com is not published: dockflare.1.access.group: "famly" is not an access group, did you mean "family"? [route-closed]`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%d, no %q in\n%s%s", code, want, out, said)
		}
	}
	if code, out, said = d.salvor("-C", dir, "route", "explain", "notes"); code != fault.OK || !strings.Contains(out, "stacks/notes/compose.yaml:9:7: dockflare.access.name has no effect: dockflare.access.group comes before it\n") || !strings.Contains(out, "route-closed") {
		t.Errorf("%d, %s%s", code, out, said)
	}
	if code, _, said = d.salvor("-C", dir, "route", "explain", "noets"); code != fault.Usage || !strings.Contains(said, `did you mean "notes"?`) {
		t.Errorf("%d, %s", code, said)
	}
	d.explainsTheCommit(t, dir)
	var plan struct {
		Hosts []struct {
			Routes  []struct{ Stack, Hostname, Not_published string } //nolint:revive // as the output has it
			Ingress []json.RawMessage
		}
	}
	if _, out, _ = d.salvor("-C", dir, "route", "plan", "--json"); json.Unmarshal([]byte(out), &plan) != nil || len(plan.Hosts) != 1 || len(plan.Hosts[0].Routes) != 3 || len(plan.Hosts[0].Ingress) != 3 || plan.Hosts[0].Routes[2].Not_published == "" {
		t.Errorf("%s", out)
	}
}

// explainsTheCommit: a label that a finding names is named once, and what is not committed is
// named above.
func (d *desk) explainsTheCommit(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "stacks", "notes", "compose.yaml")
	appendTo(t, file, "      dockflare.acces.group: family\n")
	for _, verb := range []string{"plan", "explain"} {
		if code, out, said := d.salvor("-C", dir, "route", verb); code != fault.OK || !strings.HasPrefix(out, "warning: stacks/notes: it has changes that are not committed, so they are not deployed [not-committed]\n") {
			t.Errorf("%d, %s%s", code, out, said)
		}
	}
	d.git(dir, "commit", "--no-verify", "-qam", "a typing error")
	if code, out, said := d.salvor("-C", dir, "route", "explain"); code != fault.OK || strings.Count(out, "dockflare.acces.group: the label is not known") != 1 || strings.Contains(out, "dockflare.acces.group has no effect") || strings.Contains(out, "not-committed") {
		t.Errorf("%d, %s%s", code, out, said)
	}
	d.git(dir, "revert", "--no-edit", "HEAD")
}

// appendTo appends to a file.
func appendTo(t *testing.T, file, text string) {
	t.Helper()
	before, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(before, text...), 0o644); err != nil {
		t.Fatal(err)
	}
}
