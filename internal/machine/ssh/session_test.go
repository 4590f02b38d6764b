package ssh

import (
	"io"
	"strings"
	"testing"
)

func FuzzAnnounced(f *testing.F) {
	f.Add("welcome\n", "out")
	f.Add("salvor-run\nsalvor-run 1\n", "salvor-run 3 4\n")
	f.Add("salvor-run\v7 1", "salvor-run 3 4\n") // found by fuzzing: a blank, but not the launcher's
	f.Fuzz(func(t *testing.T, noise, output string) {
		if strings.Contains(noise, "salvor-run") && strings.Count(noise, " ") > 1 {
			t.Skip("may be an announcement itself")
		}
		a := newAnnounced(strings.NewReader(strings.ReplaceAll(noise, "\r", "") + "\nsalvor-run 12 34\n" + output))
		got, err := io.ReadAll(a)
		if err != nil || string(got) != output || a.group != "12" || a.program != "34" {
			t.Errorf("group %q, program %q, output %q, %v", a.group, a.program, got, err)
		}
	})
}
