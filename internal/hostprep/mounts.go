package hostprep

import (
	"slices"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/resource"
)

// mountPackages bring mount(8)'s helpers.
func mountPackages(mounts []fleet.Mount) []resource.Package {
	var list []resource.Package
	for _, helper := range []struct {
		kind fleet.MountKind
		name string
	}{{fleet.MountNFS, "nfs-common"}, {fleet.MountSMB, "cifs-utils"}} {
		if slices.ContainsFunc(mounts, func(m fleet.Mount) bool { return m.Kind == helper.kind }) {
			list = append(list, packages(helper.name)...)
		}
	}
	return list
}

// mounts are the units of those mounts that Salvor makes, once install has brought their
// helpers; "" where nothing does. salvord starts them: a server
// that is away is not a reason to prepare nothing else.
func mounts(declared []fleet.Mount, install string) []converge.Resource {
	var all []converge.Resource
	for _, m := range declared {
		if m.Made() {
			all = append(all, unitOf(m, install))
		}
	}
	return all
}

func unitOf(m fleet.Mount, install string) resource.Mount {
	options := []string{"nofail", "nosuid", "nodev"}
	unit := resource.Mount{What: m.Source, Where: m.At, Later: true}
	if install != "" {
		unit.Needs = []string{install}
	}
	switch m.Kind {
	case fleet.MountNFS:
		unit.Type, options = "nfs", append(options, "_netdev")
	case fleet.MountSMB:
		unit.Type, options = "cifs", append(options, "_netdev")
		if m.Credentials == "" {
			options = append(options, "guest")
		} else {
			// they are in memory, and delivered after a boot
			options, unit.Boot = append(options, "credentials="+hostpath.Default().Secrets().MountCredentials(m.Name)), resource.Disabled
		}
	}
	if m.Options != "" {
		options = append(options, m.Options)
	}
	unit.Options = strings.Join(options, ",")
	return unit
}
