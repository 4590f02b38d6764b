package drivetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The kinds of calls that are counted, and that a fault may strike.
const (
	List         = "files.list"
	Get          = "files.get"
	Download     = "files.download"
	Create       = "files.create" // without content, or in one request with it
	Update       = "files.update"
	Delete       = "files.delete"
	EmptyTrash   = "files.emptyTrash"
	UploadStart  = "upload.start"
	UploadChunk  = "upload.chunk"
	About        = "about.get"
	ChangesStart = "changes.getStartPageToken"
	ChangesList  = "changes.list"
	DrivesList   = "drives.list"
	DrivesGet    = "drives.get"
	Token        = "oauth.token"
	Revoke       = "oauth.revoke"
	DeviceCode   = "oauth.device"
	Consent      = "oauth.consent"
)

// units is what a call costs of Google's quota, which is 325,000 a minute for each user
// of a project. A chunk of an upload costs nothing after its start; nor does OAuth.
var units = map[string]int{
	List: 100, Get: 5, Download: 200, Create: 50, Update: 50, Delete: 50, EmptyTrash: 50, UploadStart: 50,
	About: 5, ChangesStart: 5, ChangesList: 100, DrivesList: 100, DrivesGet: 5,
}

// Counts are how many calls of each kind there were.
type Counts map[string]int

// Total is the number of all calls.
func (c Counts) Total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// Units is what the calls cost of Google's quota.
func (c Counts) Units() int {
	total := 0
	for kind, n := range c {
		total += n * units[kind]
	}
	return total
}

// String lists the kinds of calls, with their sum.
func (c Counts) String() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, c[kind]))
	}
	return fmt.Sprintf("%d calls, %d units (%s)", c.Total(), c.Units(), strings.Join(parts, ", "))
}

// Counts returns how many calls there were so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// Calls returns the kinds of the calls so far, in order.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}
