package controlrepo

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

var (
	nfsPattern      = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-fA-F:.]+\]):/[^\s%"'\\,]*$`)
	smbPattern      = regexp.MustCompile(`^//[A-Za-z0-9][A-Za-z0-9.-]*/[^\s%"'\\,]+$`)
	uuidPattern     = regexp.MustCompile(`^[A-Za-z0-9-]{4,36}$`)
	sourcePattern   = regexp.MustCompile(`^[^\s%"'\\,]+$`)
	mountOptPattern = regexp.MustCompile(`^[a-z][A-Za-z0-9_.-]*(=[A-Za-z0-9_.:/+-]+)?(,[a-z][A-Za-z0-9_.-]*(=[A-Za-z0-9_.:/+-]+)?)*$`)
)

// declaredMount is one of a host's mounts as fleet.yaml has it.
type declaredMount struct {
	fleet.Mount
	said       []string // the keys that say what is mounted
	at, source string   // as the keys of that name have them
}

func (d *declaredMount) is(kind fleet.MountKind, source string) {
	d.Kind, d.Source, d.said = kind, source, append(d.said, string(kind))
}

// mountShape is one of `mounts:`. Exactly one of its keys says what is mounted.
func mountShape() yamldoc.Shape[fleet.Mount] {
	fields := yamldoc.Object(
		yamldoc.Key("nfs", "An NFS export, as server:/path.", yamldoc.Matching(nfsPattern, "an NFS export: write it like nas.lan:/export/media"), func(d *declaredMount, v string) { d.is(fleet.MountNFS, v) }),
		yamldoc.Key("smb", "An SMB share, as //server/share.", yamldoc.Matching(smbPattern, "an SMB share: write it like //nas.lan/films"), func(d *declaredMount, v string) { d.is(fleet.MountSMB, v) }),
		yamldoc.Key("uuid", "A disk, by the UUID of its file system, as blkid prints it.", yamldoc.Matching(uuidPattern, "the UUID of a file system, as blkid prints it"), func(d *declaredMount, v string) { d.is(fleet.MountDisk, fleet.ByUUID(v)) }),
		yamldoc.Key("check", "A folder on which something else than Salvor mounts: it is only checked.", yamldoc.Text(fleet.ValidMountPoint), func(d *declaredMount, v string) { d.is(fleet.MountChecked, ""); d.At = v }),
		yamldoc.Key("at", "The folder that it covers, /mnt/NAME by default.", yamldoc.Text(fleet.ValidMountPoint), func(d *declaredMount, v string) { d.at = v }),
		yamldoc.Key("source", "With check: what has to be mounted there, as findmnt prints it. Default: anything.", yamldoc.Matching(sourcePattern, "the source of a mount, as findmnt prints it"), func(d *declaredMount, v string) { d.source = v }),
		yamldoc.Key("options", "Options of mount(8), in addition to nofail, nosuid and nodev.", yamldoc.Text(checkMountOptions), func(d *declaredMount, v string) { d.Options = v }),
		yamldoc.Key("credentials", "Of an SMB share: a reference to a secret that contains the lines username=… and password=…, and domain=… if needed.", reference(), setCredentials),
	)
	return yamldoc.Shape[fleet.Mount]{Schema: fields.Schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) fleet.Mount {
		before := r.Count()
		d := fields.Decode(r, n, at)
		if r.Count() == before {
			checkDeclaredMount(r, n, at, d)
		}
		d.At, d.Source = cmp.Or(d.At, d.at), cmp.Or(d.Source, d.source)
		return d.Mount
	}}
}

func setCredentials(d *declaredMount, v secret.Setting) { d.Credentials, _ = v.Secret() }

// checkDeclaredMount reports keys that do not fit together.
func checkDeclaredMount(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path, d declaredMount) {
	switch {
	case len(d.said) != 1:
		r.Fail(n, "%s needs one of nfs, smb, uuid and check, and has %s", at, cmp.Or(strings.Join(d.said, ", "), "none"))
	case d.Credentials != "" && d.Kind != fleet.MountSMB:
		r.Fail(n, "%s has credentials, which belong to smb", at)
	case d.source != "" && d.Kind != fleet.MountChecked:
		r.Fail(n, "%s has a source, which belongs to check", at)
	case d.at != "" && d.Kind == fleet.MountChecked:
		r.Fail(n, "%s has at, but check already names the folder", at)
	case d.Options != "" && d.Kind == fleet.MountChecked:
		r.Fail(n, "%s has options, but something else than Salvor mounts it", at)
	}
}

// checkMountOptions accepts options that hold no secret and name no file with one.
func checkMountOptions(v string) error {
	if !mountOptPattern.MatchString(v) {
		return fmt.Errorf("%q is not a list of mount options: write it like ro,vers=4.2", v)
	}
	for option := range strings.SplitSeq(v, ",") {
		name, _, _ := strings.Cut(option, "=")
		if slices.Contains([]string{"user", "username", "pass", "password", "password2", "cred", "credentials"}, name) {
			return fmt.Errorf("the option %s belongs into credentials: secret:NAME, which is encrypted", name)
		}
	}
	return nil
}

func setMounts(h *fleet.Host, all []yamldoc.Entry[fleet.Mount]) {
	h.Mounts = named(all, func(m *fleet.Mount) *string { return &m.Name })
	for i := range h.Mounts {
		h.Mounts[i].At = cmp.Or(h.Mounts[i].At, fleet.MountAt(h.Mounts[i].Name))
	}
	slices.SortFunc(h.Mounts, func(a, b fleet.Mount) int { return cmp.Compare(a.Name, b.Name) })
}

// checkProtect reports protected folders without a place for their snapshots.
func checkProtect(r *yamldoc.Reader, f *fleet.Fleet, h fleet.Host) {
	if len(h.Protect) > 0 && len(f.Snapshots) == 0 {
		r.Advise(r.Places.Of("hosts", h.Name, "protect"), "declare data.snapshots", "%s has protected folders, but the fleet has no snapshot target", h.Name)
	}
}

// checkMounts reports two mounts of a host at one place, and a default place that is taken.
func checkMounts(r *yamldoc.Reader, h fleet.Host) {
	first := map[string]string{}
	for _, m := range h.Mounts {
		place := r.Places.Of("hosts", h.Name, "mounts", m.Name)
		if err := fleet.ValidMountPoint(m.At); err != nil && m.At == fleet.MountAt(m.Name) {
			r.Advise(place, "say where it is to be: at: /srv/"+m.Name, "%v", err)
		}
		if other, taken := first[m.At]; taken {
			r.Add(place, "the mounts %q and %q of %s are at the same place, %s", other, m.Name, h.Name, m.At)
		}
		first[m.At] = m.Name
	}
}
