package compose

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// bound loads a stack whose services have mounts ("web nginx SOURCE:TARGET") and returns
// what became of its volumes, and what is asked.
func bound(t *testing.T, opts Options, mounts ...string) (volumes, asked []string) {
	t.Helper()
	opts.RepoDir = t.TempDir()
	opts.Stack.Name, opts.Stack.Dir, opts.Stack.File = "app", "stacks/app", "compose.yaml"
	dir := filepath.Join(opts.RepoDir, "stacks", "app")
	var content strings.Builder
	content.WriteString("services:\n")
	for i, m := range mounts {
		image, mount, _ := strings.Cut(m, " ")
		fmt.Fprintf(&content, "  s%d:\n    image: %s\n    volumes: [%q]\n", i, image, mount)
	}
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "html"), 0o755), os.WriteFile(filepath.Join(dir, "html", "index.html"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(content.String()), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	loaded, found, err := Load(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range loaded.Volumes {
		volumes = append(volumes, fmt.Sprintf("%s %s %s", v.Source, v.Protect, strings.Join(v.Services, ",")))
	}
	for _, f := range found {
		if f.Code == finding.MountUnclassified {
			asked = append(asked, f.Text+" / "+f.Fix)
		}
	}
	return volumes, asked
}

// TestBindsByFolder: the longest folder wins, and what x-salvor says over all.
func TestBindsByFolder(t *testing.T) {
	t.Parallel()
	binds := fleet.Binds{{Folder: "/mnt", Protect: fleet.External}, {Folder: "/mnt/docker", Protect: fleet.Snapshot}, {Folder: "/mnt/docker/cache", Protect: fleet.None},
		{Folder: "/var/log/app", Protect: fleet.Snapshot}, {Folder: "/root/data", Protect: fleet.Snapshot}, {Folder: "/var", Protect: fleet.Snapshot}}
	own := []fleet.VolumePolicy{{Volume: "/mnt/docker/mine", Protect: fleet.None, Position: "stacks/app/compose.yaml:1:1"},
		{Volume: "~/own", Protect: fleet.External, Position: "stacks/app/compose.yaml:1:1"}}
	for mount, want := range map[string]string{
		"/mnt/films:/films":                "/mnt/films external s0",
		"/mnt/docker/app:/data":            "/mnt/docker/app snapshot s0",
		"/mnt/docker:/data":                "/mnt/docker snapshot s0",
		"/mnt/docker2:/data":               "/mnt/docker2 external s0",
		"/mnt/docker/cache/app:/data":      "/mnt/docker/cache/app none s0",
		"/mnt/docker/mine:/data":           "/mnt/docker/mine none s0",
		"/mnt/docker/mine/below:/data":     "/mnt/docker/mine/below none s0",
		"~/own:/data":                      "/root/own external s0",
		"~/data/app:/data":                 "/root/data/app snapshot s0",
		"/var/log:/logs":                   "",
		"/var/log/app:/logs":               "/var/log/app snapshot s0",
		"/var/lib/app:/data":               "/var/lib/app snapshot s0",
		"/var/run/docker.sock:/run/d.sock": "",
	} {
		opts := Options{Binds: binds}
		for _, p := range own {
			if strings.HasPrefix(mount, p.Volume) {
				opts.Stack.Volumes = []fleet.VolumePolicy{p}
			}
		}
		volumes, asked := bound(t, opts, "nginx "+mount)
		if got := strings.Join(volumes, "; "); got != want || asked != nil {
			t.Errorf("%s: %q, want %q; asked %q", mount, got, want, asked)
		}
	}
}

// TestHostsOwnPathsAreNotAsked is case 24, and its kin.
func TestHostsOwnPathsAreNotAsked(t *testing.T) {
	t.Parallel()
	for _, mount := range []string{"/var/run:/var/run:ro", "/run/log/journal:/run/log/journal:ro", "/lib/modules:/lib/modules", "/usr/src:/usr/src",
		"/var/run/docker.sock:/var/run/docker.sock", "/etc/localtime:/etc/localtime", "/etc/timezone:/etc/timezone:ro", "/etc/machine-id:/etc/machine-id",
		"/proc:/host/proc", "/sys:/host/sys", "/dev/dri:/dev/dri", "/dev/shm:/dev/shm", "/var/log:/var/log", "/var/log/auth.log:/var/log/auth.log", "/:/rootfs:ro", "/:/host",
		"/run/dbus:/run/dbus", "/tmp:/tmp", "/var/lib/docker:/var/lib/docker", "/var/lib/docker/containers:/c:ro", "/etc/passwd:/etc/passwd", "/etc/hosts:/etc/hosts",
		"/usr/bin/docker:/usr/bin/docker", "/usr/share/zoneinfo:/usr/share/zoneinfo", "/usr/share/fonts/truetype:/fonts", "/usr/share/doc:/doc:ro", "/etc/ssl/certs:/certs:ro", "~/.docker/config.json:/config.json"} {
		if volumes, asked := bound(t, Options{}, "nginx "+mount); volumes != nil || asked != nil {
			t.Errorf("%s: volumes %q, asked %q", mount, volumes, asked)
		}
	}
	for _, mount := range []string{"/srv/app:/data", "/usr/local/app:/data", "/usr/share/appdata/vpn/config:/config", "/etc/letsencrypt:/certs", "/etc/ssl/private:/certs", "/var/lib/docker/volumes/x/_data:/x",
		"/var/lib/app:/data", "/root/app:/data", "/opt/app:/data", "/home/ann:/data"} {
		if _, asked := bound(t, Options{}, "nginx "+mount); len(asked) != 1 {
			t.Errorf("%s is asked %d times", mount, len(asked))
		}
	}
}

// TestAQuestionProposesItsAnswer: the line to add, by what the service is and where the
// path points, each folder once.
func TestAQuestionProposesItsAnswer(t *testing.T) {
	t.Parallel()
	for mounts, want := range map[string][]string{
		"nginx /mnt/docker-volumes/a:/a; nginx /mnt/docker-volumes/b:/b":          {"/mnt/docker-volumes: snapshot"}, // case 25
		"nginx /srv/media:/m; nginx /srv/media/films:/f":                          {"/srv/media: external"},          // nested: once
		"nginx /opt/a:/a; nginx /opt/a/sub/deep:/b":                               {"/opt/a: snapshot"},
		"jellyfin/jellyfin /mnt/tank/films:/media":                                {"/mnt/tank/films: external"},
		"jellyfin/jellyfin /mnt/tank/stuff:/media/all":                            {"/mnt/tank/stuff: external"},
		"postgres:17 /mnt/media/db:/var/lib/postgresql/data":                      {"/mnt/media/db: snapshot"},
		"jellyfin/jellyfin /srv/media/config:/config":                             {"/srv/media/config: snapshot"},
		"sonarr /mnt/media/sonarr/config:/config; sonarr /mnt/media:/tv":          {"/mnt/media/sonarr/config: snapshot", "/mnt/media: external"},
		"postgres:17 /mnt/media/db:/var/lib/postgresql/data; nginx /mnt/media:/m": {"/mnt/media/db: snapshot", "/mnt/media: external"},
		"sonarr /srv/media/sonarr:/config":                                        {"/srv/media/sonarr: snapshot"},
		"sonarr /mnt/nas/sonarr:/config":                                          {"/mnt/nas: external"},
		"wireguard /usr/share/appdata/wireguard/config:/config":                   {"/usr/share/appdata/wireguard/config: snapshot"},
		"nginx /home/ann/docker/app:/a; nginx /home/ann/docker/b/c:/b":            {"/home/ann/docker: snapshot"},
		"nginx /mnt/user/appdata/app:/config":                                     {"/mnt/user/appdata: snapshot"},
		"nginx /mnt/nas/photos:/photos":                                           {"/mnt/nas: external"},
		"plex /opt/plex/transcode:/transcode; plex /opt/plex/db:/config":          {"/opt/plex/transcode: none", "/opt/plex: snapshot"},
		"lscr.io/linuxserver/duplicati /srv/all:/source":                          {"/srv/all: external"},
		"gcr.io/cadvisor/cadvisor:v1 /opt/stats:/s:ro":                            {"/opt/stats: host"},
	} {
		_, asked := bound(t, Options{}, strings.Split(mounts, "; ")...)
		if len(asked) != len(want) {
			t.Errorf("%s: asked %q", mounts, asked)
			continue
		}
		slices.Sort(asked)
		for _, line := range want {
			if !slices.ContainsFunc(asked, func(a string) bool { return strings.Contains(a, "add to fleet.yaml: binds: {"+line+"} (or: ") }) {
				t.Errorf("%s: asked %q, want %q", mounts, asked, line)
			}
		}
	}
	_, asked := bound(t, Options{Binds: fleet.Binds{{Folder: "/x", Protect: fleet.None}}}, "nginx ~/app:/data")
	want := []string{"s0: /root/app is a folder of the host that Salvor would not restore (~ is root's home on a host) / add under binds: in fleet.yaml: /root/app: snapshot " +
		"(or: external is kept elsewhere, host belongs to the host, none may be lost); x-salvor.volumes says it for this stack alone"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
}

// TestFoldersOfTheHostAreOneTree: a folder in another that is protected alike is part of
// its volume; one that x-salvor names is its own.
func TestFoldersOfTheHostAreOneTree(t *testing.T) {
	t.Parallel()
	binds := fleet.Binds{{Folder: "/srv", Protect: fleet.Snapshot}, {Folder: "/srv/a/cache", Protect: fleet.None}}
	mounts := []string{"nginx /srv/a/sub:/s", "nginx /srv/a:/a", "nginx /srv/a/cache:/c", "nginx /srv/b:/b"}
	volumes, _ := bound(t, Options{Binds: binds}, mounts...)
	if diff := cmp.Diff([]string{"/srv/a snapshot s0,s1", "/srv/a/cache none s2", "/srv/b snapshot s3"}, volumes); diff != "" {
		t.Error(diff)
	}
	named := Options{Binds: binds, Stack: fleet.Stack{Volumes: []fleet.VolumePolicy{{Volume: "/srv/a/sub", Protect: fleet.Snapshot}}}}
	volumes, _ = bound(t, named, mounts...)
	if diff := cmp.Diff([]string{"/srv/a snapshot s1", "/srv/a/cache none s2", "/srv/a/sub snapshot s0", "/srv/b snapshot s3"}, volumes); diff != "" {
		t.Error(diff)
	}
}

// TestAMisspeltSourceIsAsked: ./htlm next to ./html was taken as new data.
func TestAMisspeltSourceIsAsked(t *testing.T) {
	t.Parallel()
	for source, meant := range map[string]string{"./htlm": "./html", "./html2": "", "./HTML": "./html", "./data": "", "./html": "", "./html/indx.html": "./html/index.html"} {
		_, asked := bound(t, Options{}, "nginx "+source+":/x")
		if got := strings.Join(asked, ""); (meant != "") != strings.Contains(got, "is not in Git, but "+meant) {
			t.Errorf("%s: %q", source, got)
		}
	}
	said := Options{Stack: fleet.Stack{Volumes: []fleet.VolumePolicy{{Volume: "./htlm", Protect: fleet.Snapshot}}}}
	if volumes, asked := bound(t, said, "nginx ./htlm:/x"); len(volumes) != 1 || asked != nil {
		t.Errorf("%q, asked %q", volumes, asked)
	}
}
