package here

import "slices"

// brought notes which packages Salvor's own work needed and the host lacked, so that they go
// with Salvor.
type brought struct {
	stamp
	Packages []string `json:"packages"`
}

// Brought reports whether Salvor installed a package for its own work.
func Brought(h *Host, name string) bool {
	return slices.Contains(readNote[brought](h.Paths.Brought()).Packages, name)
}

// NoteBrought notes that Salvor installs a package for its own work.
func NoteBrought(h *Host, name string) error {
	if Brought(h, name) {
		return nil
	}
	all := append(readNote[brought](h.Paths.Brought()).Packages, name)
	return writeNote(h.Paths.Brought(), &brought{Packages: all})
}
