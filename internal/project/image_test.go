package project

import (
	"strconv"
	"testing"
)

// TestReference is the half of issue 10, C.10 about images: what is written with a
// digest wins over the lock, and a lock that kept an older tag pins nothing.
func TestReference(t *testing.T) {
	const one, two = "@sha256:aa", "@sha256:bb"
	lock := map[string]string{"web": "nginx:1.27" + one, "db": "ghcr.io/a/db:1" + one, "job": "nginx:1.27" + one, "x": "twice:1" + one, "y": "twice:1" + two}
	for name, c := range map[string]struct {
		service Service
		want    string
		pinned  bool
	}{
		"the same tag":                      {Service{Name: "web", Image: "nginx:1.27"}, "nginx:1.27" + one, true},
		"another tag":                       {Service{Name: "web", Image: "nginx:1.28"}, "nginx:1.28", false},
		"digest added":                      {Service{Name: "web", Image: "nginx:1.27" + one}, "nginx:1.27" + one, true},
		"digest added, and another":         {Service{Name: "web", Image: "nginx:1.27" + two}, "nginx:1.27" + two, false},
		"digest without a tag":              {Service{Name: "web", Image: "nginx" + two}, "nginx" + two, false},
		"tag and digest changed":            {Service{Name: "web", Image: "nginx:1.28" + two}, "nginx:1.28" + two, false},
		"tag removed":                       {Service{Name: "web", Image: "nginx"}, "nginx", false},
		"another registry":                  {Service{Name: "db", Image: "docker.io/a/db:1"}, "docker.io/a/db:1", false},
		"renamed":                           {Service{Name: "proxy", Image: "nginx:1.27"}, "nginx:1.27" + one, false},
		"renamed, with another tag":         {Service{Name: "proxy", Image: "nginx:1.28"}, "nginx:1.28", false},
		"new, and the lock has two digests": {Service{Name: "z", Image: "twice:1"}, "twice:1", false},
		"built now":                         {Service{Name: "web", Image: "nginx:1.27", Build: true}, "nginx:1.27", false},
		"another algorithm":                 {Service{Name: "web", Image: "nginx:1.27@sha512:cc"}, "nginx:1.27@sha512:cc", false},
	} {
		if got := c.service.Reference(lock); got != c.want {
			t.Errorf("%s: runs %s, want %s", name, got, c.want)
		}
		if got := c.service.Pinned(lock); got != c.pinned {
			t.Errorf("%s: pinned is %v", name, got)
		}
	}
}

// TestS09ADigestInTheComposeFileWins bumps a digest that the Compose file names,
// which the lock has an older one for.
func TestS09ADigestInTheComposeFileWins(t *testing.T) {
	patched := Service{Name: "web", Image: "nginx:1.29@sha256:bbbb"}
	locked := map[string]string{"web": "nginx:1.29@sha256:aaaa"}
	if got := patched.Reference(locked); got != patched.Image {
		t.Errorf("it runs %s, want %s", got, patched.Image)
	}
	if patched.Pinned(locked) {
		t.Error("the lock counts as what it runs")
	}
}

func TestPartsOfAReference(t *testing.T) {
	for ref, want := range map[string][6]string{
		"nginx":                                  {"nginx", "", "nginx", "docker.io", "library/nginx", "false"},
		"nginx:1.27@sha256:aa":                   {"nginx:1.27", "sha256:aa", "nginx", "docker.io", "library/nginx", "true"},
		"index.docker.io/library/nginx@sha512:b": {"index.docker.io/library/nginx", "sha512:b", "index.docker.io/library/nginx", "docker.io", "library/nginx", "false"},
		"registry.example:5000/a/b:1":            {"registry.example:5000/a/b:1", "", "registry.example:5000/a/b", "registry.example:5000", "a/b", "false"},
		"registry.example:5000/b":                {"registry.example:5000/b", "", "registry.example:5000/b", "registry.example:5000", "b", "false"},
		"localhost/b:1":                          {"localhost/b:1", "", "localhost/b", "localhost", "b", "false"},
		"mine/b":                                 {"mine/b", "", "mine/b", "docker.io", "mine/b", "false"},
		"<none>@<none>":                          {"<none>", "<none>", "<none>", "", "", "false"},
		"":                                       {"", "", "", "", "", "false"},
	} {
		registry, repository := Home(ref)
		got := [6]string{Tagged(ref), Digest(ref), Repository(ref), registry, repository, strconv.FormatBool(Lockable(ref))}
		if got != want {
			t.Errorf("%q: %q, want %q", ref, got, want)
		}
		if Digested(ref) != (want[1] != "") {
			t.Errorf("%q: Digested is %v", ref, Digested(ref))
		}
	}
}
