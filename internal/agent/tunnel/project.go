package tunnel

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"salvor/internal/hostpath"
	"salvor/internal/project"
)

const (
	metricsPort = 2000  // in the container, as the image's own health check has it
	user        = 65532 // the image's, who alone reads the token
	tokenFile   = "tunnel_token"
)

// The services of the project, whose names the others in the network see: a connector that is
// to be another one becomes the other service.
const (
	slotA = "connector-a"
	slotB = "connector-b"
)

func otherSlot(name string) string {
	if name == slotA {
		return slotB
	}
	return slotA
}

// A slot is one of the project's two services as it was started. Its text stays while it runs:
// with another one Compose would make its container again, and hostnames would drop.
type slot struct {
	Name    string `json:"name"`
	Tunnel  string `json:"tunnel"`  // ID
	Image   string `json:"image"`   // with its digest once it was started, if it has one
	Network string `json:"network"` // Docker's
	Text    string `json:"text"`    // of the service in the Compose file
}

// is reports whether a slot is what is wanted; one that is wanted without a digest has any.
func (s slot) is(wanted slot) bool {
	same := s.Image == wanted.Image || !project.Digested(wanted.Image) && project.Tagged(s.Image) == wanted.Image
	return same && s.Text == wanted.Text && s.Network == wanted.Network && s.Tunnel == wanted.Tunnel
}

// service is the text of a connector. Without the token's folder, which is in memory, Docker does
// not start it after a boot, and makes no folder in its place: salvord starts it. The image's own
// health check would take a host without internet for a broken deploy; /ready is asked instead.
const service = `  %[1]s:
    image: %[2]s
    command: [tunnel, --no-autoupdate, --metrics, "0.0.0.0:%[3]d", run, --token-file, /run/secrets/%[4]s]
    user: "%[5]d:%[5]d"
    networks: [%[1]s]
    extra_hosts: ["host.docker.internal:host-gateway"]
    volumes:
      - {type: bind, source: %[6]s, target: /run/secrets, read_only: true, bind: {create_host_path: false}}
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    restart: unless-stopped
    stop_grace_period: 40s # requests under way get 30
    healthcheck: {disable: true}
    labels: {dev.salvor.fleet: "true", dev.salvor.tunnel: %[7]s, dev.salvor.token: %[8]s}
`

// newSlot returns the connector that is wanted, as the service of that name. The label of the
// token has it start again with another one.
func newSlot(name string, s Settings, k kept, secrets hostpath.Secrets) slot {
	sum := sha256.Sum256(k.Token)
	text := fmt.Sprintf(service, name, quoted(project.Tagged(s.Image)), metricsPort, tokenFile, user, quoted(secrets.Service(Project, name)),
		quoted(k.Tunnel.ID), quoted(hex.EncodeToString(sum[:8])))
	return slot{Name: name, Tunnel: k.Tunnel.ID, Image: s.Image, Network: s.Network.Name, Text: text}
}

// quoted is a text as YAML and Compose take it.
func quoted(text string) string { return strconv.QuoteToASCII(strings.ReplaceAll(text, "$", "$$")) }

// compose is the project with these connectors.
func compose(dir string, slots []slot) project.Project {
	var services, networks strings.Builder
	p := project.Project{Dir: dir}
	for _, s := range slots {
		services.WriteString(s.Text)
		fmt.Fprintf(&networks, "  %s: {name: %s, external: true}\n", s.Name, quoted(s.Network))
		p.Services = append(p.Services, project.Service{Name: s.Name, Image: project.Tagged(s.Image)})
		p.Networks = append(p.Networks, s.Network)
		p.Secrets = append(p.Secrets, project.SecretMount{Service: s.Name, Secret: tokenFile, Target: tokenFile, UID: user, GID: user, Mode: 0o400})
	}
	p.Compose = []byte("services:\n" + services.String() + "networks:\n" + networks.String())
	sum := sha256.Sum256(p.Compose)
	p.Hash = "sha256:" + hex.EncodeToString(sum[:])
	return p
}

// pins are the references with digests that the connectors run, as far as they are known.
func pins(slots []slot) map[string]string {
	images := map[string]string{}
	for _, s := range slots {
		if project.Digested(s.Image) {
			images[s.Name] = s.Image
		}
	}
	return images
}
