package cloudflare

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzConfiguration: what was read is written again with the same bytes in each place.
func FuzzConfiguration(f *testing.F) {
	for _, seed := range []string{`null`, `{}`, `{"ingress":[{"hostname":"a","service":"b","x":{"y" : 1.0}},{"service":"http_status:404"}],"warp-routing":{"enabled": true}}`,
		`{"a":1,"a":2}`, `{"ingress":null}`, `{"ingress":[],"ingress":[]}`, `{"ingress":[1]}`, `{"<\u003c":"<"} `, `{"":[ ]}x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := parseConfiguration(content)
		if err != nil {
			return
		}
		out, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseConfiguration(out)
		if err != nil {
			t.Fatalf("%s became %s: %v", content, out, err)
		}
		if diff := cmp.Diff(c, again, cmp.AllowUnexported(Configuration{}, member{}), cmp.Comparer(bytes.Equal)); diff != "" {
			t.Errorf("%s became %s: %s", content, out, diff)
		}
	})
}
