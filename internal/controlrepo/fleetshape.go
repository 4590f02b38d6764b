package controlrepo

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/secret"
)

// A fleetFile is fleet.yaml as it is read, before defaults and references.
type fleetFile struct {
	schema int
	fleet  fleet.Fleet
	unused []string // known keys that this version does not act on
}

// fleetShape is the one definition of fleet.yaml: it decodes, and
// docs/reference/fleet.schema.json is made from it.
func fleetShape() shape[fleetFile] {
	return extensible(object(
		key("schema", "Version of this format.", number(1, fleet.Schema), func(f *fleetFile, v int) { f.schema = v }),
		key("min_version", "The oldest version of salvor that may apply this fleet.", matching(versionPattern, "a version such as 0.1.0"), func(f *fleetFile, v string) { f.fleet.MinVersion = v }),
		key("fleet", "The fleet's name. It is part of every snapshot's identity.", name(), func(f *fleetFile, v string) { f.fleet.Name = v }).must(),
		key("hosts", "The declared servers by name.", named(naming{names().pattern, fleet.ValidHost}, hostShape()), (*fleetFile).setHosts),
		key("remotes", "The rclone remotes by name.", named(names(), remoteShape()), (*fleetFile).setRemotes),
		key("record", "Where claims, facts, journals and the encrypted mirror of this repository are. Default: a folder "+
			"for this fleet alone, on the remote that is listed first at the first apply. After that, salvor.lock keeps "+
			"its place.", locationShape(), func(f *fleetFile, v fleet.Location) { f.fleet.Record = v }),
		key("data", "Where data is and where its snapshots go.", dataShape(), func(f *fleetFile, v data) { f.fleet.Shared, f.fleet.Snapshots = v.shared, v.snapshots }),
		key("networks", "Docker networks that stacks join as external; created before any stack.", named(keysLike(dockerNamePattern, "a name for a Docker network"), networkShape()), (*fleetFile).setNetworks),
		key("registries", "Image registries behind a login, by host[:port].", named(keysLike(registryPattern, "a registry such as ghcr.io or registry.example.net:5000"), registryShape()), (*fleetFile).setRegistries),
		key("vaults", "Passwords of Ansible Vault files under secrets/, by vault id; \"default\" is for files without one.", named(keysLike(vaultPattern, "a vault id"), reference()), (*fleetFile).setVaults),
		key("secrets", "Settings of single secrets, by the name that `salvor secret` takes: NAME, STACK/KEY or FILE.yml/KEY.", named(keysLike(secretPattern, "a name for a secret"), secretShape()), (*fleetFile).setSecrets),
		key("vars", "Plain values for every stack. Secrets belong in secrets/<stack>.env.", named(keysLike(variablePattern, "a name for a variable"), plainVariable()), (*fleetFile).setVars),
		key("docker", "Where hosts get Docker from.", dockerShape(), func(f *fleetFile, v fleet.Docker) { f.fleet.Docker = v }),
		key("git", "Where hosts read this repository. Default: the operator's own remote.", gitShape(), func(f *fleetFile, v fleet.Git) { f.fleet.Git = v }),
		key("recipients", "The age recipients that every secret is encrypted to.", recipientsShape(), func(f *fleetFile, v fleet.Recipients) { f.fleet.Recipients = v }),
		later("tailnet", "The private network between hosts.", tailnetShape()),
		later("ingress", "How routes reach the internet.", ingressShape()),
		later("monitoring", "What watches the hosts.", monitoringShape()),
	))
}

func (f *fleetFile) setHosts(all []entry[fleet.Host]) {
	for _, e := range all {
		e.value.Name = e.name
		f.fleet.Hosts = append(f.fleet.Hosts, e.value)
	}
}

func (f *fleetFile) setRemotes(all []entry[fleet.Remote]) {
	for _, e := range all {
		e.value.Name = e.name
		f.fleet.Remotes = append(f.fleet.Remotes, e.value)
	}
}

func (f *fleetFile) setNetworks(all []entry[fleet.Network]) {
	for _, e := range all {
		e.value.Name = e.name
		f.fleet.Networks = append(f.fleet.Networks, e.value)
	}
}

func (f *fleetFile) setRegistries(all []entry[fleet.Registry]) {
	for _, e := range all {
		e.value.Name = e.name
		f.fleet.Registries = append(f.fleet.Registries, e.value)
	}
}

func (f *fleetFile) setVaults(all []entry[secret.Setting]) { f.fleet.Vaults = asMap(all) }

func (f *fleetFile) setSecrets(all []entry[fleet.Secret]) {
	for _, e := range all {
		e.value.Name = e.name
		f.fleet.Secrets = append(f.fleet.Secrets, e.value)
	}
}

func (f *fleetFile) setVars(all []entry[string]) {
	f.fleet.Vars = asMap(all)
}

func asMap[V any](all []entry[V]) map[string]V {
	m := make(map[string]V, len(all))
	for _, e := range all {
		m[e.name] = e.value
	}
	return m
}

func hostShape() shape[fleet.Host] {
	return object(
		key("address", "IP address or DNS name.", text(checkAddress), func(h *fleet.Host, v string) { h.Address = v }).must(),
		key("port", "SSH port, 22 by default.", number(1, 65535), func(h *fleet.Host, v int) { h.Port = v }),
		key("user", "The user to log in as, root by default. Another user needs sudo without a password.", matching(userPattern, "a user name"), func(h *fleet.Host, v string) { h.User = v }),
		key("jump", "An SSH jump host, as user@host:port.", text(checkJump), func(h *fleet.Host, v string) { h.Jump = v }),
		key("docker", "Where this host gets Docker from, instead of the fleet's setting.", dockerShape(), func(h *fleet.Host, v fleet.Docker) { h.Docker = v }),
		key("formerly", "The former name of this host.", name(), func(h *fleet.Host, v string) { h.Formerly = v }),
	)
}

func dockerShape() shape[fleet.Docker] {
	return object(
		key("channel", "Whose packages: the distribution's, or Docker's own apt repository.", choice("distribution", "docker"), func(d *fleet.Docker, v string) { d.Channel = v }),
		key("url", "An apt repository to use instead of Docker's own.", text(checkURL), func(d *fleet.Docker, v string) { d.URL = v }),
		key("key", "That repository's signing key, armored.", text(nil), func(d *fleet.Docker, v string) { d.Key = v }),
	)
}

func locationShape() shape[fleet.Location] {
	return object(locationFields(func(l *fleet.Location) *fleet.Location { return l })...)
}

// locationFields are the two keys of a location, for shapes that hold one.
func locationFields[T any](in func(*T) *fleet.Location) []field[T] {
	return []field[T]{
		key("remote", "The name of a remote.", name(), func(v *T, s string) { in(v).Remote = s }).must(),
		key("path", "A path on the remote, without a leading slash.", text(checkRemotePath), func(v *T, s string) { in(v).Path = s }).must(),
	}
}

// data is what is under `data:`.
type data struct {
	shared    fleet.Location
	snapshots []fleet.Target
}

func dataShape() shape[data] {
	return object(
		key("shared", "Where shared volumes are; one mount per stack.", locationShape(), func(d *data, v fleet.Location) { d.shared = v }),
		key("snapshots", "Where snapshots go. Restore uses the nearest target that has what is needed.", list(targetShape()), func(d *data, v []fleet.Target) { d.snapshots = v }),
	)
}

func targetShape() shape[fleet.Target] {
	fields := append([]field[fleet.Target]{
		key("name", "The target's name; it identifies the repositories.", name(), func(t *fleet.Target, v string) { t.Name = v }).must(),
		key("every", "How often, 1h by default.", duration(), func(t *fleet.Target, v time.Duration) { t.Every = v }),
		key("append_only", "Hosts delete nothing there; `salvor snapshot prune` applies keep from the operator's computer.", truth(), func(t *fleet.Target, v bool) { t.AppendOnly = v }),
		key("keep", "Retention. Default: last 8, daily 14, weekly 8, monthly 12.", keepShape(), func(t *fleet.Target, v fleet.Keep) { t.Keep = v }),
	}, locationFields(func(t *fleet.Target) *fleet.Location { return &t.Where })...)
	return object(fields...)
}

func keepShape() shape[fleet.Keep] {
	count := number(0, 100_000)
	return object(
		key("last", "How many of the newest to keep, however old.", count, func(k *fleet.Keep, v int) { k.Last = v }),
		key("hourly", "For how many hours to keep one each.", count, func(k *fleet.Keep, v int) { k.Hourly = v }),
		key("daily", "For how many days to keep one each.", count, func(k *fleet.Keep, v int) { k.Daily = v }),
		key("weekly", "For how many weeks to keep one each.", count, func(k *fleet.Keep, v int) { k.Weekly = v }),
		key("monthly", "For how many months to keep one each.", count, func(k *fleet.Keep, v int) { k.Monthly = v }),
		key("yearly", "For how many years to keep one each.", count, func(k *fleet.Keep, v int) { k.Yearly = v }),
	)
}

func networkShape() shape[fleet.Network] {
	return object(
		key("driver", "Docker's network driver, bridge by default.", matching(dockerNamePattern, "a network driver"), func(n *fleet.Network, v string) { n.Driver = v }),
		key("subnet", "In CIDR form.", text(checkSubnet), func(n *fleet.Network, v string) { n.Subnet = v }),
		key("internal", "Without access to other networks.", truth(), func(n *fleet.Network, v bool) { n.Internal = v }),
	)
}

func registryShape() shape[fleet.Registry] {
	return object(
		key("username", "The user to log in as.", setting(), func(g *fleet.Registry, v secret.Setting) { g.Username = v }).must(),
		key("password", "A reference, secret:NAME.", reference(), func(g *fleet.Registry, v secret.Setting) { g.Password = v }).must(),
	)
}

func secretShape() shape[fleet.Secret] {
	fields := object(
		key("command", "A program and its arguments that print the value; run on the operator's computer without a shell. For NAME and STACK/KEY.", list(text(checkArgument)), func(s *fleet.Secret, v []string) { s.Command = v }),
		key("timeout", "How long the command may take, 30s by default.", duration(), func(s *fleet.Secret, v time.Duration) { s.Timeout = v }),
		key("revision", "Raised by `salvor secret rotate` when the command prints a new value.", number(1, maxRevision), func(s *fleet.Secret, v int) { s.Revision = v }),
		key("rotate", "How old the value may get before it is a finding, such as 90d or 12w.", duration(), func(s *fleet.Secret, v time.Duration) { s.Rotate = v }),
	)
	return shape[fleet.Secret]{schema: fields.schema, decode: func(r *reader, n *yaml.Node, at path) fleet.Secret {
		before := len(r.all)
		s := fields.decode(r, n, at)
		if len(r.all) == before {
			checkDeclared(r, n, at, s)
		}
		return s
	}}
}

// checkDeclared reports an entry that says nothing, or half of something.
func checkDeclared(r *reader, n *yaml.Node, at path, s fleet.Secret) {
	switch {
	case s.Command == nil && (s.Timeout != 0 || s.Revision != 0):
		r.fail(n, "%s has a timeout or a revision, which belong to a command, but no command", at)
	case s.Command == nil && s.Rotate == 0:
		r.fail(n, "%s is empty: give it a command, or a period in rotate", at)
	case s.Command != nil && (len(s.Command) == 0 || s.Command[0] == "" || strings.Contains(s.Command[0], "=")):
		r.fail(n, "%s.command does not name a program: write it like [op, read, \"op://home/nas/password\"]", at)
	}
}

func gitShape() shape[fleet.Git] {
	return object(
		key("url", "The URL, as for git clone.", text(checkGitURL), func(g *fleet.Git, v string) { g.URL = v }),
		key("branch", "main by default.", text(checkBranch), func(g *fleet.Git, v string) { g.Branch = v }),
		key("key", "An SSH private key that can read the repository; it is put on the recovery card.", reference(), func(g *fleet.Git, v secret.Setting) { g.Key = v }),
		key("signers", "A file in the repository with the SSH keys that sign commits, in OpenSSH's allowed_signers "+
			"format. With it, plan and apply refuse a newest commit that is not signed by one of them.", text(fleet.ValidPath), func(g *fleet.Git, v string) { g.Signers = v }),
		key("gpg", "Fingerprints of the GnuPG keys that sign commits, in addition to signers or instead of it.", list(matching(fingerprintPattern, "a "+
			"fingerprint as printed by gpg --fingerprint, without spaces")), func(g *fleet.Git, v []string) { g.GPG = v }),
	)
}

func recipientsShape() shape[fleet.Recipients] {
	return object(
		key("operators", "The operators, by name: they can open every secret.", named(names(), text(checkOperator)), func(r *fleet.Recipients, v []entry[string]) { r.Operators = asMap(v) }),
		key("recovery", "The recovery key's recipient.", text(hostkey.CheckRecipient), func(r *fleet.Recipients, v string) { r.Recovery = v }),
	)
}
