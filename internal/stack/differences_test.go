package stack

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/project"
)

func TestDifferencesSaysWhatChanges(t *testing.T) {
	services := func(image string) []project.Service {
		return []project.Service{{Name: "db", Image: "postgres:17"}, {Name: "web", Image: image}}
	}
	was := pinnedProject{
		Images: map[string]string{"web": "ghcr.io/a/web:1.2@sha256:aa", "db": "postgres:17@sha256:bb"},
		Project: project.Project{
			Dir: "/srv", Services: services("ghcr.io/a/web:1.2"), Env: []string{"TOKEN"}, Files: []project.File{{Path: "conf/a", Data: []byte("1")}, {Path: "conf/b"}},
			Compose: []byte("services:\n  db: {image: postgres:17, environment: {PASSWORD: hunter2}}\n  web:\n    image: ghcr.io/a/web:1.2\n    environment: {A: secret-a, B: x, C: null}\n    labels: {dev.salvor.files: 1, l: x}\n    ports: [80]\nnetworks: {a: {}}\n"),
		},
	}
	for name, c := range map[string]struct {
		change func(*pinnedProject)
		want   []string
	}{
		"nothing": {func(*pinnedProject) {}, nil},
		"a tag": {func(p *pinnedProject) {
			p.Project.Services = services("ghcr.io/a/web:1.3")
		}, []string{"image of web 1.2 → 1.3"}},
		"another image": {func(p *pinnedProject) { p.Project.Services = services("nginx") }, []string{"image of web ghcr.io/a/web:1.2 → nginx"}},
		"a digest": {func(p *pinnedProject) {
			p.Images = map[string]string{"web": "ghcr.io/a/web:1.2@sha256:cc", "db": "postgres:17@sha256:bb"}
		}, []string{"image of web: another ghcr.io/a/web:1.2"}},
		"services": {func(p *pinnedProject) {
			p.Project.Services = []project.Service{{Name: "web", Image: "ghcr.io/a/web:1.2"}, {Name: "cache", Image: "redis"}}
		}, []string{"new service cache", "service db removed"}},
		"keys": {func(p *pinnedProject) {
			p.Project.Compose = []byte("services:\n  db: {image: postgres:17, environment: {PASSWORD: hunter2}}\n  web:\n    image: x\n    environment: {A: secret-b, B: x, D: y}\n    labels: {dev.salvor.files: 2, l: x}\n    ports: [81]\n    user: a\nvolumes: {}\n")
		}, []string{"environment of web: ~A +D -C", "ports of web", "user of web", "networks", "volumes"}},
		"the rest": {func(p *pinnedProject) {
			p.Project.Dir, p.Project.Env = "/opt", []string{"KEY"}
			p.Project.Files = []project.File{{Path: "conf/a", Data: []byte("2")}, {Path: "conf/c"}}
		}, []string{"secrets: +KEY -TOKEN", "files: ~conf/a +conf/c -conf/b", "folder: /opt"}},
		"many": {func(p *pinnedProject) { p.Project.Env = []string{"A", "B", "C", "D", "E", "F", "TOKEN"} }, []string{"secrets: +A +B +C +D +E and 1 more"}},
	} {
		now := was
		c.change(&now)
		if diff := cmp.Diff(c.want, comparison{was, now}.said()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	one := pinnedProject{Project: project.Project{Services: []project.Service{{Name: "web", Image: "nginx:1.27"}}}}
	two := pinnedProject{Project: project.Project{Services: []project.Service{{Name: "web", Image: "nginx:1.28"}}}}
	if diff := cmp.Diff([]string{"image 1.27 → 1.28"}, comparison{one, two}.said()); diff != "" {
		t.Error(diff)
	}
}
