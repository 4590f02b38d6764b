package routecase

import (
	"strings"
	"testing"
)

// TestReadRefuses: what is not a case says why.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, id, want string }{
		"not JSON":           {"{\n\n\"cases\": [}", "X", "line 3: "},
		"another id":         {`{"cases": [{"id": "DF-01"}]}`, "DF-1", `"DF-1" is not a case in it, did you mean "DF-01"?`},
		"no such container":  {`{"containers": [], "events": [{"event": "start", "container": "a"}]}`, "", `the container "a", which the case does not have`},
		"labels are a list":  {`{"containers": [{"name": "a", "labels": ["x"]}]}`, "", "can't be read"},
		"broken environment": {`{"containers": [], "environment": {"account_zones": "example.com"}}`, "", "environment: "},
	} {
		if _, err := Read([]byte(c.content), c.id); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// FuzzRead: no file panics, and what is read can be played.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"cases": [{"id": "L", "containers": [{"name": "a", "labels": {"dockflare.enable": "1", "dockflare.hostname": "a.b.c", "dockflare.service": "http://a"}}], "events": [{"at_s": 0, "event": "start", "container": "a"}, {"at_s": 9, "event": "stop", "container": "a"}], "checkpoints": [{"after": "stop"}]}], "environment": {"account_zones": ["b.c"]}}`), "L")
	f.Add([]byte(`{"containers": [{"name": "a", "labels": {"dockflare.enable": "1", "dockflare.0.hostname": "a.b"}}], "setup": {"ingress": [{"service": "http_status:404"}], "access_api": "error"}}`), "")
	f.Fuzz(func(t *testing.T, content []byte, id string) {
		c, err := Read(content, id)
		if err != nil {
			return
		}
		played := c.Play()
		if n := len(played.Ingress); n == 0 {
			t.Error("a list without a rule")
		}
		encode(played)
	})
}
