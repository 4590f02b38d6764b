package finding_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
)

func TestFindingsOfAFileAreInTheOrderOfItsLines(t *testing.T) {
	t.Parallel()
	all := []finding.Finding{
		{Severity: finding.Warning, Subject: "fleet.yaml:65:3"},
		{Severity: finding.Warning, Subject: "notes"},
		{Severity: finding.Warning, Subject: "fleet.yaml:6:12"},
		{Severity: finding.Warning, Subject: "fleet.yaml"},
		{Severity: finding.Warning, Subject: "fleet.yaml:6:3"},
		{Severity: finding.Fatal, Subject: "stacks/wiki/compose.yaml:9"},
	}
	finding.Sort(all)
	var got []string
	for _, f := range all {
		got = append(got, f.Subject)
	}
	want := []string{"stacks/wiki/compose.yaml:9", "fleet.yaml", "fleet.yaml:6:3", "fleet.yaml:6:12", "fleet.yaml:65:3", "notes"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
