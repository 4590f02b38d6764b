package faultproxy

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
)

// Hide leaves entries whose path fits the glob out of what PROPFIND lists in a
// folder. Asked for by its own name, an entry is there.
func Hide(pattern string) Fault {
	hidden := glob(pattern)
	return func(next http.Handler, _ <-chan struct{}) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Depth") == "0" {
				next.ServeHTTP(w, r)
				return
			}
			a := take(next, r)
			if a.code == http.StatusMultiStatus {
				a.body = without(a.body, hidden.MatchString)
			}
			a.give(w)
		})
	}
}

// without returns a multistatus without the responses about some paths. What
// can't be read stays as it is.
func without(body []byte, hidden func(path string) bool) []byte {
	var kept bytes.Buffer
	from, began := int64(0), int64(0)
	href, inside := "", false
	for d := xml.NewDecoder(bytes.NewReader(body)); ; {
		at := d.InputOffset()
		token, err := d.Token()
		if err != nil {
			kept.Write(body[from:])
			return kept.Bytes()
		}
		switch t := token.(type) {
		case xml.StartElement:
			inside = t.Name.Local == "href"
			if t.Name.Local == "response" {
				began, href = at, ""
			}
		case xml.CharData:
			if inside && href == "" {
				href = string(t)
			}
		case xml.EndElement:
			inside = false
			if t.Name.Local == "response" && hidden(pathOf(href)) {
				kept.Write(body[from:began])
				from = d.InputOffset()
			}
		}
	}
}

// pathOf is the path that a href is about, without the slash behind a folder.
func pathOf(href string) string {
	at, err := url.Parse(href)
	if err != nil {
		return href
	}
	return strings.TrimSuffix(at.Path, "/")
}
