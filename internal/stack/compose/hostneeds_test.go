package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// TestAwaited: a stack waits for the external volumes that are kept elsewhere, and of services
// that start. Those that Salvor saves it makes itself.
func TestAwaited(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": `services:
  app: {image: nginx, volumes: ['films:/films', 'songs:/songs', 'saved:/saved', 'own:/own']}
  idle: {image: nginx, profiles: [x], volumes: ['other:/other']}
volumes: {films: {external: true}, songs: {external: true, name: music}, saved: {external: true}, own: {}, other: {external: true}}
`})
	for volume, protect := range map[string]fleet.Protection{"films": fleet.External, "songs": fleet.External, "saved": fleet.Snapshot, "other": fleet.External} {
		opts.Stack.Volumes = append(opts.Stack.Volumes, fleet.VolumePolicy{Volume: volume, Protect: protect, Position: "stacks/app/compose.yaml:1:1"})
	}
	_, _, loaded := running(t, opts)
	if diff := cmp.Diff([]string{"films", "music"}, loaded.Awaited); diff != "" {
		t.Error(diff)
	}
}
