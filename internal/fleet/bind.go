package fleet

import (
	"path"
	"strings"
)

// A Bind says what the binds of one folder of the hosts are, and of all below it.
type Bind struct {
	Folder  string // absolute and clean
	Protect Protection
}

// Binds are what fleet.yaml says of folders of the hosts, each folder once.
type Binds []Bind

// Of returns what is said of a path: the entry of the longest folder that it is in.
func (b Binds) Of(p string) (Bind, bool) {
	var best Bind
	for _, each := range b {
		if Within(each.Folder, p) && len(each.Folder) > len(best.Folder) {
			best = each
		}
	}
	return best, best.Folder != ""
}

// Within reports whether a clean absolute path is a folder or below it.
func Within(folder, p string) bool {
	return p == folder || strings.HasPrefix(p, strings.TrimSuffix(folder, "/")+"/")
}

// rootHome is what `~` means on a host, where Compose runs as root.
const rootHome = "/root"

// AtHome returns a path with `~` as the home that it is on a host; any other path stays
// as it is.
func AtHome(p string) string {
	if p == "~" || strings.HasPrefix(p, "~/") {
		return path.Join(rootHome, p[1:])
	}
	return p
}
