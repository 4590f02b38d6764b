package controlrepo

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// largestID is the largest user or group of Linux; the next one means none.
const largestID = 1<<32 - 2

// sharedShape is x-salvor.shared.
func sharedShape() yamldoc.Shape[sharedMount] {
	return yamldoc.Object(
		yamldoc.Key("uid", "The user, by number, that every file belongs to; 0 by default. A remote does not keep owners.", yamldoc.Number(0, largestID), func(m *sharedMount, v int) { m.UID = v }),
		yamldoc.Key("gid", "The group, by number, that every file belongs to; 0 by default.", yamldoc.Number(0, largestID), func(m *sharedMount, v int) { m.GID = v }),
		yamldoc.Key("umask", `The permission bits that no file has, "022" by default.`, yamldoc.Matching(umaskPattern, "three octal digits"), func(m *sharedMount, v string) { m.umask = v }),
		yamldoc.Key("cache", "How much of the host's disk the cache may fill; 10GiB by default. What is not on the remote yet is never removed from it.", sizeShape(), func(m *sharedMount, v string) { m.Cache = sizeOf(v) }),
		yamldoc.Key("keep_free", "How much of that disk the cache leaves free; 2GiB by default.", sizeShape(), func(m *sharedMount, v string) { m.KeepFree = sizeOf(v) }),
	)
}

// sharedMount is what is under `shared:`.
type sharedMount struct {
	fleet.SharedMount
	umask string
}

// whole returns it with the defaults for what is not said.
func (m sharedMount) whole() fleet.SharedMount {
	defaults := fleet.DefaultSharedMount()
	m.Umask = defaults.Umask
	if bits, err := strconv.ParseInt(m.umask, 8, 32); err == nil { // else nothing is said, or it is reported
		m.Umask = int(bits)
	}
	m.Cache, m.KeepFree = cmp.Or(m.Cache, defaults.Cache), cmp.Or(m.KeepFree, defaults.KeepFree)
	return m.SharedMount
}

func sizeShape() yamldoc.Shape[string] {
	return yamldoc.Matching(sizePattern, "a size: write it like 500MiB or 10GiB")
}

// sizeOf reads a size that sizeShape has checked; of another one the mistake is reported.
func sizeOf(v string) int64 {
	n, err := fleet.ParseSize(v)
	if err != nil {
		return 0
	}
	return n
}

// checkShared reports shared volumes without a place, and ones of another stack that can't
// be had.
func checkShared(s *stackFile, byName map[string]*stackFile, f *fleet.Fleet) {
	for _, v := range s.Volumes {
		switch {
		case v.Protect != fleet.Shared && (v.From != "" || v.Writers != ""):
			s.r.Advise(s.place("volumes", v.Volume), "add protect: shared, or remove from and writers", "the volume %q is not shared", v.Volume)
		case v.Protect == fleet.Shared && f.Shared == (fleet.Location{}):
			s.r.Add(s.place("volumes", v.Volume, "protect"), "the volume %q is shared, but %s has no data.shared for it", v.Volume, fleet.File)
		case v.From != "":
			checkFrom(s, v, byName)
		}
	}
}

func checkFrom(s *stackFile, v fleet.VolumePolicy, byName map[string]*stackFile) {
	place := s.place("volumes", v.Volume, "from")
	name, volume, _ := strings.Cut(v.From, "/")
	owner := byName[name]
	if owner == nil || owner == s {
		s.r.Add(place, "there is no other stack %q%s", name, suggest.DidYouMean(name, otherNames(byName, s.Name)))
		return
	}
	var own []string
	for _, o := range owner.Volumes {
		if o.Protect == fleet.Shared && o.From == "" {
			own = append(own, o.Volume)
		}
	}
	i := slices.IndexFunc(owner.Volumes, func(o fleet.VolumePolicy) bool { return o.Volume == volume && slices.Contains(own, volume) })
	switch {
	case i < 0:
		s.r.Add(place, "the stack %q has no shared volume %q of its own%s", name, volume, suggest.DidYouMean(volume, own))
	case v.Writers == fleet.ManyWriters && owner.Volumes[i].Writers != fleet.ManyWriters:
		s.r.Advise(s.place("volumes", v.Volume, "writers"), "write writers: many there as well, if it may: the last upload of a file wins", "the stack %q does not let others write to %q", name, volume)
	}
}

func otherNames(byName map[string]*stackFile, except string) []string {
	var names []string
	for name := range byName {
		if name != except {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
