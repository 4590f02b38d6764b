package method

import "testing"

// TestInside: where a path of the container is in the volume; a path elsewhere is not
// there, however it is written.
func TestInside(t *testing.T) {
	t.Parallel()
	v := Volume{Path: "/srv/db", MountAt: "/var/lib/postgresql"}
	for path, want := range map[string]string{
		"/var/lib/postgresql": ".", "/var/lib/postgresql/data": "data", "/var/lib/postgresql/18/docker/": "18/docker", "/var/lib/postgresql/../postgresql/data": "data",
		"/var/lib": "", "/var/lib/postgresql2": "", "/var/lib/postgresql/../mysql": "", "/": "", "data": "", "": "",
	} {
		rel, ok := v.Inside(path)
		if ok != (want != "") || ok && rel != want {
			t.Errorf("%s is at %q, %v; want %q", path, rel, ok, want)
		}
	}
	if rel, ok := (Volume{MountAt: "/"}).Inside("/data"); !ok || rel != "data" {
		t.Errorf("in a volume that is mounted at /: %q, %v", rel, ok)
	}
}
