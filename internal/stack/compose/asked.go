package compose

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A question is about one folder of the host, of which nothing says what it is, and all
// mounts in it.
type question struct {
	folder   string
	proposed fleet.Protection
	mounts   []*mount
}

// ask reports the folders of the host that nothing is said of, each once, with what they
// probably are.
func (c classifier) ask(ms *mounts) {
	for _, q := range c.questions(ms) {
		first := q.mounts[0]
		c.load.asked = append(c.load.asked, project.Asked{Folder: q.folder, Proposed: q.proposed})
		c.load.found(finding.Finding{Code: finding.MountUnclassified, Severity: finding.Fatal,
			Subject: c.load.files.mount(first.service, first.entry.Target), Text: q.text(), Fix: c.answer(q)})
	}
}

// askVolume reports a volume that nothing is said of, once.
func (c classifier) askVolume(q project.Asked) {
	if !slices.Contains(c.load.asked, q) {
		c.load.asked = append(c.load.asked, q)
	}
}

// anonymous is what an anonymous volume probably is: no snapshot can have it, so that of a
// database is not said to be nothing.
func (c classifier) anonymous(m *mount) fleet.Protection {
	if c.ofDatabase(m) {
		return ""
	}
	return fleet.None
}

// outer is what a volume from outside of the stack probably is: one that Compose does not make
// is data like that of any volume, and a folder of the host is what it would be as a bind.
func (c classifier) outer(m *mount, decl types.VolumeConfig) fleet.Protection {
	device := decl.DriverOpts["device"]
	switch {
	case bool(decl.External):
		return fleet.Snapshot
	case !path.IsAbs(device) || fleet.Within("/dev", device):
		return ""
	}
	asBind := *m
	asBind.entry.Source = path.Clean(device)
	_, proposed := c.proposal(&asBind)
	return proposed
}

// ofDatabase reports whether a mount is one that a database has its data at.
func (c classifier) ofDatabase(m *mount) bool {
	return slices.ContainsFunc(databases, func(d database) bool {
		return d.hasImage(c.load.project.Services[m.service].Image) || d.hasPath(m.entry.Target)
	})
}

// questions are those of a stack in the order of its mounts. What is in a folder that is
// asked about is not asked again, unless only it is to be saved, and a source that lacks a variable not yet.
func (c classifier) questions(ms *mounts) []*question {
	var all []*question
	asked := slices.DeleteFunc(slices.Clone(ms.all), func(m *mount) bool { return !m.asked || c.load.unsettled[path.Clean(m.entry.Source)] })
	slices.SortStableFunc(asked, func(a, b *mount) int { return cmp.Compare(len(a.entry.Source), len(b.entry.Source)) })
	for _, m := range asked {
		folder, proposed := c.proposal(m)
		i := slices.IndexFunc(all, func(q *question) bool {
			if proposed == fleet.Snapshot && q.proposed != fleet.Snapshot {
				return false // the answer about the folder around it would not save it
			}
			return q.folder == folder && q.proposed == proposed || slices.ContainsFunc(q.mounts, func(o *mount) bool { return fleet.Within(o.entry.Source, m.entry.Source) })
		})
		if i < 0 {
			all = append(all, &question{folder: folder, proposed: proposed})
			i = len(all) - 1
		}
		all[i].mounts = append(all[i].mounts, m)
	}
	return all
}

func (q *question) text() string {
	first := q.mounts[0]
	text := fmt.Sprintf("%s: %s is a folder of the host that Salvor would not restore", first.service, first.entry.Source)
	var others []string
	for _, m := range q.mounts[1:] {
		if m.entry.Source != first.entry.Source && !slices.Contains(others, m.entry.Source) {
			others = append(others, m.entry.Source)
		}
	}
	switch len(others) {
	case 0:
	case 1:
		text += ", as is " + others[0]
	default:
		text += ", as are " + some(others)
	}
	if first.home {
		text += " (~ is root's home on a host)"
	}
	return text
}

// answer is the line to add for what is proposed, and what else it could be.
func (c classifier) answer(q *question) string {
	line := fmt.Sprintf("add to fleet.yaml: binds: {%s: %s}", q.folder, q.proposed)
	if len(c.load.Binds) > 0 {
		line = fmt.Sprintf("add under binds: in fleet.yaml: %s: %s", q.folder, q.proposed)
	}
	var others []string
	for _, each := range []struct {
		protect fleet.Protection
		means   string
	}{{fleet.Snapshot, "snapshot saves it"}, {fleet.External, "external is kept elsewhere"}, {fleet.HostPath, "host belongs to the host"}, {fleet.None, "none may be lost"}} {
		if each.protect != q.proposed {
			others = append(others, each.means)
		}
	}
	return line + " (or: " + strings.Join(others, ", ") + "); x-salvor.volumes says it for this stack alone"
}

// Words that a folder of a path tells its kind by, and the last parts of the names of
// images that do.
var (
	disposable = []string{"cache", "caches", "tmp", "temp", "transcode", "transcodes", "transcoding", "transcode_cache", "scratch"}
	media      = []string{"media", "movies", "movie", "films", "film", "tv", "tvshows", "shows", "series", "anime", "music", "audiobooks", "podcasts",
		"videos", "video", "library", "libraries", "downloads", "download", "torrents", "usenet", "complete", "incomplete", "roms", "comics", "ebooks"}
	settings  = []string{"config", "configs", "conf", "settings"}
	kept      = []string{"nas", "nfs", "smb", "cifs", "samba", "share", "shares", "remote", "remotes", "gdrive", "rclone", "mergerfs", "unionfs", "backup", "backups"}
	backups   = []string{"duplicati", "restic", "borgmatic", "borg", "borgbackup", "kopia", "docker-volume-backup", "backrest", "urbackup", "duplicacy", "restic-rest-server", "rest-server"}
	observers = []string{"cadvisor", "node-exporter", "node_exporter", "promtail", "alloy", "netdata", "telegraf", "glances", "datadog-agent", "agent", "fluent-bit", "fluentd",
		"vector", "dozzle", "beszel-agent", "scrutiny", "collector", "crowdsec", "fail2ban", "filebeat", "metricbeat", "process-exporter"}
)

// proposal is what a folder of the host probably is, by where it points and what the
// service is, and the folder to say it of: the part of the path that tells, else the one
// that holds the stacks' data.
func (c classifier) proposal(m *mount) (folder string, proposed fleet.Protection) {
	src := m.entry.Source
	_, repository := project.Home(c.load.project.Services[m.service].Image)
	image := path.Base(repository)
	switch {
	case c.ofDatabase(m):
		return dataFolder(src), fleet.Snapshot
	case m.entry.ReadOnly && slices.Contains(observers, image):
		return src, fleet.HostPath
	case slices.Contains(backups, image):
		return src, fleet.External
	case fleet.Within("/usr/share", src):
		return src, fleet.Snapshot // "share" is a word of the system's there
	case upTo(src, kept) == "" && upTo(src, media) != "" && (slices.Contains(settings, path.Base(src)) || slices.Contains(settings, path.Base(m.entry.Target))):
		return src, fleet.Snapshot // of a program whose settings are next to its media
	}
	for _, kind := range []struct {
		words    []string
		proposed fleet.Protection
	}{{kept, fleet.External}, {media, fleet.External}, {disposable, fleet.None}} {
		if folder := upTo(src, kind.words); folder != "" {
			return folder, kind.proposed
		}
		if upTo("/in"+path.Clean("/"+m.entry.Target), kind.words) != "" {
			return src, kind.proposed
		}
	}
	return dataFolder(src), fleet.Snapshot
}

// upTo returns a path up to the first of its parts that is one of the words, "" for
// none. The first part is where disks are mounted and tells nothing.
func upTo(src string, words []string) string {
	parts := strings.Split(strings.TrimPrefix(src, "/"), "/")
	for i, part := range parts {
		if i > 0 && slices.Contains(words, strings.ToLower(part)) {
			return "/" + strings.Join(parts[:i+1], "/")
		}
	}
	return ""
}

// dataFolder returns the folder of a host that holds the data of several stacks:
// /mnt/docker-volumes, /opt/appdata, /home/ann/docker. A path that is not below one is
// its own, and so is one among what is kept elsewhere.
func dataFolder(src string) string {
	if upTo(src, media) != "" || upTo(src, kept) != "" {
		return src
	}
	parts := strings.Split(strings.TrimPrefix(src, "/"), "/")
	depth := 2
	switch {
	case slices.Contains([]string{"etc", "var", "usr", "lib"}, parts[0]):
		return src
	case parts[0] == "home" || len(parts) > 1 && parts[0] == "mnt" && parts[1] == "user":
		depth = 3
	}
	return "/" + strings.Join(parts[:min(depth, len(parts))], "/")
}
