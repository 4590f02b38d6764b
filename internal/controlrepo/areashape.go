package controlrepo

import (
	"fmt"

	"salvor/internal/fleet"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// manageKey is the key of a host's areas.
const manageKey = "manage"

// ParseArea returns the area that a word names.
func ParseArea(word string) (fleet.Area, error) {
	known := fleet.KnownAreas()
	if known.Has(fleet.Area(word)) {
		return fleet.Area(word), nil
	}
	return "", fmt.Errorf("%q is not an area, want one of %s%s", word, known, suggest.DidYouMean(word, known.Words()))
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
