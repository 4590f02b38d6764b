package controlrepo

import (
	"cmp"
	"slices"
	"time"

	"salvor/internal/fleet"
	salvor "salvor/internal/version"
	"salvor/internal/yamldoc"
	"salvor/internal/yamldoc/explain"
)

// decodeFleet reads fleet.yaml, with defaults, without looking at what it refers to.
// ok is false when there is nothing to refer to: a file that is not YAML or was
// written for a newer Salvor, which is then the only problem reported.
func decodeFleet(r *yamldoc.Reader, content []byte, version string) (file fleetFile, ok bool) {
	root, err := explain.Parse(r.File, content)
	if err != nil {
		r.Join(err)
		return file, false
	}
	if root == nil {
		root = yamldoc.Empty()
	}
	if tooNew(r, root, version) {
		return file, false
	}
	file = fleetShape().Read(r, root, nil)
	setDefaults(&file.fleet)
	return file, true
}

// DeclaredSecret returns what a version of fleet.yaml says of one secret, as far as
// it can be read: an old version may be wrong by the present rules.
func DeclaredSecret(content []byte, name string) (fleet.Secret, bool) {
	file, understood := decodeFleet(yamldoc.NewReader(fleet.File, &yamldoc.Report{}), content, "")
	if !understood {
		return fleet.Secret{}, false
	}
	return file.fleet.Secret(name)
}

// tooNew looks at schema and min_version before anything else, because a newer
// file may hold keys that would all be called unknown.
func tooNew(r *yamldoc.Reader, root *yamldoc.Node, version string) bool {
	before := r.Count()
	for i := 0; yamldoc.IsMapping(root) && i+1 < len(root.Content); i += 2 {
		v := root.Content[i+1]
		switch root.Content[i].Value {
		case "schema":
			var n int
			if v.ShortTag() == "!!int" && v.Decode(&n) == nil && n > fleet.Schema {
				r.Advise(r.Position(v), "install a newer salvor", "the file has schema %d, this salvor supports up to %d", n, fleet.Schema)
			}
		case "min_version":
			if version != "" && versionPattern.MatchString(v.Value) && salvor.Older(version, v.Value) {
				r.Advise(r.Position(v), "install salvor "+v.Value+" or newer", "this fleet needs salvor %s or newer, this is %s", v.Value, version)
			}
		}
	}
	return r.Count() > before
}

func setDefaults(f *fleet.Fleet) {
	for i := range f.Hosts {
		h := &f.Hosts[i]
		h.Port = cmp.Or(h.Port, 22)
		h.User = cmp.Or(h.User, "root")
		h.ReadToken = f.Git.ReadToken
	}
	for i := range f.Snapshots {
		t := &f.Snapshots[i]
		t.Every = cmp.Or(t.Every, time.Hour)
		t.Keep = cmp.Or(t.Keep, fleet.Keep{Last: 8, Daily: 14, Weekly: 8, Monthly: 12})
	}
	for i := range f.Networks {
		f.Networks[i].Driver = cmp.Or(f.Networks[i].Driver, "bridge")
	}
	for i := range f.Secrets {
		if s := &f.Secrets[i]; s.Command != nil {
			s.Timeout = cmp.Or(s.Timeout, 30*time.Second)
			s.Revision = cmp.Or(s.Revision, 1)
		}
	}
	f.Git.Branch = cmp.Or(f.Git.Branch, "main")
	setIngressDefaults(f)
	slices.SortFunc(f.Secrets, func(a, b fleet.Secret) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Hosts, func(a, b fleet.Host) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Networks, func(a, b fleet.Network) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.Registries, func(a, b fleet.Registry) int { return cmp.Compare(a.Name, b.Name) })
}
