package lab_test

import (
	"strings"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
)

func TestAptRepoBringsComposeToDebian12(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "apt"})
	repo, err := l.AptRepo(ctx)
	must(t, err)
	h, err := l.Host(ctx, "alpha", lab.HostOptions{Release: 12})
	must(t, err)
	_, err = h.Exec(ctx, "curl", "-fsS", "-o", "/etc/apt/keyrings/docker.asc", "--create-dirs", repo.KeyURL)
	must(t, err)
	must(t, h.WriteFile(ctx, "/etc/apt/sources.list.d/docker.list", "deb [signed-by=/etc/apt/keyrings/docker.asc] "+repo.URL+" bookworm stable\n"))
	_, err = h.Exec(ctx, "sh", "-c", "chmod 644 /etc/apt/sources.list.d/docker.list /etc/apt/keyrings/docker.asc; "+installDocker+"docker-ce docker-ce-cli containerd.io docker-compose-plugin")
	must(t, err)
	out, err := h.Exec(ctx, "docker", "compose", "version")
	must(t, err)
	if !strings.Contains(out, "v5.6.0") {
		t.Errorf("got %q", out)
	}
	out, err = h.Exec(ctx, "docker", "compose", "ls")
	must(t, err)
	if !strings.Contains(out, "NAME") {
		t.Errorf("compose does not speak to the engine: %q", out)
	}
}
