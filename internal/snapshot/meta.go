package snapshot

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/snapshot/repository"
)

// Meta is .salvor/snapshot.json inside every snapshot: what is needed to run the
// stack as it ran then. The resolved compose.yaml is next to it.
type Meta struct {
	Schema  int               `json:"schema"`
	Fleet   string            `json:"fleet"`
	Stack   string            `json:"stack"`
	Host    string            `json:"host"` // it was taken on
	Epoch   int               `json:"epoch"`
	Seq     int               `json:"seq"`
	Commit  string            `json:"commit"`
	Began   time.Time         `json:"began"`
	Images  map[string]string `json:"images,omitempty"` // service to reference with digest
	Volumes []VolumeMeta      `json:"volumes"`          // sorted by name
}

// VolumeMeta is one volume as it was when the snapshot began.
type VolumeMeta struct {
	Name   string       `json:"name"`
	Method fleet.Method `json:"method"`
	Form   Form         `json:"form"`
	Stats  Stats        `json:"stats"`            // of the data on the host, whatever the form
	Sparse []string     `json:"sparse,omitempty"` // files with holes
	Loaded time.Time    `json:"loaded,omitzero"`  // when a dump of the volume was last loaded for a try, and was right
}

// Form says what a volume's folder in a snapshot holds.
type Form string

// Volume returns what is said of one volume.
func (m Meta) Volume(name string) (VolumeMeta, bool) {
	for _, v := range m.Volumes {
		if v.Name == name {
			return v, true
		}
	}
	return VolumeMeta{}, false
}

// Of returns what is said of a volume, under its name or the previous one.
func (m Meta) Of(v Volume) (VolumeMeta, bool) {
	if found, ok := m.Volume(v.Name); ok || v.Formerly == "" {
		return found, ok
	}
	return m.Volume(v.Formerly)
}

// Info is a snapshot in a listing, from its tags.
type Info struct {
	ID       string
	Epoch    int
	Seq      int
	Commit   string
	Time     time.Time // by the clock of the host that took it
	Volumes  []string  // sorted
	Diverged bool      // taken by a host that had lost its claim
}

const divergedTag = "diverged"

// tags writes an Info as restic tags. Volumes are separated by "+", since restic
// splits --tag at commas, and escaped, so that no name contains either.
func (i Info) tags() []string {
	names := make([]string, len(i.Volumes))
	for n, v := range i.Volumes {
		names[n] = strings.ReplaceAll(DirName(v), "+", "%2B")
	}
	tags := []string{
		"volumes=" + strings.Join(names, "+"), "epoch=" + strconv.Itoa(i.Epoch),
		"seq=" + strconv.Itoa(i.Seq), "commit=" + i.Commit,
	}
	if i.Diverged {
		tags = append(tags, divergedTag)
	}
	return tags
}

// ParseTags reads what Take has written; ok is false for a snapshot that is not
// Salvor's.
func ParseTags(tags []string) (i Info, ok bool) {
	found := map[string]bool{}
	for _, tag := range tags {
		key, value, _ := strings.Cut(tag, "=")
		var err error
		switch key {
		case "volumes":
			i.Volumes, err = parseVolumes(value)
		case "epoch":
			i.Epoch, err = parseCount(value)
		case "seq":
			i.Seq, err = parseCount(value)
		case "commit":
			i.Commit = value
		case divergedTag:
			i.Diverged = true
		}
		if err != nil {
			return Info{}, false
		}
		found[key] = true
	}
	return i, found["volumes"] && found["epoch"] && found["seq"]
}

// maxCount bounds epochs and sequence numbers, so that one can always be counted on.
const maxCount = 1 << 30

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 0 || n > maxCount) {
		err = strconv.ErrRange
	}
	return n, err
}

func parseVolumes(s string) ([]string, error) {
	var names []string
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == '+' }) {
		name, err := url.PathUnescape(part)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Compare orders snapshots by epoch, then sequence, then, for two that a fault
// gave the same numbers, id.
func Compare(a, b Info) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
}

// Newest returns the newest snapshot that restore may pick.
func Newest(infos []Info) (Info, bool) {
	var newest Info
	found := false
	for _, i := range infos {
		if !i.Diverged && (!found || Compare(i, newest) > 0) {
			newest, found = i, true
		}
	}
	return newest, found
}

// readMeta returns the metadata of a snapshot.
func readMeta(ctx context.Context, repo *repository.Repository, s repository.Snapshot, stack string) (Meta, error) {
	var m Meta
	content, err := readFile(ctx, repo, s, inside(stack, metaDir, "snapshot.json"))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return m, fmt.Errorf("snapshot %s: read its metadata: %w: %w", repository.ShortID(s.ID), err, ErrDamaged)
	}
	if m.Schema > fleet.Schema {
		return m, fmt.Errorf("snapshot %s has schema %d, this salvord reads %d: use a newer one", repository.ShortID(s.ID), m.Schema, fleet.Schema)
	}
	return m, nil
}

func readFile(ctx context.Context, repo *repository.Repository, s repository.Snapshot, path string) ([]byte, error) {
	node, err := repo.Lookup(ctx, s, path)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", repository.ShortID(s.ID), err)
	}
	return repo.File(ctx, node)
}
