package secretchange

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// TestASecretIsDue has periods from when each value was committed, however often the file
// that holds it changes.
func TestASecretIsDue(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	due, err := open(t, f).Due(t.Context())
	if err != nil || len(due) != 2 {
		t.Fatalf("%v, %v", due, err)
	}
	for name, days := range map[string]int{"token": 90, "printed": 30} {
		d := due[name]
		if since := time.Since(d.Since); since < 0 || since > time.Hour || d.At.Sub(d.Since) != time.Duration(days)*24*time.Hour {
			t.Errorf("%s: %+v", name, d)
		}
	}
	config, err := open(t, f).checkout.File(fleet.File)
	if err != nil {
		t.Fatal(err)
	}
	f.Commit(t, map[string][]byte{fleet.File: append([]byte("# a comment\n"), config...)})
	again, err := open(t, f).Due(t.Context())
	if err != nil || !again["printed"].Since.Equal(due["printed"].Since) || !again["token"].Since.Equal(due["token"].Since) {
		t.Errorf("a comment changed no value: %v, %v, before %v", again, err, due)
	}
}

func TestALateSecretIsAFinding(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	now := time.Now()
	for name, test := range map[string]struct {
		days int
		want map[string]string // the fix of each late one
	}{
		"at once":         {0, map[string]string{}},
		"after a month":   {31, map[string]string{"printed": "change it where echo reads it, then salvor secret rotate printed"}},
		"after a quarter": {91, map[string]string{"printed": "change it where echo reads it, then salvor secret rotate printed", "token": "salvor secret rotate token --generate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := open(t, f).Findings(t.Context(), now.AddDate(0, 0, test.days))
			if err != nil {
				t.Fatal(err)
			}
			late := map[string]string{}
			for _, one := range found {
				secret, _, _ := strings.Cut(one.Text, " ")
				late[secret] = one.Fix
				if one.Code != finding.SecretLate || !strings.HasPrefix(one.Subject, "fleet.yaml:") {
					t.Errorf("%+v", one)
				}
			}
			if diff := cmp.Diff(test.want, late); diff != "" {
				t.Error(diff)
			}
		})
	}
}
