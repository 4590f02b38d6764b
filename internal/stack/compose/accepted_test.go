package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/project"
)

// TestDefaultNetworkNeedsNoDeclaration is issue 13, case 05.
func TestDefaultNetworkNeedsNoDeclaration(t *testing.T) {
	for name, c := range map[string]struct {
		compose string
		want    []project.Network
	}{
		"in a list":      {"services: {app: {image: nginx, networks: [proxy, default]}}\nnetworks: {proxy: {}}\n", []project.Network{{Name: "app_default", Position: "stacks/app/compose.yaml:2:1"}, {Name: "app_proxy", Position: "stacks/app/compose.yaml:2:12"}}},
		"with an alias":  {"services: {app: {image: nginx, networks: {default: {aliases: [x]}}}}\n", []project.Network{{Name: "app_default", Position: "stacks/app/compose.yaml:1:1"}}},
		"alone":          {"services: {app: {image: nginx, networks: [default]}}\n", []project.Network{{Name: "app_default", Position: "stacks/app/compose.yaml:1:1"}}},
		"declared":       {"services: {app: {image: nginx, networks: [default]}}\nnetworks: {default: {name: proxy, external: true}}\n", []project.Network{{Name: "proxy", External: true, Position: "stacks/app/compose.yaml:2:12"}}},
		"declared empty": {"services: {app: {image: nginx, networks: [default]}}\nnetworks: {default: }\n", []project.Network{{Name: "app_default", Position: "stacks/app/compose.yaml:2:12"}}},
		"not named":      {"services: {app: {image: nginx}}\n", []project.Network{{Name: "app_default", Position: "stacks/app/compose.yaml:1:1"}}},
		"the host's":     {"services: {app: {image: nginx, network_mode: host}}\n", nil},
		"not started":    {"services: {app: {image: nginx, network_mode: none}, x: {image: nginx, profiles: [x], networks: [p]}}\nnetworks: {p: {external: true}}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, found, loaded := running(t, stackOf(t, map[string]string{"compose.yaml": c.compose}))
			if diff := cmp.Diff(c.want, loaded.Networks); diff != "" || len(found) > 0 {
				t.Errorf("(-want +got)\n%s%v", diff, found)
			}
		})
	}
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {app: {image: nginx, networks: [proxy]}}\n"})
	if _, _, err := Load(t.Context(), opts); err == nil || !strings.Contains(err.Error(), `the network "proxy" is not declared`) {
		t.Error(err)
	}
}

// TestBuildArgsWithoutAValue have the one of their variable, as with Compose, or are left
// out.
func TestBuildArgsWithoutAValue(t *testing.T) {
	for _, args := range []string{"[A, B=2, TOKEN, NONE]", "{A: , B: 2, TOKEN: , NONE: }"} {
		opts := stackOf(t, map[string]string{"compose.yaml": "services: {app: {build: {context: ., args: " + args + "}}}\n", "Dockerfile": "FROM scratch\n", "stack.env": "A=1\n"})
		opts.SecretKeys = []string{"TOKEN"}
		_, found, loaded := running(t, opts)
		if finding.AnyFatal(found) {
			t.Errorf("%s: %v", args, found)
		}
		text := string(loaded.Project.Compose)
		for _, want := range []string{`A: "1"`, `B: "2"`, "TOKEN: ${TOKEN}"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s:\n%s", args, want, text)
			}
		}
		if strings.Contains(text, "NONE") {
			t.Errorf("%s: an argument without a value:\n%s", args, text)
		}
	}
}

// TestSecretInAPlainFile is issue 13, case 16: the form of Docker's own samples had no
// next step.
func TestSecretInAPlainFile(t *testing.T) {
	for file, want := range map[string]string{
		"./password.txt":    "salvor secret set app_pw <stacks/app/password.txt, then write pw: {external: true, name: app_pw} here and delete the file",
		"../shared/pw":      "salvor secret set app_pw <stacks/shared/pw, then write pw: {external: true, name: app_pw} here and delete the file",
		"/root/secrets/pw":  "salvor secret set app_pw </root/secrets/pw, then write pw: {external: true, name: app_pw} here and delete the file",
		"../../../other/pw": "salvor secret set app_pw <../../../other/pw, then write pw: {external: true, name: app_pw} here and delete the file",
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": "services: {db: {image: mariadb, secrets: [pw]}}\nsecrets: {pw: {file: " + file + "}}\n"})
		_, _, err := Load(t.Context(), opts)
		if err == nil || !strings.HasPrefix(err.Error(), "stacks/app/compose.yaml:2:11: secret pw: the file ") || fault.Hint(err) != want {
			t.Errorf("%v\nhint %s", err, fault.Hint(err))
		}
	}
}

// TestNothingStarts: Compose refuses a project of which it would start no service.
func TestNothingStarts(t *testing.T) {
	for composed, want := range map[string][2]string{
		"services: {}\nx-a: 1\n": {"the stack has no services", "write them under services:, or remove the folder"},
		"services: {a: {image: nginx, profiles: [x, y]}, b: {image: nginx, profiles: [x]}}\n": {"each service of the stack has a profile, so none starts", "write COMPOSE_PROFILES=x,y into stacks/app/stack.env"},
	} {
		_, found, _ := running(t, stackOf(t, map[string]string{"compose.yaml": composed}))
		if len(found) != 1 || found[0].Severity != finding.Fatal || found[0].Text != want[0] || found[0].Fix != want[1] || found[0].Subject != "stacks/app/compose.yaml:1:1" {
			t.Errorf("%s: %+v", composed, found)
		}
	}
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {a: {image: nginx, profiles: [x], container_name: one}, b: {image: nginx, container_name: two}}\n"})
	if _, found, loaded := running(t, opts); len(found) > 0 || !cmp.Equal(loaded.Containers, []project.Container{{Name: "two", Service: "b", Position: "stacks/app/compose.yaml:1:85"}}) {
		t.Errorf("%v, %v", found, loaded.Containers)
	}
}

// TestWhatServicesAskOfTheirHost is what a host can't be given by a deploy.
func TestWhatServicesAskOfTheirHost(t *testing.T) {
	for composed, want := range map[string]project.Asks{
		"platform: linux/arm64, runtime: nvidia":                                             {Platform: "linux/arm64", Runtime: "nvidia"},
		"devices: [/dev/ttyUSB0:/dev/tty0:rw, /dev/dri/, vendor.com/class=name]":             {Devices: []string{"/dev/ttyUSB0", "/dev/dri"}},
		"mem_limit: 2g, mem_reservation: 1g, cpus: 1.5":                                      {MemoryLimit: 2 << 30, Memory: 1 << 30, CPUs: 1.5},
		"deploy: {resources: {limits: {memory: 2g, cpus: '3'}, reservations: {memory: 1g}}}": {MemoryLimit: 2 << 30, Memory: 1 << 30, CPUs: 3},
		"healthcheck: {test: [CMD, x], start_interval: 1s}":                                  {Features: []project.Feature{{Name: "healthcheck.start_interval", Of: project.Engine, Since: "25.0"}}},
		"volumes: [{type: image, source: nginx, target: /a}]":                                {Features: []project.Feature{{Name: "a mount of type image", Of: project.Engine, Since: "28.0"}}},
		"volumes: [{type: volume, source: v, target: /a, volume: {subpath: b}}]":             {Features: []project.Feature{{Name: "volume.subpath", Of: project.Engine, Since: "26.0"}}},
		"networks: {default: {interface_name: e}}":                                           {Features: []project.Feature{{Name: "networks.interface_name", Of: project.Engine, Since: "28.1"}}},
		"cap_add: [NET_ADMIN, CAP_BPF]":                                                      {Features: []project.Feature{{Name: "cap_add: CAP_BPF", Of: project.Kernel, Since: "5.8"}}},
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": "services: {a: {image: nginx, " + composed + "}, b: {image: nginx, profiles: [x]}}\nvolumes: {v: {}}\n"})
		_, _, loaded := running(t, opts)
		if diff := cmp.Diff(map[string]project.Asks{"a": want}, loaded.Asks); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", composed, diff)
		}
	}
}

// TestRawEnvFile: Compose knows a format of env files that compose-go does not.
func TestRawEnvFile(t *testing.T) {
	opts := stackOf(t, map[string]string{
		"compose.yaml": "services: {app: {image: nginx, env_file: [{path: raw.env, format: raw}]}}\n",
		"raw.env":      "\ufeff# a comment\n\n  A='quoted $X'\r\nB=a # b\nFROM_STACK\nNOWHERE\nE=\n", "stack.env": "FROM_STACK=x\n",
	})
	_, found, loaded := running(t, opts)
	for _, want := range []string{"A: '''quoted $$X'''", "B: 'a # b'", `E: ""`, "FROM_STACK: x"} {
		if !strings.Contains(string(loaded.Project.Compose), want) {
			t.Errorf("lacks %s:\n%s", want, loaded.Project.Compose)
		}
	}
	if len(found) > 0 || strings.Contains(string(loaded.Project.Compose), "NOWHERE") {
		t.Errorf("%v\n%s", found, loaded.Project.Compose)
	}
	opts = stackOf(t, map[string]string{"compose.yaml": "services: {app: {image: nginx, env_file: [{path: a.env, format: other}]}}\n", "a.env": ""})
	if _, _, err := Load(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "stacks/app/a.env has the format other") {
		t.Error(err)
	}
}

// TestSecretWhereAValueIsNeeded: a port can't be decided by a mark.
func TestSecretWhereAValueIsNeeded(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {app: {image: nginx, ports: [\"${PORT}:80\"]}}\n"})
	opts.SecretKeys = []string{"PORT"}
	_, _, err := Load(t.Context(), opts)
	if err == nil || !strings.HasPrefix(fault.Hint(err), "PORT is a secret") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

// TestNeedsWhatDoesNotStart: Compose refuses a service that needs one whose profile is not
// active, and the host would have been the first to say so.
func TestNeedsWhatDoesNotStart(t *testing.T) {
	const tika = "  tika: {image: tika, profiles: [office]}\n"
	for service, place := range map[string]string{
		"{image: nginx, depends_on: [tika]}": "2:23", "{image: nginx, network_mode: \"service:tika\"}": "2:23", "{image: nginx, pid: \"service:tika\"}": "2:23",
		"{image: nginx, depends_on: {tika: {condition: service_started, required: false}}}": "", "{image: nginx, depends_on: [tika], profiles: [other]}": "",
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": "services:\n  app: " + service + "\n" + tika + "  x: {image: nginx}\n"})
		_, found, _ := running(t, opts)
		if finding.AnyFatal(found) != (place != "") || place != "" && (found[0].Subject != "stacks/app/compose.yaml:"+place || !strings.HasPrefix(found[0].Fix, "write COMPOSE_PROFILES=office into stacks/app/stack.env")) {
			t.Errorf("%s: %+v", service, found)
		}
		opts = stackOf(t, map[string]string{"compose.yaml": "services:\n  app: " + service + "\n" + tika, "stack.env": "COMPOSE_PROFILES=office\n"})
		if _, found, _ := running(t, opts); finding.AnyFatal(found) {
			t.Errorf("%s, with the profile: %+v", service, found)
		}
	}
}

// TestWhatAnIgnoredFileDecides: only Compose's own settings in it do, and a secret that it
// has is imported with the others.
func TestWhatAnIgnoredFileDecides(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {app: {image: nginx, secrets: [s]}}\nsecrets: {s: {environment: COMPOSE_PORT}}\n"})
	opts.WorkTree = t.TempDir()
	writeStack(t, opts.WorkTree, map[string]string{".env": "COMPOSE_PORT=80\n"})
	if _, _, err := Load(t.Context(), opts); fault.Hint(err) != "salvor secret import stacks/app/.env" {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
	opts.SecretKeys = []string{"COMPOSE_PORT"}
	if _, found, _ := running(t, opts); finding.AnyFatal(found) {
		t.Errorf("%v", found)
	}
	missing := stackOf(t, map[string]string{"compose.yaml": "services: {app: {image: nginx, env_file: [a.env]}}\n"})
	missing.WorkTree = t.TempDir()
	if _, _, err := Load(t.Context(), missing); !strings.HasPrefix(fault.Hint(err), "write the file") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

// TestEnvFileOfASharedFolder is imported like any other: the import finds the stacks that read it.
func TestEnvFileOfASharedFolder(t *testing.T) {
	opts := stackOf(t, map[string]string{"compose.yaml": "services: {app: {image: nginx, env_file: [../common/mail.env]}}\n"})
	opts.WorkTree = t.TempDir()
	writeStack(t, opts.WorkTree, map[string]string{"../common/mail.env": "A=1\n"})
	if _, _, err := Load(t.Context(), opts); fault.Hint(err) != "salvor secret import stacks/common/mail.env" {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}
