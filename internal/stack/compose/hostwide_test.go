package compose

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlacesOfPorts: what two stacks can't both have on one host is said with its line.
func TestPlacesOfPorts(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": `x-ports: &shared
  ports: ["7000:70"]
services:
  web:
    image: nginx
    ports:
      - "127.0.0.1:8080:80"
      - "${UI}:81/tcp"
      - 9000-9002:90-92/udp
      - {target: 443, published: "8443"}
      - "53"
  idle: {image: nginx, profiles: [x], ports: ["1:1"]}
  other: {image: nginx, <<: *shared}
`, "compose.override.yaml": "services:\n  web:\n    ports: [\"8090:80\"]\n", "stack.env": "UI=8081\n"})
	_, _, loaded := running(t, opts)
	var got []string
	for _, p := range loaded.Published {
		got = append(got, fmt.Sprintf("%s %s:%d/%s %s", p.Service, p.Published, p.Target, p.Protocol, p.Position))
	}
	want := []string{
		"other 7000:70/tcp stacks/app/compose.yaml:13:3",
		"web 8080:80/tcp stacks/app/compose.yaml:7:9",
		"web 8081:81/tcp stacks/app/compose.yaml:8:9",
		"web 9000:90/udp stacks/app/compose.yaml:9:9",
		"web 9001:91/udp stacks/app/compose.yaml:9:9",
		"web 9002:92/udp stacks/app/compose.yaml:9:9",
		"web 8443:443/tcp stacks/app/compose.yaml:10:9",
		"web :53/tcp stacks/app/compose.yaml:11:9",
		"web 8090:80/tcp stacks/app/compose.override.yaml:3:13",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
