package controlrepo

import (
	"fmt"
	"slices"

	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// manageKey is the key of a host's areas.
const manageKey = "manage"

// laterAreas are words that will be areas: a fleet that has one means something that this
// version would not do.
func laterAreas() []string { return []string{"tailnet"} }

// ParseArea returns the area that a word names.
func ParseArea(word string) (fleet.Area, error) {
	known := fleet.KnownAreas()
	switch {
	case known.Has(fleet.Area(word)):
		return fleet.Area(word), nil
	case slices.Contains(laterAreas(), word):
		return "", fmt.Errorf("salvor does not take care of %s yet; the areas of this version are %s", word, known)
	}
	return "", fmt.Errorf("%q is not an area, want one of %s%s", word, known, suggest.DidYouMean(word, append(known.Words(), laterAreas()...)))
}

// areasShape is a list of areas. An empty one, also a key without a value, is none of them.
func areasShape() yamldoc.Shape[fleet.Areas] {
	word := yamldoc.Text(func(v string) error {
		_, err := ParseArea(v)
		return err
	})
	word.Schema.Enum = fleet.KnownAreas().Words()
	list := yamldoc.List(word)
	return yamldoc.Shape[fleet.Areas]{Schema: list.Schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) fleet.Areas {
		areas := fleet.Areas{}
		for _, v := range list.Decode(r, n, at) {
			areas = append(areas, fleet.Area(v))
		}
		return areas
	}}
}
