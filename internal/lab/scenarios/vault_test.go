package scenarios

import (
	"strconv"
	"strings"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/scenario"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
)

// TestAnsibleOfBothDebians has Debian 12's and Debian 13's ansible read the vaults
// that Salvor writes, whole files and values in YAML files, and reads theirs.
func TestAnsibleOfBothDebians(t *testing.T) {
	s := scenario.Begin(t, usualFor)
	for _, release := range []int{12, 13} {
		t.Run("Debian "+strconv.Itoa(release), func(t *testing.T) {
			h, err := s.Host(t.Context(), "debian"+strconv.Itoa(release), lab.HostOptions{Release: release})
			must(t, err)
			exec(t, h, "apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends ansible-core >/dev/null")
			t.Log(exec(t, h, "ansible-vault --version | head -1"))
			must(t, h.WriteFile(t.Context(), "/root/password", "9b1c0f7e5a3d4826\n"))
			for _, id := range []string{ansiblevault.DefaultID, "prod"} {
				wholeFiles(t, s, h, id)
				inlineValues(t, s, h, id)
			}
		})
	}
}

func vaultPassword() secret.Value { return secret.NewString("9b1c0f7e5a3d4826") }

func wholeFiles(t *testing.T, s *scenario.Scenario, h *lab.Host, id string) {
	t.Helper()
	const plain = "one line\nand ünother: !x #y\n"
	ours, err := ansiblevault.Seal(secret.NewString(plain), vaultPassword(), id)
	must(t, err)
	must(t, h.WriteFile(t.Context(), "/root/ours", string(ours)))
	with := " --vault-id " + id + "@/root/password "
	if got := exec(t, h, "LC_ALL=C.UTF-8 ansible-vault view"+with+"/root/ours"); got != strings.TrimSpace(plain) {
		t.Errorf("id %s: it reads %q", id, got)
	}
	must(t, h.WriteFile(t.Context(), "/root/plain", plain))
	theirs := exec(t, h, "LC_ALL=C.UTF-8 ansible-vault encrypt"+with+"--encrypt-vault-id "+id+" --output - /root/plain")
	e, err := ansiblevault.Parse([]byte(theirs))
	must(t, err)
	if got, err := e.Open(vaultPassword()); err != nil || string(got.Reveal()) != plain || e.ID != id {
		t.Errorf("id %s: theirs, of id %s, opened to %q, %v", id, e.ID, got.Reveal(), err)
	}
	s.Count("whole vaults read both ways", 1)
}

func inlineValues(t *testing.T, s *scenario.Scenario, h *lab.Host, id string) {
	t.Helper()
	with := " --vault-id " + id + "@/root/password "
	theirs := exec(t, h, "LC_ALL=C.UTF-8 ansible-vault encrypt_string"+with+"--encrypt-vault-id "+id+" theirs-5d2 --name theirs")
	f, ok, err := ansiblevault.ParseInline("vars.yml", []byte("# kept\nplain: 1\n"+theirs+"\n"))
	must(t, err)
	if !ok {
		t.Fatalf("no vault is seen in\n%s", theirs)
	}
	v, err := f.Value("theirs")
	must(t, err)
	if got, err := v.Envelope.Open(vaultPassword()); err != nil || string(got.Reveal()) != "theirs-5d2" || v.Envelope.ID != id {
		t.Errorf("id %s: their value, of id %s, opened to %q, %v", id, v.Envelope.ID, got.Reveal(), err)
	}
	ours, err := ansiblevault.Seal(secret.NewString("ours-81c"), vaultPassword(), id)
	must(t, err)
	edited, err := f.Set("ours", ours)
	must(t, err)
	must(t, h.WriteFile(t.Context(), "/root/vars.yml", string(edited)))
	got := exec(t, h, `LC_ALL=C.UTF-8 ansible localhost`+with+`-e @/root/vars.yml -m debug -a 'msg={{ ours }}-{{ theirs }}-{{ plain }}' 2>/dev/null`)
	if !strings.Contains(got, "ours-81c-theirs-5d2-1") {
		t.Errorf("id %s: ansible reads\n%s\nof\n%s", id, got, edited)
	}
	s.Count("YAML files with values read both ways", 1)
}
