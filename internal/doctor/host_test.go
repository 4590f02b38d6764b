package doctor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/machine/local"
	"salvor/internal/machine/machinetest"
	"salvor/internal/version"
)

// good is what a host says of which everything is ready.
func good() map[string]string {
	return map[string]string{
		"os.ID": "debian", "os.VERSION_ID": `"13"`, "os.VERSION_CODENAME": "trixie", "kernel": "6.12.48", "arch": "x86_64", "init": "systemd",
		"cgroup": "cgroup2fs", "fuse": "yes", "disk": "41943040", "free": "20971520", "memory": "4028416", "available": "3028416", "synced": "yes",
		"docker": "26.1.5", "compose": "2.26.1", "restic": "0.18.0", "salvord": version.String(), "service": "active",
		"sshd":    sshdSays("no", "no"),
		"listens": "0.0.0.0:22", "clock": fmt.Sprint(time.Now().Unix()),
	}
}

// sshdSays is what sshd -T prints, of which passwords and questions differ.
func sshdSays(passwords, questions string) string {
	return "port 22\nmaxauthtries 6\npermitrootlogin without-password\npasswordauthentication " + passwords + "\nkbdinteractiveauthentication " + questions
}

func sightOf(said map[string]string) sight {
	var text strings.Builder
	for name, value := range said {
		for line := range strings.SplitSeq(value, "\n") {
			text.WriteString(name + "=" + line + "\n")
		}
	}
	s := parseSight([]byte(text.String()))
	s.here = time.Now()
	return s
}

func TestAHostThatIsReady(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range sightOf(good()).details(fleet.Host{Name: "alpha"}) {
		got = append(got, fmt.Sprintf("%s %s: %s", c.State, c.Name, c.Text))
	}
	want := []string{
		"ready alpha system: debian 13, x86_64, kernel 6.12.48", "ready alpha cgroups: version 2", "ready alpha fuse: /dev/fuse is there",
		"ready alpha disk: 20.0 GiB of 40.0 GiB free at /var/lib", "ready alpha memory: 2.9 GiB of 3.8 GiB available",
		"ready alpha clock: within 1.0s of this computer's", "ready alpha docker: engine 26.1.5, Compose 2.26.1", "ready alpha restic: 0.18.0",
		"ready alpha salvord: " + version.String(), "ready alpha sshd: port 22, passwords no, root without-password", "ready alpha ports: 22 listen for others",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWhatAHostLacks: each with the command that mends it.
func TestWhatAHostLacks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		said   map[string]string // "" takes a line away
		host   fleet.Host
		want   string // STATE NAME: TEXT
		fix    string
		others bool // more than that is not ready
	}{
		"another Linux":         {said: map[string]string{"os.ID": "fedora", "os.VERSION_ID": "43"}, want: "missing system: fedora 43, x86_64, kernel 6.12.48: not proven, and Salvor installs no packages there", fix: "install Docker, Compose v2 and restic"},
		"no systemd":            {said: map[string]string{"init": "init"}, want: "broken system: debian 13", fix: "use another host"},
		"cgroups 1":             {said: map[string]string{"cgroup": "tmpfs"}, want: "missing cgroups: version 1", fix: "systemd.unified_cgroup_hierarchy=1"},
		"no FUSE":               {said: map[string]string{"fuse": ""}, want: "missing fuse: ", fix: "modprobe fuse"},
		"little disk":           {said: map[string]string{"free": "1048576"}, want: "missing disk: 1.0 GiB of 40.0 GiB free", fix: "docker system prune"},
		"a twentieth of it":     {said: map[string]string{"disk": "838860800"}, want: "missing disk: 20.0 GiB of", fix: "docker system prune"},
		"no disk":               {said: map[string]string{"free": "1024"}, want: "broken disk: 1.0 MiB", fix: "docker system prune"},
		"an unknown disk":       {said: map[string]string{"free": "much"}, want: "missing disk: it does not say", fix: "df -h /var/lib"},
		"little memory":         {said: map[string]string{"available": "65536"}, want: "missing memory: 64.0 MiB of", fix: "docker stats"},
		"another time":          {said: map[string]string{"clock": fmt.Sprint(time.Now().Add(-time.Hour).Unix())}, want: "broken clock: it is 1h", fix: "timedatectl set-ntp true"},
		"a clock of its own":    {said: map[string]string{"synced": "no"}, want: "missing clock: no service keeps it", fix: "timedatectl set-ntp true"},
		"no Docker":             {said: map[string]string{"docker": "", "compose": ""}, want: "missing docker: no engine answers", fix: "salvor apply installs it"},
		"no Docker, the user's": {said: map[string]string{"docker": ""}, host: fleet.Host{Manage: fleet.Areas{}}, want: "broken docker: no engine answers", fix: "salvor host take alpha docker"},
		"no Compose":            {said: map[string]string{"compose": ""}, want: "missing docker: engine 26.1.5 without Compose v2", fix: "salvor apply installs it"},
		"no Docker elsewhere":   {said: map[string]string{"os.ID": "arch", "docker": ""}, want: "broken docker: ", fix: "https://docs.docker.com/engine/install", others: true},
		"no restic":             {said: map[string]string{"restic": ""}, want: "missing restic: ", fix: "salvor apply installs it"},
		"an old restic":         {said: map[string]string{"os.ID": "ubuntu", "os.VERSION_ID": "22.04", "restic": "0.12.1"}, want: "broken restic: ", fix: "/usr/local/bin"},
		"no salvord":            {said: map[string]string{"salvord": ""}, want: "missing salvord: it is not there", fix: "salvor apply installs it"},
		"another salvord":       {said: map[string]string{"salvord": "0.0.1"}, want: "missing salvord: 0.0.1; this is ", fix: "salvor apply installs this one"},
		"salvord ended":         {said: map[string]string{"service": "failed"}, want: "missing salvord: " + version.String() + ", and salvord.service is failed", fix: "journalctl -u salvord"},
		"passwords":             {said: map[string]string{"sshd": sshdSays("yes", "no")}, want: "missing sshd: port 22, passwords yes, root without-password: everyone may try passwords", fix: ""},
		"passwords by PAM":      {said: map[string]string{"sshd": sshdSays("no", "yes")}, want: "missing sshd: ", fix: ""},
		"sshd says nothing":     {said: map[string]string{"sshd": ""}, want: "missing sshd: sshd -T says nothing", fix: "sshd -T"},
		"Docker's port":         {said: map[string]string{"listens": "0.0.0.0:22\n*:2375\n[::]:443\n127.0.0.1:5000\n127.0.0.53%lo:53\n[::1]:25"}, want: "broken ports: 22, 443, 2375 listen for others: 2375 is Docker's engine", fix: "/etc/docker/daemon.json"},
		"Tailscale":             {said: map[string]string{"tailnet": "NeedsLogin"}, want: "missing tailnet: Tailscale is NeedsLogin", fix: "tailscale up"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := good()
			for key, value := range c.said {
				said[key] = value
				if value == "" {
					delete(said, key)
				}
			}
			c.host.Name = "alpha"
			var got []Check
			for _, one := range sightOf(said).details(c.host) {
				if one.State != Ready {
					got = append(got, one)
				}
			}
			if len(got) == 0 || len(got) > 1 && !c.others {
				t.Fatalf("not ready: %+v", got)
			}
			last := got[len(got)-1]
			if c.others {
				last = got[1]
			}
			line := fmt.Sprintf("%s %s: %s", last.State, strings.TrimPrefix(last.Name, "alpha "), last.Text)
			if !strings.HasPrefix(line, c.want) || !strings.Contains(last.Fix, c.fix) || last.Fix == "" {
				t.Errorf("%s, fix %q", line, last.Fix)
			}
		})
	}
}

// TestATailnetThatIsUp is a line of its own, and so is Ubuntu's socket.
func TestATailnetThatIsUp(t *testing.T) {
	t.Parallel()
	said := good()
	said["tailnet"], said["address"], said["socket"] = "Running", "100.64.0.7", "yes"
	all := sightOf(said).details(fleet.Host{Name: "alpha"})
	if last := all[len(all)-1]; last.Name != "alpha tailnet" || last.Text != "up, 100.64.0.7" || last.State != Ready {
		t.Errorf("%+v", last)
	}
	if sshd := all[9]; !strings.HasSuffix(sshd.Text, "by ssh.socket") {
		t.Errorf("%+v", sshd)
	}
}

// TestTheLookOnThisMachine: the script runs where not all of the programs are, says what there
// is, and ends well.
func TestTheLookOnThisMachine(t *testing.T) {
	t.Parallel()
	s, err := seen(t.Context(), local.Machine{})
	if err != nil {
		t.Fatal(err)
	}
	if _, sized := s.number("disk"); !sized || s.one("kernel") == "" || s.os.ID == "" {
		t.Errorf("%+v", s)
	}
	for _, c := range s.details(fleet.Host{Name: "here"}) {
		if c.Name == "here clock" && c.State == Broken {
			t.Errorf("%+v", c)
		}
	}
}

func TestAHostThatCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	m := machinetest.NewFake()
	m.Say(1, "", "sh")
	if _, err := seen(t.Context(), m); err == nil {
		t.Error("it says nothing, and that is good")
	}
}

// FuzzSight: whatever a host says makes checks, each with a name and a text.
func FuzzSight(f *testing.F) {
	f.Add("os.ID=debian\nlistens=[::]:22\nfree=-1\nclock=9223372036854775807\n")
	f.Add("=\n==\nlistens=:\nlistens=x%lo:99999\ndisk=9223372036854775807\nfree=9223372036854775807")
	f.Fuzz(func(t *testing.T, said string) {
		s := parseSight([]byte(said))
		s.here = time.Now()
		for _, c := range s.details(fleet.Host{Name: "alpha"}) {
			if c.Name == "" || c.Text == "" || c.State != Ready && c.Fix == "" {
				t.Errorf("%+v", c)
			}
		}
	})
}
