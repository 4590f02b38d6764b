package controlrepo

import (
	"fmt"
	pathpkg "path"
	"regexp"
	"slices"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

// A fleetFile is fleet.yaml as it is read, before defaults and references.
type fleetFile struct {
	schema int
	fleet  fleet.Fleet
	unused []string // known keys that this version does not act on
}

var hostFolderPattern = regexp.MustCompile(`^(~|(~?/.+))$`)

// fleetShape is the one definition of fleet.yaml: it decodes, and
// docs/reference/fleet.schema.json is made from it.
func fleetShape() yamldoc.Shape[fleetFile] {
	return yamldoc.Extensible(yamldoc.Object(
		yamldoc.Key("schema", "Version of this format.", yamldoc.Number(1, fleet.Schema), func(f *fleetFile, v int) { f.schema = v }),
		yamldoc.Key("min_version", "The oldest version of salvor that may apply this fleet.", yamldoc.Matching(versionPattern, "a version such as 0.1.0"), func(f *fleetFile, v string) { f.fleet.MinVersion = v }),
		yamldoc.Key("fleet", "The fleet's name. It is part of every snapshot's identity.", name(), func(f *fleetFile, v string) { f.fleet.Name = v }).Must(),
		yamldoc.Key("hosts", "The declared servers by name.", yamldoc.Named(yamldoc.Naming{Pattern: names().Pattern, Check: fleet.ValidHost}, hostShape()), (*fleetFile).setHosts),
		yamldoc.Key("remotes", "The rclone remotes by name.", yamldoc.Named(names(), remoteShape()), (*fleetFile).setRemotes),
		yamldoc.Key("record", "Where claims, facts, journals and the encrypted mirror of this repository are. Default: a "+
			"folder for this fleet alone, on the remote that is listed first at the first apply. After that, salvor.lock "+
			"keeps its place.", locationShape(), func(f *fleetFile, v fleet.Location) { f.fleet.Record = v }),
		yamldoc.Key("data", "Where data is and where its snapshots go.", dataShape(), func(f *fleetFile, v data) { f.fleet.Shared, f.fleet.Snapshots = v.shared, v.snapshots }),
		yamldoc.Key("networks", "Docker networks that stacks join as external; created before any stack.", yamldoc.Named(yamldoc.KeysLike(dockerNamePattern, "a name for a Docker network"), networkShape()), (*fleetFile).setNetworks),
		yamldoc.Key("registries", "Image registries behind a login, by host[:port].", yamldoc.Named(yamldoc.KeysLike(registryPattern, "a registry such as ghcr.io or registry.example.net:5000"), registryShape()), (*fleetFile).setRegistries),
		yamldoc.Key("vaults", "Passwords of Ansible Vault files under secrets/, by vault id; \"default\" is for files without one.", yamldoc.Named(yamldoc.KeysLike(vaultPattern, "a vault id"), reference()), (*fleetFile).setVaults),
		yamldoc.Key("secrets", "Settings of single secrets, by the name that `salvor secret` takes: NAME, STACK/KEY or FILE.yml/KEY.", yamldoc.Named(yamldoc.KeysLike(secretPattern, "a name for a secret"), secretShape()), (*fleetFile).setSecrets),
		yamldoc.Key("scan", "What `salvor scan` does not report.", scanShape(), func(f *fleetFile, v []string) { f.fleet.ScanAllow = v }),
		yamldoc.Key("vars", "Plain values for every stack. Secrets belong in secrets/<stack>.env.", yamldoc.Named(yamldoc.KeysLike(variablePattern, "a name for a variable"), plainVariable()), (*fleetFile).setVars),
		yamldoc.Key("binds", "What folders of the hosts are that stacks mount, by folder, and all below it. The longest "+
			"folder wins; x-salvor.volumes of a stack wins over all.", yamldoc.Named(hostFolders(), boundAs()), (*fleetFile).setBinds),
		yamldoc.Key("docker", "Where hosts get Docker from, and how it is set up there.", dockerShape(), func(f *fleetFile, v fleet.Docker) { f.fleet.Docker = v }),
		yamldoc.Key("ssh", "From where hosts can be reached by SSH.", fromShape(), func(f *fleetFile, v []fleet.Source) { f.fleet.SSHFrom = v }),
		yamldoc.Key("git", "Where hosts read this repository. Default: the operator's own remote.", gitShape(), func(f *fleetFile, v fleet.Git) { f.fleet.Git = v }),
		yamldoc.Key("recipients", "The age recipients that every secret is encrypted to.", recipientsShape(), func(f *fleetFile, v fleet.Recipients) { f.fleet.Recipients = v }),
		yamldoc.Key("ansible", "Ansible playbooks of this repository that `salvor apply` runs around each host's part, on the operator's computer.", playbooksShape(), func(f *fleetFile, v fleet.Playbooks) { f.fleet.Playbooks = v }),
		yamldoc.Key("tailnet", "The private network, Tailscale's or one of that kind, of the hosts whose areas have tailnet.", tailnetShape(), func(f *fleetFile, v fleet.PrivateNetwork) { f.fleet.Tailnet = &v }),
		yamldoc.Key("ingress", "How routes, the public hostnames of stacks, reach the internet.", ingressShape(), (*fleetFile).setIngress),
		later("monitoring", "What watches the hosts.", monitoringShape()),
	))
}

// named returns the values of a mapping, each with its key as its name.
func named[T any](all []yamldoc.Entry[T], name func(*T) *string) []T {
	var values []T
	for _, e := range all {
		*name(&e.Value) = e.Name
		values = append(values, e.Value)
	}
	return values
}

func (f *fleetFile) setHosts(all []yamldoc.Entry[fleet.Host]) {
	f.fleet.Hosts = named(all, func(h *fleet.Host) *string { return &h.Name })
}

func (f *fleetFile) setRemotes(all []yamldoc.Entry[fleet.Remote]) {
	f.fleet.Remotes = named(all, func(r *fleet.Remote) *string { return &r.Name })
}

func (f *fleetFile) setNetworks(all []yamldoc.Entry[fleet.Network]) {
	f.fleet.Networks = named(all, func(n *fleet.Network) *string { return &n.Name })
}

func (f *fleetFile) setRegistries(all []yamldoc.Entry[fleet.Registry]) {
	f.fleet.Registries = named(all, func(r *fleet.Registry) *string { return &r.Name })
}

func (f *fleetFile) setVaults(all []yamldoc.Entry[secret.Setting]) { f.fleet.Vaults = asMap(all) }

func (f *fleetFile) setSecrets(all []yamldoc.Entry[fleet.Secret]) {
	for _, e := range all {
		e.Value.Name = e.Name
		f.fleet.Secrets = append(f.fleet.Secrets, e.Value)
	}
}

func (f *fleetFile) setVars(all []yamldoc.Entry[string]) {
	f.fleet.Vars = asMap(all)
}

func (f *fleetFile) setBinds(all []yamldoc.Entry[fleet.Protection]) {
	for _, e := range all {
		f.fleet.Binds = append(f.fleet.Binds, fleet.Bind{Folder: fleet.AtHome(e.Name), Protect: e.Value})
	}
}

// hostFolders are full paths of folders on a host, or below root's home.
func hostFolders() yamldoc.Naming {
	return yamldoc.Naming{Pattern: hostFolderPattern.String(), Check: func(v string) error {
		switch folder := fleet.AtHome(v); {
		case !strings.HasPrefix(folder, "/") || folder == "/":
			return fmt.Errorf("%q is not a folder of a host: write its full path, like /srv/data", v)
		case pathpkg.Clean(v) != v:
			return fmt.Errorf("%q is not a clean path: write it as %s", v, pathpkg.Clean(v))
		}
		return nil
	}}
}

// boundAs is what a folder of a host can be: it is where it is, so not config, and not
// shared.
func boundAs() yamldoc.Shape[fleet.Protection] {
	return yamldoc.Choice(fleet.Snapshot, fleet.External, fleet.HostPath, fleet.None)
}

func asMap[V any](all []yamldoc.Entry[V]) map[string]V {
	m := make(map[string]V, len(all))
	for _, e := range all {
		m[e.Name] = e.Value
	}
	return m
}

func scanShape() yamldoc.Shape[[]string] {
	return yamldoc.Object(
		yamldoc.Key("allow", "Files and folders whose secrets are not real, such as an upstream project's documentation; * stands for any part of a name.", yamldoc.List(yamldoc.Text(fleet.ValidAllowed)), func(all *[]string, v []string) { *all = v }),
	)
}

func hostShape() yamldoc.Shape[fleet.Host] {
	return yamldoc.Object(
		yamldoc.Key("address", "IP address or DNS name.", yamldoc.Text(checkAddress), func(h *fleet.Host, v string) { h.Address = v }).Must(),
		yamldoc.Key("port", "SSH port, 22 by default.", yamldoc.Number(1, 65535), func(h *fleet.Host, v int) { h.Port = v }),
		yamldoc.Key("user", "The user to log in as, root by default. Another user needs sudo without a password.", yamldoc.Matching(userPattern, "a user name"), func(h *fleet.Host, v string) { h.User = v }),
		yamldoc.Key("jump", "An SSH jump host, as user@host:port.", yamldoc.Text(checkJump), func(h *fleet.Host, v string) { h.Jump = v }),
		yamldoc.Key("docker", "Where this host gets Docker from, and how it is set up there, instead of the fleet's setting.", dockerShape(), func(h *fleet.Host, v fleet.Docker) { h.Docker = v }),
		yamldoc.Key(manageKey, "The areas of this host that Salvor takes care of. Default: docker and time. Without an area "+
			"it puts only its own things there; `salvor host take` adds one.", areasShape(), func(h *fleet.Host, v fleet.Areas) { h.Manage = v }),
		yamldoc.Key("ssh", "From where this host can be reached by SSH, instead of the fleet's setting.", fromShape(), func(h *fleet.Host, v []fleet.Source) { h.SSHFrom = v }),
		yamldoc.Key("open", "Ports that Salvor's firewall leaves open from outside, published ones too: PORT, PORT/PROTOCOL or FIRST-LAST/PROTOCOL; tcp by default.", openShape(), func(h *fleet.Host, v []fleet.OpenPort) { h.Open = v }),
		yamldoc.Key("mounts", "File systems from elsewhere, by name. A stack with a folder on one starts only while it is mounted.", yamldoc.Named(names(), mountShape()), setMounts),
		yamldoc.Key("protect", "Folders of the host itself, outside of stacks, that snapshots keep.", yamldoc.List(yamldoc.Text(fleet.ValidProtected)), func(h *fleet.Host, v []string) { h.Protect = slices.Compact(slices.Sorted(slices.Values(v))) }),
		yamldoc.Key("server", "The server that `salvor host create` made for this host, as PROVIDER:REGION/ID. `salvor host destroy` takes it away.", yamldoc.Text(checkServer), func(h *fleet.Host, v string) { h.Server, _ = fleet.ParseServer(v) }),
		yamldoc.Key("formerly", "The former name of this host.", name(), func(h *fleet.Host, v string) { h.Formerly = v }),
	)
}

func dockerShape() yamldoc.Shape[fleet.Docker] {
	return yamldoc.Object(
		yamldoc.Key("channel", "Whose packages: the distribution's, or Docker's own apt repository.", yamldoc.Choice("distribution", "docker"), func(d *fleet.Docker, v string) { d.Channel = v }),
		yamldoc.Key("url", "An apt repository to use instead of Docker's own.", yamldoc.Text(checkURL), func(d *fleet.Docker, v string) { d.URL = v }),
		yamldoc.Key("key", "That repository's signing key, armored.", yamldoc.Text(nil), func(d *fleet.Docker, v string) { d.Key = v }),
		yamldoc.Key("live_restore", "Containers run on while the engine is restarted, as by an upgrade of its package.", yamldoc.Truth(), func(d *fleet.Docker, v bool) { d.LiveRestore = v }),
		yamldoc.Key("users", "The users of the host in its group docker, and no others: each can do there what root can. An empty list is none; without this key the group is left as it is.",
			yamldoc.List(yamldoc.Matching(userPattern, "the name of a user")), func(d *fleet.Docker, v []string) { d.Users = append([]string{}, v...) }),
	)
}

func locationShape() yamldoc.Shape[fleet.Location] {
	return yamldoc.Object(locationFields(func(l *fleet.Location) *fleet.Location { return l })...)
}

// locationFields are the two keys of a location, for shapes that hold one.
func locationFields[T any](in func(*T) *fleet.Location) []yamldoc.Field[T] {
	return []yamldoc.Field[T]{
		yamldoc.Key("remote", "The name of a remote.", name(), func(v *T, s string) { in(v).Remote = s }).Must(),
		yamldoc.Key("path", "A path on the remote, without a leading slash.", yamldoc.Text(fleet.ValidRemotePath), func(v *T, s string) { in(v).Path = s }).Must(),
	}
}

// data is what is under `data:`.
type data struct {
	shared    fleet.Location
	snapshots []fleet.Target
}

func dataShape() yamldoc.Shape[data] {
	return yamldoc.Object(
		yamldoc.Key("shared", "Where shared volumes are; one mount per stack.", locationShape(), func(d *data, v fleet.Location) { d.shared = v }),
		yamldoc.Key("snapshots", "Where snapshots go. Restore uses the nearest target that has what is needed.", yamldoc.List(targetShape()), func(d *data, v []fleet.Target) { d.snapshots = v }),
	)
}

func targetShape() yamldoc.Shape[fleet.Target] {
	fields := append([]yamldoc.Field[fleet.Target]{
		yamldoc.Key("name", "The target's name; it identifies the repositories.", name(), func(t *fleet.Target, v string) { t.Name = v }).Must(),
		yamldoc.Key("every", "How often it gets a snapshot, 1h by default.", yamldoc.Duration(), func(t *fleet.Target, v time.Duration) { t.Every = v }),
		yamldoc.Key("rpo", "How old the data there may be at most, instead of each stack's `rpo`; `status` compares.", yamldoc.Duration(), func(t *fleet.Target, v time.Duration) { t.RPO = v }),
		yamldoc.Key("append_only", "Hosts delete nothing there; `salvor snapshot prune` applies keep from the operator's computer.", yamldoc.Truth(), func(t *fleet.Target, v bool) { t.AppendOnly = v }),
		yamldoc.Key("keep", "Retention. Default: last 8, daily 14, weekly 8, monthly 12.", keepShape(), func(t *fleet.Target, v fleet.Keep) { t.Keep = v }),
	}, locationFields(func(t *fleet.Target) *fleet.Location { return &t.Where })...)
	return yamldoc.Object(fields...)
}

func keepShape() yamldoc.Shape[fleet.Keep] {
	count := yamldoc.Number(0, 100_000)
	return yamldoc.Object(
		yamldoc.Key("last", "How many of the newest to keep, however old.", count, func(k *fleet.Keep, v int) { k.Last = v }),
		yamldoc.Key("hourly", "For how many hours to keep one each.", count, func(k *fleet.Keep, v int) { k.Hourly = v }),
		yamldoc.Key("daily", "For how many days to keep one each.", count, func(k *fleet.Keep, v int) { k.Daily = v }),
		yamldoc.Key("weekly", "For how many weeks to keep one each.", count, func(k *fleet.Keep, v int) { k.Weekly = v }),
		yamldoc.Key("monthly", "For how many months to keep one each.", count, func(k *fleet.Keep, v int) { k.Monthly = v }),
		yamldoc.Key("yearly", "For how many years to keep one each.", count, func(k *fleet.Keep, v int) { k.Yearly = v }),
	)
}

func networkShape() yamldoc.Shape[fleet.Network] {
	return yamldoc.Object(
		yamldoc.Key("driver", "Docker's network driver, bridge by default.", yamldoc.Matching(dockerNamePattern, "a network driver"), func(n *fleet.Network, v string) { n.Driver = v }),
		yamldoc.Key("subnet", "In CIDR form.", yamldoc.Text(checkSubnet), func(n *fleet.Network, v string) { n.Subnet = v }),
		yamldoc.Key("internal", "Without access to other networks.", yamldoc.Truth(), func(n *fleet.Network, v bool) { n.Internal = v }),
	)
}

func registryShape() yamldoc.Shape[fleet.Registry] {
	return yamldoc.Object(
		yamldoc.Key("username", "The user to log in as.", setting(), func(g *fleet.Registry, v secret.Setting) { g.Username = v }).Must(),
		yamldoc.Key("password", "A reference, secret:NAME.", reference(), func(g *fleet.Registry, v secret.Setting) { g.Password = v }).Must(),
	)
}

func secretShape() yamldoc.Shape[fleet.Secret] {
	fields := yamldoc.Object(
		yamldoc.Key("command", "A program and its arguments that print the value; run on the operator's computer without "+
			"a shell. For NAME and STACK/KEY.", yamldoc.List(yamldoc.Text(checkArgument)), func(s *fleet.Secret, v []string) { s.Command = v }),
		yamldoc.Key("timeout", "How long the command may take, 30s by default.", yamldoc.Duration(), func(s *fleet.Secret, v time.Duration) { s.Timeout = v }),
		yamldoc.Key("revision", "Raised by `salvor secret rotate` when the command prints a new value.", yamldoc.Number(1, maxRevision), func(s *fleet.Secret, v int) { s.Revision = v }),
		yamldoc.Key("rotate", "How old the value may get before it is a finding, such as 90d or 12w.", yamldoc.Duration(), func(s *fleet.Secret, v time.Duration) { s.Rotate = v }),
	)
	return yamldoc.Shape[fleet.Secret]{Schema: fields.Schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) fleet.Secret {
		before := r.Count()
		s := fields.Decode(r, n, at)
		if r.Count() == before {
			checkDeclared(r, n, at, s)
		}
		return s
	}}
}

// checkDeclared reports an entry that says nothing, or half of something.
func checkDeclared(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path, s fleet.Secret) {
	switch {
	case s.Command == nil && (s.Timeout != 0 || s.Revision != 0):
		r.Fail(n, "%s has a timeout or a revision, which belong to a command, but no command", at)
	case s.Command == nil && s.Rotate == 0:
		r.Fail(n, "%s is empty: give it a command, or a period in rotate", at)
	case s.Command != nil && (len(s.Command) == 0 || s.Command[0] == "" || strings.Contains(s.Command[0], "=")):
		r.Fail(n, "%s.command does not name a program: write it like [op, read, \"op://home/nas/password\"]", at)
	}
}

func gitShape() yamldoc.Shape[fleet.Git] {
	return yamldoc.Object(
		yamldoc.Key("url", "The URL, as for git clone.", yamldoc.Text(checkGitURL), func(g *fleet.Git, v string) { g.URL = v }),
		yamldoc.Key("branch", "main by default.", yamldoc.Text(checkBranch), func(g *fleet.Git, v string) { g.Branch = v }),
		yamldoc.Key("key", "An SSH private key that can read the repository; it is put on the recovery card.", reference(), func(g *fleet.Git, v secret.Setting) { g.Key = v }),
		yamldoc.Key("token", "The operators' token at the Git host, which no host of the fleet gets: with it Salvor keeps the hosts' deploy keys at GitHub, "+
			"and pushes over https where git has no login of its own.", reference(), func(g *fleet.Git, v secret.Setting) { g.Token = v }),
		yamldoc.Key("read_token", "A token that may only read the repository, for hosts that read it over https: it is sealed for each.", reference(), func(g *fleet.Git, v secret.Setting) { g.ReadToken = v }),
		yamldoc.Key("signers", "A file in the repository with the SSH keys that sign commits, in OpenSSH's "+
			"allowed_signers format. With it, plan and apply refuse a newest commit that is not signed by one of them.", yamldoc.Text(fleet.ValidPath), func(g *fleet.Git, v string) { g.Signers = v }),
		yamldoc.Key("gpg", "Fingerprints of the GnuPG keys that sign commits, in addition to signers or instead of it.", yamldoc.List(yamldoc.Matching(fingerprintPattern, "a "+
			"fingerprint as printed by gpg --fingerprint, without spaces")), func(g *fleet.Git, v []string) { g.GPG = v }),
	)
}

func recipientsShape() yamldoc.Shape[fleet.Recipients] {
	return yamldoc.Object(
		yamldoc.Key("operators", "The operators, by name: they can open every secret.", yamldoc.Named(names(), yamldoc.Text(checkOperator)), func(r *fleet.Recipients, v []yamldoc.Entry[string]) { r.Operators = asMap(v) }),
		yamldoc.Key("recovery", "The recovery key's recipient.", yamldoc.Text(hostkey.CheckRecipient), func(r *fleet.Recipients, v string) { r.Recovery = v }),
	)
}
