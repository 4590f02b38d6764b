package fleet

import "testing"

// TestAnAbsentListIsEveryArea but those that have to be named, and an empty one is none.
func TestAnAbsentListIsEveryArea(t *testing.T) {
	t.Parallel()
	for text, test := range map[string]struct {
		areas        Areas
		docker, time bool
	}{
		"docker, time": {nil, true, true},
		"none":         {Areas{}, false, false},
		"time":         {Areas{AreaTime}, false, true},
	} {
		a := test.areas
		if a.Has(AreaDocker) != test.docker || a.Has(AreaTime) != test.time || a.String() != text || a.Listed() == nil {
			t.Errorf("%s: %v", text, a)
		}
		if a.Has(AreaUpdates) {
			t.Errorf("%s: updates are taken care of without being named", text)
		}
	}
	if a := (Areas{AreaUpdates}); !a.Has(AreaUpdates) || !KnownAreas().Has(AreaUpdates) || EveryArea().Has(AreaUpdates) {
		t.Errorf("%v, %v", KnownAreas(), EveryArea())
	}
}
