package fleet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRetired(t *testing.T) {
	was := Placement{
		Host: "alpha", Epoch: 3, Repositories: map[string]string{"offsite": "bb", "nas": "cc"},
		Former: map[string][]string{"offsite": make([]string, 0, 4)},
	}
	was.Former["offsite"] = append(was.Former["offsite"], "aa")
	now := was.Retired()
	want := Placement{Host: "alpha", Epoch: 3, Former: map[string][]string{"offsite": {"aa", "bb"}, "nas": {"cc"}}}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Error(diff)
	}
	if len(was.Former) != 1 || len(was.Former["offsite"]) != 1 || was.Repositories["offsite"] != "bb" {
		t.Errorf("the placement given was changed: %+v", was)
	}
	if again := now.Retired(); !cmp.Equal(again, now) {
		t.Errorf("without a repository there is nothing to retire: %+v", again)
	}
}
