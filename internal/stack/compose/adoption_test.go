package compose

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnAdoptionIsAllThatComposeReads is issue 14, 2: the host's Compose makes of it what it
// made of the user's files, with nothing of the user's folder.
func TestAnAdoptionIsAllThatComposeReads(t *testing.T) {
	opts := stackOf(t, map[string]string{
		"compose.yaml":          "include: [more/part.yaml]\nservices:\n  web:\n    image: nginx\n    env_file: [.env, app.env]\n    environment: {PW: \"${PW}\"}\n    label_file: web.labels\n    volumes: [\"./site:/site:ro\"]\n",
		"compose.override.yaml": "services: {web: {restart: always}}\n", "more/part.yaml": "services: {db: {extends: {file: base.yaml, service: base}}}\n",
		"more/base.yaml": "services: {base: {image: postgres}}\n", "app.env": "X=1\n", "web.labels": "a=b\n", "site/index.html": "not read\n", "stack.env": "PRICE=5$$\nURL=http://u:${PW}@db\n",
	})
	opts.Stack.ProjectDir, opts.SecretKeys, opts.Vars = "/srv/app", []string{"PW"}, map[string]string{"TZ": "UTC"}
	_, _, loaded := running(t, opts)
	a := loaded.Adoption
	var files []string
	for _, f := range a.Files {
		files = append(files, f.Path)
	}
	if diff := cmp.Diff([]string{"app.env", "compose.override.yaml", "compose.yaml", "more/base.yaml", "more/part.yaml", "stack.env", "web.labels"}, files); diff != "" {
		t.Error(diff)
	}
	env := map[string]string{"PRICE": "5$$", "URL": "http://u:${PW}@db", "PW": "${PW}"}
	if diff := cmp.Diff(env, a.Env); diff != "" {
		t.Error(diff)
	}
	env["TZ"], env["PWD"] = "UTC", "/srv/app"
	if diff := cmp.Diff(env, a.Vars); diff != "" || a.Dir != "/srv/app" || len(a.Compose) != 2 {
		t.Errorf("%s, %v in %s", diff, a.Compose, a.Dir)
	}
}
