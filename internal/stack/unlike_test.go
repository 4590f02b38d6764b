package stack

import (
	"encoding/json"
	"strings"
	"testing"

	"salvor/internal/docker"
)

// resolvedApp is a project as Compose 2.26 prints it.
const resolvedApp = `name: notes
services:
  app:
    command: null
    entrypoint: null
    environment: {A: "5$$", EMPTY: "", HOST: null, PW: s3cret}
    image: app:1
    labels: {price: 5$$}
    networks: {default: null, proxy: null}
    ports:
      - {mode: ingress, target: 80, published: "8080", protocol: tcp}
      - {mode: ingress, host_ip: 127.0.0.1, target: 53, published: "53", protocol: udp}
    restart: unless-stopped
    secrets: [{source: token}]
    configs: [{source: motd, target: /etc/motd}]
    tmpfs: ["/tmp:size=1m"]
    volumes:
      - {type: volume, source: data, target: /data, volume: {}}
      - {type: bind, source: /opt/notes/files, target: /files, read_only: true, bind: {create_host_path: true}}
      - {type: volume, target: /cache}
    cap_add: [NET_ADMIN]
networks: {default: {name: notes_default}, proxy: {name: proxy, external: true}}
volumes: {data: {name: notes_data}}
`

const anonymousName = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// madeApp is its container as the engine shows it, and imageApp what its image gives.
const (
	madeApp = `{"Image":"sha256:1","Config":{"Image":"app:1","Hostname":"0123456789ab","User":"app","WorkingDir":"/srv",
		"Env":["A=5$","EMPTY=","PW=s3cret","PATH=/bin","HTTP_PROXY=http://192.0.2.1"],"Cmd":["serve"],"Entrypoint":["/init"],"Healthcheck":{"Test":["CMD","ok"]},
		"Labels":{"com.docker.compose.project":"notes","price":"5$","maker":"us"}},
		"HostConfig":{"NetworkMode":"notes_default","RestartPolicy":{"Name":"unless-stopped"},"CapAdd":["CAP_NET_ADMIN"],"Tmpfs":{"/tmp":"size=1m"},
		"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"53/udp":[{"HostIp":"127.0.0.1","HostPort":"53"}]}},
		"Mounts":[{"Type":"volume","Name":"notes_data","Source":"/var/lib/docker/volumes/notes_data/_data","Destination":"/data","RW":true},
		{"Type":"bind","Source":"/opt/notes/files","Destination":"/files","RW":false},{"Type":"bind","Source":"/opt/notes/token","Destination":"/run/secrets/token","RW":false},
		{"Type":"bind","Source":"/opt/notes/motd","Destination":"/etc/motd","RW":false},{"Type":"volume","Name":"` + anonymousName + `","Destination":"/cache","RW":true},
		{"Type":"volume","Name":"` + anonymousName + `","Destination":"/of-the-image","RW":true}],
		"NetworkSettings":{"Networks":{"notes_default":{},"proxy":{}}}}`
	imageApp = `{"User":"app","WorkingDir":"/srv","Env":["PATH=/bin"],"Cmd":["serve"],"Entrypoint":["/init"],"Healthcheck":{"Test":["CMD","ok"]},"Labels":{"maker":"us"}}`
)

// TestUnlike says of each setting that it differs, by name and never by value; what the
// image and Compose add to a container is not a difference.
func TestUnlike(t *testing.T) {
	for name, c := range map[string]struct{ old, now, want string }{ // in the files
		"nothing":              {"", "", ""},
		"a variable":           {"PW: s3cret", "PW: other", "environment ~PW"},
		"variables":            {`EMPTY: "", HOST: null`, "HOST: x", "environment +HOST -EMPTY"},
		"one over the image's": {`EMPTY: ""`, `EMPTY: "", PATH: /usr/bin`, "environment ~PATH"},
		"a label":              {"price: 5$$", `price: "6"`, "labels ~price"},
		"a volume":             {"{name: notes_data}", "{name: other}", "volumes ~/data"},
		"read-only":            {"read_only: true", "read_only: false", "volumes ~/files"},
		"another mount":        {"target: /files", "target: /file", "volumes +/file -/files"},
		"no tmpfs":             {`tmpfs: ["/tmp:size=1m"]`, "tmpfs: []", "volumes -/tmp"},
		"a port":               {`"8080"`, `"8081"`, "ports ~80/tcp"},
		"the world":            {"host_ip: 127.0.0.1, ", "", "ports ~53/udp"},
		"a network":            {", proxy: null", "", "networks -proxy"},
		"the host's network":   {"networks: {default: null, proxy: null}\n    ports", "network_mode: host\n    ports", "networks -notes_default -proxy, network_mode"},
		"a command":            {"command: null", "command: [serve, s3cret]", "command"},
		"an entrypoint":        {"entrypoint: null", "entrypoint: [/other]", "command, entrypoint"},
		"a health check":       {"cap_add", "healthcheck: {test: [NONE]}\n    cap_add", "healthcheck"},
		"restart":              {"restart: unless-stopped", "restart: on-failure:3", "restart"},
		"restart elsewhere":    {"restart: unless-stopped", "deploy: {restart_policy: {condition: any}}", ""},
		"capabilities":         {"[NET_ADMIN]", "[NET_RAW]", "cap_add"},
		"several":              {"cap_add: [NET_ADMIN]", "user: root\n    privileged: true", "user, privileged, cap_add"},
		"another form":         {"cap_add: [NET_ADMIN]", "cap_add: {a: b}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(resolvedApp, c.old) {
				t.Fatalf("no %q", c.old)
			}
			made, image := docker.Made{}, docker.Config{}
			for text, into := range map[string]any{madeApp: &made, imageApp: &image} {
				if err := json.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			m := modelOf([]byte(strings.Replace(resolvedApp, c.old, c.now, 1)))
			if got := strings.Join(m.unlike("app", made, image), ", "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestNoPartOfASecretIsLeft where one begins as another does.
func TestNoPartOfASecretIsLeft(t *testing.T) {
	for range 20 { // a map has no order
		got := without(map[string]string{"A": "pass", "B": "password123", "NONE": ""}, "password123 is not a port, and neither is pass")
		if got != "${B} is not a port, and neither is ${A}" {
			t.Fatal(got)
		}
	}
}
