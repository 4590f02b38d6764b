package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/hostprep"
	"salvor/internal/terminal"
	"salvor/internal/version"
)

// What a host has too little of, in KiB, and by how much its clock may differ.
const (
	littleDisk   = 2 << 20
	noDisk       = 200 << 10
	littleMemory = 128 << 10
	clockMayBe   = 5 * time.Minute
)

// details are the checks of a host that answers, by what it said.
func (s sight) details(h fleet.Host) []Check {
	all := []Check{s.system(), s.cgroups(), s.fuse(), s.disk(), s.memory(), s.clock(), s.engine(h), s.restic(h), s.daemon(), s.logins(h), s.open(h)}
	all = append(all, s.tailnet()...)
	for i := range all {
		all[i].Name = h.Name + " " + all[i].Name
	}
	return all
}

func (s sight) system() Check {
	text := fmt.Sprintf("%s, %s, kernel %s", s.os, s.one("arch"), s.one("kernel"))
	switch {
	case s.one("init") != "systemd":
		return Check{"system", Broken, text + ": Salvor needs systemd, and process 1 is " + s.one("init"), "use another host"}
	case !hostprep.Prepares(s.os):
		return Check{"system", Missing, text + ": not proven, and Salvor installs no packages there", "install Docker, Compose v2 and restic 0.14 or newer there yourself; docs/hosts.md"}
	}
	return Check{"system", Ready, text, ""}
}

func (s sight) cgroups() Check {
	if s.one("cgroup") == "cgroup2fs" {
		return Check{"cgroups", Ready, "version 2", ""}
	}
	return Check{"cgroups", Missing, "version 1: limits of containers are those of the old kernel interface",
		"add systemd.unified_cgroup_hierarchy=1 to the kernel's command line there, and reboot"}
}

func (s sight) fuse() Check {
	if s.one("fuse") != "" {
		return Check{"fuse", Ready, "/dev/fuse is there", ""}
	}
	return Check{"fuse", Missing, "without /dev/fuse no shared volume can be mounted", "modprobe fuse there"}
}

func (s sight) disk() Check {
	size, sized := s.number("disk")
	free, known := s.number("free")
	if !sized || !known {
		return Check{"disk", Missing, "it does not say how much is free", "df -h /var/lib there"}
	}
	text := fmt.Sprintf("%s of %s free at /var/lib", terminal.Bytes(free<<10), terminal.Bytes(size<<10))
	switch {
	case free < noDisk:
		return Check{"disk", Broken, text, "docker system prune there, or a larger disk"}
	case free < littleDisk || free < size/20:
		return Check{"disk", Missing, text, "docker system prune there, or a larger disk"}
	}
	return Check{"disk", Ready, text, ""}
}

func (s sight) memory() Check {
	size, _ := s.number("memory")
	available, known := s.number("available")
	text := fmt.Sprintf("%s of %s available", terminal.Bytes(available<<10), terminal.Bytes(size<<10))
	if !known || available < littleMemory {
		return Check{"memory", Missing, text, "docker stats there shows who has it"}
	}
	return Check{"memory", Ready, text, ""}
}

func (s sight) clock() Check {
	at, known := s.number("clock")
	if !known {
		return Check{"clock", Missing, "it does not say what time it is", "date there"}
	}
	apart := time.Unix(at, 0).Sub(s.here).Abs()
	switch {
	case apart > clockMayBe:
		return Check{"clock", Broken, "it is " + terminal.Duration(apart) + " from this computer's", "timedatectl set-ntp true there, or here"}
	case s.one("synced") == "no" && s.one("container") == "":
		return Check{"clock", Missing, "no service keeps it", "timedatectl set-ntp true there"}
	}
	return Check{"clock", Ready, "within " + terminal.Duration(max(apart, time.Second)) + " of this computer's", ""}
}

func (s sight) engine(h fleet.Host) Check {
	docker, compose := s.one("docker"), s.one("compose")
	fix, state := "salvor apply installs it", Missing
	if !h.Manage.Has(fleet.AreaDocker) || !hostprep.Prepares(s.os) {
		fix, state = "salvor host take "+h.Name+" docker, or install it there yourself", Broken
		if !hostprep.Prepares(s.os) {
			fix = "install it there: https://docs.docker.com/engine/install"
		}
	}
	switch {
	case docker == "":
		return Check{"docker", state, "no engine answers", fix}
	case compose == "":
		return Check{"docker", state, "engine " + docker + " without Compose v2", fix}
	}
	return Check{"docker", Ready, "engine " + docker + ", Compose " + compose, ""}
}

func (s sight) restic(h fleet.Host) Check {
	has := s.one("restic")
	switch {
	case hostprep.ResticWorks(has):
		return Check{"restic", Ready, has, ""}
	case hostprep.BringsRestic(s.os):
		return Check{"restic", Missing, "it is not there, or older than 0.14", "salvor apply installs it on " + h.Name}
	}
	return Check{"restic", Broken, "it is not there, or older than 0.14", "put restic's own program into /usr/local/bin there: https://github.com/restic/restic/releases"}
}

func (s sight) daemon() Check {
	is, service := s.one("salvord"), s.one("service")
	switch {
	case is == "":
		return Check{"salvord", Missing, "it is not there", "salvor apply installs it"}
	case is != version.String():
		return Check{"salvord", Missing, is + "; this is " + version.String(), "salvor apply installs this one, unless that one is newer"}
	case service != "active":
		return Check{"salvord", Missing, is + ", and salvord.service is " + service, "salvor apply starts it; journalctl -u salvord there says why it ended"}
	}
	return Check{"salvord", Ready, is, ""}
}

// logins is about what sshd says of itself: drop-ins of a cloud's image come before others.
func (s sight) logins(h fleet.Host) Check {
	does := s.sshd()
	passwords := does.First("passwordauthentication")
	if passwords == "" {
		return Check{"sshd", Missing, "sshd -T says nothing", "sshd -T there"}
	}
	text := fmt.Sprintf("port %s, passwords %s, root %s", strings.Join(does["port"], ", "), passwords, does.First("permitrootlogin"))
	if s.one("socket") != "" {
		text += ", by ssh.socket"
	}
	if passwords == "no" && does.First("kbdinteractiveauthentication") != "yes" {
		return Check{"sshd", Ready, text, ""}
	}
	fix := "salvor host take " + h.Name + " ssh, then salvor apply"
	switch {
	case h.Manage.Has(fleet.AreaSSH):
		fix = "salvor apply"
	case !hostprep.Prepares(s.os):
		fix = "PasswordAuthentication no and KbdInteractiveAuthentication no in a file of /etc/ssh/sshd_config.d there, once your key works"
	}
	return Check{"sshd", Missing, text + ": everyone may try passwords", fix}
}

// unsafePorts are of services that let in anyone who reaches them.
func unsafePorts() map[int]string {
	return map[int]string{2375: "Docker's engine, which makes anyone root", 2376: "Docker's engine"}
}

func (s sight) open(h fleet.Host) Check {
	all := s.ports()
	if len(all) == 0 {
		return Check{"ports", Ready, "none answers from elsewhere, as far as ss says", ""}
	}
	var words []string
	for _, port := range all {
		words = append(words, strconv.Itoa(port))
	}
	text := strings.Join(words, ", ") + " listen for others"
	for _, port := range all {
		if what, unsafe := unsafePorts()[port]; unsafe {
			return Check{"ports", Broken, fmt.Sprintf("%s: %d is %s", text, port, what), "remove hosts: from /etc/docker/daemon.json of " + h.Name + ", and -H tcp:// from its unit"}
		}
	}
	return Check{"ports", Ready, text, ""}
}

// tailnet is nothing for a host without Tailscale.
func (s sight) tailnet() []Check {
	switch state := s.one("tailnet"); state {
	case "":
		return nil
	case "Running":
		return []Check{{"tailnet", Ready, "up, " + s.one("address"), ""}}
	default:
		return []Check{{"tailnet", Missing, "Tailscale is " + state, "tailscale up there"}}
	}
}
