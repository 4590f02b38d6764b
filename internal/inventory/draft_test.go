package inventory

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/yamldoc"
)

// drafted returns what a draft says of one container, as the engine inspects it.
func drafted(t testing.TB, made, image string) (service string, env, unknown string) {
	t.Helper()
	c := inspected{Listed: docker.Listed{ID: strings.Repeat("0123456789ab", 5), Name: "notes-web-1", Service: "web"}, count: 1}
	for text, into := range map[string]any{made: &c.made, image: &c.image} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	d := newDrafting(Host{Root: t.TempDir()}, "notes")
	d.ids["fedcba"] = "vpn"
	d.ownVolumes = map[string]docker.Volume{"notes_db": {Name: "notes_db", Driver: "local", Labels: map[string]string{"com.docker.compose.volume": "db"}}}
	d.ownNetworks = map[string]docker.Network{"notes_default": {Name: "notes_default", Driver: "bridge", Labels: map[string]string{"com.docker.compose.network": "default"}}}
	d.made = []inspected{c}
	content, files, err := d.write()
	if err != nil {
		t.Fatal(err)
	}
	root, err := yamldoc.Parse("compose.yaml", content)
	if err != nil {
		t.Fatal(err)
	}
	web, err := yamldoc.Encode(yamldoc.Find(root, "services", "web"))
	if err != nil {
		t.Fatal(err)
	}
	return string(web), string(files["environment/web.env"]), strings.Join(d.unknown, "\n")
}

// TestWhatADraftSaysOfAContainer: what it was made with, and nothing that its image or Compose
// gives it anyway.
func TestWhatADraftSaysOfAContainer(t *testing.T) {
	const anonymousName = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for name, c := range map[string]struct{ made, image, want, env, unknown string }{
		"nothing":              {`{}`, `{}`, "{}\n", "", ""},
		"the image's":          {`{"Config":{"Image":"web:1","User":"app","WorkingDir":"/srv","Cmd":["serve"],"Entrypoint":["/init"],"Env":["PATH=/bin"],"StopSignal":"SIGINT","Labels":{"maker":"us"},"Hostname":"0123456789ab","Healthcheck":{"Test":["CMD","ok"],"Retries":2}}}`, `{"User":"app","WorkingDir":"/srv","Cmd":["serve"],"Entrypoint":["/init"],"Env":["PATH=/bin"],"StopSignal":"SIGINT","Labels":{"maker":"us"},"Healthcheck":{"Test":["CMD","ok"],"Retries":2}}`, "image: web:1\n", "", ""},
		"a command":            {`{"Config":{"Cmd":["echo","$HOME"]}}`, `{"Cmd":["serve"],"Entrypoint":["/init"]}`, "entrypoint: []\ncommand:\n  - echo\n  - $$HOME\n", "", ""},
		"a command alone":      {`{"Config":{"Cmd":["run"],"Entrypoint":["/init"]}}`, `{"Cmd":["serve"],"Entrypoint":["/init"]}`, "command:\n  - run\n", "", ""},
		"an entrypoint":        {`{"Config":{"Entrypoint":["/other"]}}`, `{"Cmd":["serve"],"Entrypoint":["/init"]}`, "entrypoint:\n  - /other\n", "", ""},
		"the image's, written": {`{"Config":{"Entrypoint":["/init"]}}`, `{"Cmd":["serve"],"Entrypoint":["/init"]}`, "entrypoint:\n  - /init\n", "", ""},
		"variables":            {`{"Config":{"Env":["A=it's $5\n","PATH=/bin","a.b=1$","NONE="]}}`, `{"Env":["PATH=/bin"]}`, "env_file:\n  - environment/web.env\nenvironment:\n  a.b: 1$$\n", "A=\"it's \\$5\n\"\nNONE=''\n", ""},
		"ports":                {`{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8081"}],"53/udp":[{"HostIp":"::1","HostPort":"53"}],"90/tcp":[{"HostPort":""}],"91/tcp":[{"HostIp":"127.0.0.1","HostPort":"0"}]}}}`, `{}`, "ports:\n  - 127.0.0.1:8081:80\n  - 127.0.0.1::91\n  - 8080:80\n  - \"90\"\n  - '[::1]:53:53/udp'\n", "", ""},
		"mounts": {`{"Mounts":[{"Type":"volume","Name":"notes_db","Destination":"/db","RW":true},{"Type":"volume","Name":"shared","Destination":"/s"},{"Type":"volume","Name":"` + anonymousName + `","Destination":"/cache/x","RW":true},
			{"Type":"bind","Source":"/","Destination":"/host","Propagation":"rslave"},{"Type":"tmpfs","Destination":"/t"},{"Type":"cluster","Destination":"/c"}],"HostConfig":{"Tmpfs":{"/run":"size=1m"}}}`, `{}`,
			"volumes:\n  - web-cache-x:/cache/x\n  - db:/db\n  - type: bind\n    source: /\n    target: /host\n    read_only: true\n    bind:\n      propagation: rslave\n  - shared:/s:ro\ntmpfs:\n  - /t\n  - /run:size=1m\n", "", "web: a mount of type cluster at /c"},
		"a source that is gone": {`{"Mounts":[{"Type":"bind","Source":"/opt/x","Destination":"/x","RW":true}]}`, `{}`, "volumes:\n  - type: bind\n    source: /opt/x\n    target: /x\n    bind:\n      create_host_path: false\n", "", "web: /opt/x is not on the host any more; the container may still have it at /x"},
		"its own network":       {`{"HostConfig":{"NetworkMode":"notes_default"},"NetworkSettings":{"Networks":{"notes_default":{"Aliases":["notes-web-1","web","0123456789ab"]}}}}`, `{}`, "{}\n", "", ""},
		"networks":              {`{"HostConfig":{"NetworkMode":"notes_default"},"NetworkSettings":{"Networks":{"notes_default":{"Aliases":["www"]},"notes_back":{},"proxy net":{"IPAMConfig":{"IPv4Address":"192.0.2.7"}}}}}`, `{}`, "networks:\n  back: {}\n  default:\n    aliases:\n      - www\n  proxy-net:\n    ipv4_address: 192.0.2.7\n", "", ""},
		"the host's network":    {`{"Config":{"Hostname":"alpha"},"HostConfig":{"NetworkMode":"host"}}`, `{}`, "network_mode: host\n", "", ""},
		"another's network":     {`{"HostConfig":{"NetworkMode":"container:fedcba"}}`, `{}`, "network_mode: service:vpn\n", "", ""},
		"a stranger's network":  {`{"HostConfig":{"NetworkMode":"container:0000"}}`, `{}`, "{}\n", "", "web: the container in whose network it is (0000)"},
		"labels":                {`{"Config":{"Labels":{"com.docker.compose.project":"notes","price":"5$"}}}`, `{}`, "labels:\n  price: 5$$\n", "", ""},
		"a need":                {`{"Config":{"Labels":{"com.docker.compose.depends_on":"web:service_healthy:true,gone:service_started:false"}}}`, `{}`, "depends_on:\n  web:\n    condition: service_healthy\n    restart: true\n", "", "web: service gone, which it needs: no container of it is here"},
		"a health check":        {`{"Config":{"Healthcheck":{"Test":["CMD","ok"],"Interval":30000000000,"Timeout":1500000000,"Retries":5}}}`, `{}`, "healthcheck:\n  test:\n    - CMD\n    - ok\n  interval: 30s\n  timeout: 1.5s\n  retries: 5\n", "", ""},
		"no health check":       {`{"Config":{"Healthcheck":{"Test":["NONE"]}}}`, `{"Healthcheck":{"Test":["CMD","ok"]}}`, "healthcheck:\n  disable: true\n", "", ""},
		"what runs":             {`{"Config":{"User":"1000","WorkingDir":"/w","Hostname":"box","StopSignal":"SIGTERM","StopTimeout":90,"Tty":true,"OpenStdin":true},"HostConfig":{"Init":false,"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}}`, `{}`, "hostname: box\nuser: \"1000\"\nworking_dir: /w\nstop_signal: SIGTERM\nstop_grace_period: 1m30s\ntty: true\nstdin_open: true\ninit: false\nrestart: on-failure:3\n", "", ""},
		"rights": {`{"HostConfig":{"Privileged":true,"ReadonlyRootfs":true,"CapAdd":["NET_ADMIN"],"CapDrop":["ALL"],"GroupAdd":["44"],"SecurityOpt":["label=disable","no-new-privileges:true"],"Devices":[{"PathOnHost":"/dev/dri","PathInContainer":"/dev/dri","CgroupPermissions":"rwm"}],
			"DeviceRequests":[{"Driver":"nvidia"}],"PidMode":"host","IpcMode":"private","Runtime":"runc","ExtraHosts":["b:192.0.2.2","a:192.0.2.1"],"Dns":["192.0.2.53"],"Sysctls":{"net.core.somaxconn":"1024"}}}`, `{}`,
			"privileged: true\nread_only: true\ncap_add:\n  - NET_ADMIN\ncap_drop:\n  - ALL\ngroup_add:\n  - \"44\"\nsecurity_opt:\n  - no-new-privileges:true\ndevices:\n  - /dev/dri:/dev/dri:rwm\npid: host\nextra_hosts:\n  - a:192.0.2.1\n  - b:192.0.2.2\ndns:\n  - 192.0.2.53\nsysctls:\n  net.core.somaxconn: \"1024\"\n", "", "web: the devices that it asks a driver for, such as a GPU"},
		"limits": {`{"HostConfig":{"Ulimits":[{"Name":"nofile","Soft":1024,"Hard":2048}],"ShmSize":134217728,"Memory":536870912,"MemorySwap":1073741824,"NanoCpus":1500000000,"CpusetCpus":"0-1","PidsLimit":100,"LogConfig":{"Type":"json-file","Config":{"max-size":"10m"}}}}`, `{}`,
			"ulimits:\n  nofile:\n    soft: 1024\n    hard: 2048\nshm_size: 134217728\nmem_limit: 536870912\ncpus: \"1.5\"\ncpuset: 0-1\npids_limit: 100\nlogging:\n  driver: json-file\n  options:\n    max-size: 10m\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			service, env, unknown := drafted(t, c.made, c.image)
			if diff := cmp.Diff([]string{c.want, c.env, c.unknown}, []string{service, env, unknown}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzDraft: whatever the engine says of a container, Compose reads what the draft says, and
// interpolates nothing of it.
func FuzzDraft(f *testing.F) {
	f.Add("web:1", "A=it's $5", "echo ${HOME}", "5$", "8080", "notes_db", "/db", "db:service_healthy:true")
	f.Add("a: b", "x y=\n", "- #", "\"", "0", "a b", "/a:b", ",:,")
	f.Fuzz(func(t *testing.T, image, variable, command, label, port, volume, target, needs string) {
		made := docker.Made{}
		made.Config.Image, made.Config.Env, made.Config.Cmd = image, []string{variable}, []string{command}
		made.Config.Labels = map[string]string{"label": label, "com.docker.compose.depends_on": needs}
		made.HostConfig.PortBindings = map[string][]docker.Binding{"80/tcp": {{HostPort: port}}}
		made.Mounts = []docker.Mounted{{Type: "volume", Name: volume, Destination: target}}
		text, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		service, _, _ := drafted(t, string(text), `{}`)
		root, err := yamldoc.Parse("compose.yaml", []byte(service))
		if err != nil {
			t.Fatalf("%v:\n%s", err, service)
		}
		var again docker.Made
		if err := json.Unmarshal(text, &again); err != nil { // as it is after JSON
			t.Fatal(err)
		}
		if got, want := strings.ReplaceAll(yamldoc.ValueOf(yamldoc.Find(root, "labels", "label")), "$$", "$"), again.Config.Labels["label"]; got != want {
			t.Errorf("label %q, want %q", got, want)
		}
	})
}

// TestADraftIsAComposeFile: Compose's own library reads what a project is drafted as, and the
// data is that of the containers.
func TestADraftIsAComposeFile(t *testing.T) {
	root := t.TempDir()
	lone := container("notes-web-1", "notes", "web", "/opt/gone", "/opt/gone/compose.yaml", volume("notes_db", "/db"))
	h := host(t, root, lone, container("other-web-1", "other", "web", "/root", "/root/-"), container("odd-web-1", "odd", "../web", "", ""))
	inv, err := h.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]agentapi.RunningProject{}
	for _, p := range inv.Projects {
		byName[p.Name] = p
	}
	p := byName["notes"]
	if !p.Draft || p.Incomplete != "/opt/gone is not there" || len(p.Files) != 1 || p.Files[0].Path != "/opt/gone/compose.yaml" {
		t.Fatalf("%+v", p)
	}
	config := types.ConfigDetails{WorkingDir: root, ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: p.Files[0].Content}}}
	loaded, err := loader.LoadWithContext(t.Context(), config, func(o *loader.Options) { o.SetProjectName("notes", true) })
	if err != nil || loaded.Services["web"].Image != "web:1" {
		t.Errorf("%v: %+v", err, loaded)
	}
	if p := byName["other"]; !p.Draft || !strings.Contains(p.Incomplete, "pipe") || p.Files[0].Path != "/root/compose.yaml" {
		t.Errorf("%+v", p)
	}
	if p := byName["odd"]; p.Draft || !strings.Contains(p.Incomplete, "could not have made") {
		t.Errorf("%+v", p)
	}
}
