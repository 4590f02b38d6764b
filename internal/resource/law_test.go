package resource_test

import (
	"encoding/json"
	"testing"

	"salvor/internal/converge"
	"salvor/internal/converge/convergetest"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/resource"
)

// every kind is here, alone and in the company that it meets on a host.
func TestConvergenceLaw(t *testing.T) {
	tests := map[string]struct {
		host      func(h *debiantest.Host)
		resources []converge.Resource
	}{
		"file": {resources: []converge.Resource{
			resource.File{Path: "/etc/motd", Content: []byte("hello\n"), Mode: 0o644},
		}},
		"file with another content and mode": {
			host:      func(h *debiantest.Host) { h.Put("/etc/motd", "bye\n", 0o600) },
			resources: []converge.Resource{resource.File{Path: "/etc/motd", Content: []byte("hello\n"), Mode: 0o644}},
		},
		"file of a new user in a new directory": {resources: []converge.Resource{
			resource.File{Path: "/srv/app/conf", Content: []byte("x"), Mode: 0o640, Owner: "app", Group: "app"},
			resource.Directory{Path: "/srv/app", Mode: 0o750, Owner: "app", Group: "app"},
			resource.Directory{Path: "/srv", Mode: 0o755},
			resource.User{Name: "app", System: true},
		}},
		"directory with another mode": {
			host:      func(h *debiantest.Host) { h.Put("/srv/x", "", 0o644) },
			resources: []converge.Resource{resource.Directory{Path: "/srv", Mode: 0o700}},
		},
		"packages": {
			host: brings("nginx", "1.26", "nginx.service"),
			resources: []converge.Resource{
				resource.Packages{Name: "web", List: []resource.Package{{Name: "nginx", Min: "1.20"}}},
			},
		},
		"packages after an interrupted dpkg": {
			host: func(h *debiantest.Host) {
				brings("nginx", "1.26", "nginx.service")(h)
				brings("restic", "0.18", "")(h)
				h.InterruptDpkg("nginx")
			},
			resources: []converge.Resource{
				resource.Packages{Name: "base", List: []resource.Package{{Name: "nginx"}, {Name: "restic"}}},
			},
		},
		"repository": {resources: []converge.Resource{
			resource.Repository{Name: "docker", URL: "https://example.net/debian", Suite: "trixie", Components: "stable", Key: []byte("key")},
		}},
		"unit of a package, with its configuration": {
			host: brings("nginx", "1.26", "nginx.service"),
			resources: []converge.Resource{
				resource.Unit{Name: "nginx.service", Boot: resource.Enabled, Run: resource.Running, RestartOn: []string{"/etc/nginx.conf"}, Needs: []string{"packages web"}},
				resource.Packages{Name: "web", List: []resource.Package{{Name: "nginx"}}},
				resource.File{Path: "/etc/nginx.conf", Content: []byte("x"), Mode: 0o644, Needs: []string{"packages web"}},
			},
		},
		"unit with its own file": {resources: []converge.Resource{
			resource.File{Path: "/etc/systemd/system/salvord.service", Content: []byte("[Service]\n"), Mode: 0o644},
			resource.Unit{Name: "salvord.service", Boot: resource.Enabled, Run: resource.Running},
		}},
		"unit that is masked": {
			host:      func(h *debiantest.Host) { h.Put("/usr/lib/systemd/system/nfs.service", "[Service]\n", 0o644) },
			resources: []converge.Resource{resource.Unit{Name: "nfs.service", Boot: resource.Masked, Run: resource.Stopped}},
		},
		"unit whose condition does not hold": {
			host: func(h *debiantest.Host) {
				h.Put("/usr/lib/systemd/system/time.service", "[Unit]\nConditionVirtualization=!container\n", 0o644)
			},
			resources: []converge.Resource{resource.Unit{Name: "time.service", Boot: resource.Enabled, Run: resource.Running}},
		},
		"members of a group that has another one": {
			host: func(h *debiantest.Host) {
				h.Put("/etc/group", "root:x:0:\ndocker:x:990:ops,mallory\n", 0o644)
				h.Put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nops:x:1000:1000::/home/ops:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\nmallory:x:1002:1002::/home/mallory:/bin/sh\n", 0o644)
			},
			resources: []converge.Resource{resource.Members{Group: "docker", Users: []string{"ops", "ann"}}},
		},
		"members of a group that is to have none": {
			host: func(h *debiantest.Host) {
				h.Put("/etc/group", "root:x:0:\ndocker:x:990:mallory\n", 0o644)
			},
			resources: []converge.Resource{resource.Members{Group: "docker", Users: []string{}}},
		},
		"group and user": {resources: []converge.Resource{
			resource.User{Name: "app", UID: 4000, Home: "/srv/app", Shell: "/usr/sbin/nologin", Groups: []string{"media"}},
			resource.Group{Name: "media", GID: 5000},
		}},
		"user that exists otherwise": {
			host: func(h *debiantest.Host) {
				h.Put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\napp:x:1:1::/:/bin/sh\n", 0o644)
				h.Put("/etc/group", "root:x:0:\napp:x:1:\nmedia:x:2:\n", 0o644)
			},
			resources: []converge.Resource{resource.User{Name: "app", Home: "/srv/app", Shell: "/bin/bash", Groups: []string{"media"}}},
		},
		"mount": {resources: []converge.Resource{
			resource.Mount{What: "tmpfs", Where: "/mnt/my-data", Type: "tmpfs", Options: "size=1m"},
		}},
		"mount that may be out of reach": {resources: []converge.Resource{
			resource.Mount{What: "nas.lan:/a", Where: "/mnt/nas", Type: "nfs", Options: "nofail", Later: true},
		}},
		"mount with other options": {
			host: func(h *debiantest.Host) {
				h.Put("/etc/systemd/system/mnt-x.mount", "[Mount]\nWhat=tmpfs\n", 0o644)
				h.Start("mnt-x.mount")
			},
			resources: []converge.Resource{resource.Mount{What: "tmpfs", Where: "/mnt/x", Type: "tmpfs", Options: "size=2m"}},
		},
		"sysctl": {
			host:      func(h *debiantest.Host) { h.Put("/proc/sys/net/ipv4/ip_forward", "0\n", 0o644) },
			resources: []converge.Resource{resource.Sysctl{Key: "net.ipv4.ip_forward", Value: "1"}},
		},
		"keys in a JSON file": {
			host: func(h *debiantest.Host) { h.Put("/etc/docker/daemon.json", `{"log-driver":"local"}`, 0o600) },
			resources: []converge.Resource{resource.JSONFile{Path: "/etc/docker/daemon.json", Mode: 0o644,
				Keys: map[string]json.RawMessage{"insecure-registries": json.RawMessage(`["10.0.0.2:5000"]`)}}},
		},
		"lines among others'": {
			host: func(h *debiantest.Host) {
				h.Put("/root/.ssh/authorized_keys", "ssh-ed25519 mine\n# begin salvor\nssh-ed25519 old\n# end salvor\nssh-rsa too", 0o600)
			},
			resources: []converge.Resource{resource.Block{Path: "/root/.ssh/authorized_keys", Name: "salvor", Lines: []string{"ssh-ed25519 new"}, Mode: 0o600}},
		},
		"lines in a new file": {
			resources: []converge.Resource{
				resource.User{Name: "app"}, resource.Directory{Path: "/srv", Mode: 0o755}, resource.Directory{Path: "/srv/.ssh", Mode: 0o700, Owner: "app", Group: "app"},
				resource.Block{Path: "/srv/.ssh/authorized_keys", Name: "salvor", Lines: []string{"ssh-ed25519 new"}, Mode: 0o600, Owner: "app", Group: "app"},
			},
		},
		"command with a guard": {
			host: func(h *debiantest.Host) {
				h.Programs["make-it"] = func(h *debiantest.Host, _ machine.Cmd) (string, error) {
					h.PutLocked("/var/it", "made", 0o644)
					return "", nil
				}
			},
			resources: []converge.Resource{resource.Command{Name: "make it", Guard: []string{"test", "-e", "/var/it"}, Argv: []string{"make-it"}, Cause: "it is not there"}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			convergetest.Law(t, func() *debiantest.Host {
				h := debiantest.New()
				if tc.host != nil {
					tc.host(h)
				}
				return h
			}, tc.resources...)
		})
	}
}

func brings(name, version, unit string) func(*debiantest.Host) {
	return func(h *debiantest.Host) { h.Available[name] = debiantest.Package{Version: version, Unit: unit} }
}
