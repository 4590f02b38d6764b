// Package publish brings hostnames to the internet and takes them off: it compares what a
// host wants with what Cloudflare has, and does the difference in an order in which nothing
// that is protected can be reached unprotected. See docs/adr/0051-publishing.md.
package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"

	"salvor/internal/cloudflare"
	"salvor/internal/route"
)

// Tag is what the applications of Salvor carry.
const Tag = "salvor"

// Desired is what one host wants of Cloudflare.
type Desired struct {
	Fleet  string
	Tunnel cloudflare.Tunnel
	// Owners are the stacks, and what a host has of its own, whose routes this host may
	// change, with their epochs. What they have at Cloudflare and do not want goes.
	Owners map[string]int
	Routes []route.Owned // of Owners; a Closed one is not published
	// Former are owners whose marks mean nothing any more, up to an epoch: a hostname of Routes
	// is taken over from them. What else they have at Cloudflare is not this host's.
	Former map[string]int
	// Shown says that an apply showed all that goes, so the brake does not count.
	Shown bool
}

const markPrefix = "salvor:"

// owning is the part of a mark that says whose something is.
func (d Desired) owning(owner string) string {
	name := d.Fleet + "/" + owner
	if len(markPrefix+name)+len("/")+maxEpoch > cloudflare.MaxComment {
		sum := sha256.Sum256([]byte(name))
		name = "#" + hex.EncodeToString(sum[:16])
	}
	return markPrefix + name + "/"
}

const maxEpoch = 19 // digits

// mark is the comment of a DNS record and the beginning of a policy's name.
func (d Desired) mark(owner string) string { return d.owning(owner) + strconv.Itoa(d.Owners[owner]) }

// A mark says whose an object at Cloudflare is.
type mark struct {
	owning string
	epoch  int
}

// parseMark reads a mark; ok is false for what is not one.
func parseMark(text string) (m mark, ok bool) {
	at := strings.LastIndexByte(text, '/')
	if at < 0 || !strings.HasPrefix(text, markPrefix) {
		return m, false
	}
	epoch, err := strconv.Atoi(text[at+1:])
	if err != nil || epoch < 1 || strconv.Itoa(epoch) != text[at+1:] {
		return m, false
	}
	return mark{text[:at+1], epoch}, true
}

// A whose says how an object at Cloudflare stands to this host.
type whose int

const (
	foreign whose = iota // without a mark of Salvor's
	another              // marked, for an owner that is not this host's
	newer                // of an owner of this host's, by a host that has it since
	ours
)

// whose looks at a mark.
func (d Desired) whose(owners map[string]string, m mark) whose {
	owner, known := owners[m.owning]
	switch {
	case !known:
		return another
	case m.epoch > d.Owners[owner]:
		return newer
	}
	return ours
}

// former returns up to which epoch marks mean nothing any more, by their owning part.
func (d Desired) former() map[string]int {
	epochs := map[string]int{}
	for owner, epoch := range d.Former {
		epochs[d.owning(owner)] = epoch
	}
	return epochs
}

// marks returns the owner of each mark.
func (d Desired) marks() map[string]string {
	owners := map[string]string{}
	for owner := range maps.Keys(d.Owners) {
		owners[d.owning(owner)] = owner
	}
	return owners
}
