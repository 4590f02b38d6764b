package tunnel

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/hostpath"
)

var update = flag.Bool("update", false, "write the golden file")

func twoSlots() []slot {
	k := kept{Tunnel: cloudflare.Tunnel{ID: "c1744f8b-faa1-48a4-9e5c-02ac921467fa"}, Token: []byte("eyJ")}
	with, root := settings(), hostpath.Default().Secrets()
	first := newSlot(slotA, with, k, root)
	with.Image, with.Network.Name = "registry.example.com:5000/cloudflared:2026.9.1@sha256:"+strings.Repeat("0a", 32), "proxy$x"
	return []slot{first, newSlot(slotB, with, k, root)}
}

func TestTheProjectIsWritten(t *testing.T) {
	p := compose("/var/lib/salvor/stacks/salvor-cloudflared", twoSlots())
	const golden = "testdata/compose.yaml"
	if *update {
		if err := os.WriteFile(golden, p.Compose, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(p.Compose)); diff != "" {
		t.Error(diff)
	}
	if other := compose(p.Dir, twoSlots()[:1]); other.Hash == p.Hash || compose(p.Dir, twoSlots()).Hash != p.Hash {
		t.Error("the hash is not that of the project")
	}
}

// TestComposeTakesTheProject reads it with Compose's own library.
func TestComposeTakesTheProject(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"testdata/compose.yaml"}, cli.WithName(Project), cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := p.Services[slotB]
	if !s.ReadOnly || len(s.Ports) != 0 || s.User != "65532:65532" || s.Restart != "unless-stopped" || len(s.CapDrop) != 1 || !s.HealthCheck.Disable {
		t.Errorf("the service is %+v", s)
	}
	if v := s.Volumes[0]; bool(v.Bind.CreateHostPath) || !v.ReadOnly || v.Source != "/run/salvor/secrets/salvor-cloudflared/connector-b" {
		t.Errorf("the token is mounted as %+v", v)
	}
	if got := p.Networks[slotB]; got.Name != "proxy$x" || !bool(got.External) {
		t.Errorf("the network is %+v", got)
	}
}

// TestATunnelIsOfOneMachine: another one under the name of a host has another tunnel.
func TestATunnelIsOfOneMachine(t *testing.T) {
	spec := agentapi.Host{Fleet: "home", Name: "alpha", Ingress: &agentapi.Ingress{}, Own: &agentapi.Stack{Epoch: 1}}
	first := SettingsOf(spec)
	spec.Own.Epoch = 2
	if second := SettingsOf(spec); first.Name != "salvor-home.alpha" || second.Name != "salvor-home.alpha.2" {
		t.Errorf("%s, then %s", first.Name, second.Name)
	}
}
