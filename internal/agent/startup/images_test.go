package startup

import (
	"testing"

	"salvor/internal/project"
	"salvor/internal/stack"
)

// TestImageChange has the case of issue 10, C.10: a digest written in the Compose file
// is another image, whatever the lock has.
func TestImageChange(t *testing.T) {
	const one, two = "reg:5000/app:1@sha256:aa", "reg:5000/app:1@sha256:bb"
	cases := map[string]struct {
		ran    map[string]string
		image  string
		pinned map[string]string
		built  bool
		want   bool
	}{
		"never ran":              {image: "reg:5000/app:1"},
		"the same tag":           {ran: map[string]string{"web": one}, image: "reg:5000/app:1"},
		"the same digest":        {ran: map[string]string{"web": one}, image: "reg:5000/app:1", pinned: map[string]string{"web": one}},
		"another tag":            {ran: map[string]string{"web": one}, image: "reg:5000/app:2", want: true},
		"another digest":         {ran: map[string]string{"web": one}, image: "reg:5000/app:1", pinned: map[string]string{"web": two}, want: true},
		"written with a digest":  {ran: map[string]string{"web": one}, image: one},
		"written with another":   {ran: map[string]string{"web": one}, image: two, pinned: map[string]string{"web": one}, want: true},
		"built on the host":      {ran: map[string]string{"web": one}, image: "mine", built: true},
		"another service's pins": {ran: map[string]string{"db": one}, image: "reg:5000/app:2"},
	}
	for name, c := range cases {
		d := stack.Deployment{Images: c.pinned, Project: project.Project{Services: []project.Service{{Name: "web", Image: c.image, Build: c.built}}}}
		if got := ImageChange(stack.Record{Images: c.ran}, d) != ""; got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
