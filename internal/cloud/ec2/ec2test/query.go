package ec2test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A failure is an error of the API.
type failure struct{ code, text string }

func fail(w http.ResponseWriter, status int, f failure) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r-1</RequestID></Response>`, text(f.code), text(f.text))
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			_ = conn.Close()
		}
	}
}

func missing(parameter string) *failure {
	return &failure{"MissingParameter", "The request must contain the parameter " + parameter}
}

// text is XML for a text.
func text(v string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(v)) // a strings.Builder takes everything
	return b.String()
}

func element(name, inner string) string { return "<" + name + ">" + inner + "</" + name + ">" }

// texts are elements of texts, by name and value in turn; empty ones are left out.
func texts(all ...string) string {
	var b strings.Builder
	for i := 0; i < len(all); i += 2 {
		if all[i+1] != "" {
			b.WriteString(element(all[i], text(all[i+1])))
		}
	}
	return b.String()
}

// list is a set of items.
func list(name string, items []string) string {
	var b strings.Builder
	for _, i := range items {
		b.WriteString(element("item", i))
	}
	return element(name, b.String())
}

// values are the parameters prefix.1, prefix.2 and so on.
func values(f url.Values, prefix string) []string {
	var all []string
	for n := 1; f.Has(fmt.Sprintf("%s.%d", prefix, n)); n++ {
		all = append(all, f.Get(fmt.Sprintf("%s.%d", prefix, n)))
	}
	return all
}

// tagged are the tags that a call gives to a kind of resource.
func tagged(f url.Values, kind string) map[string]string {
	tags := map[string]string{}
	for n := 1; f.Has(fmt.Sprintf("TagSpecification.%d.ResourceType", n)); n++ {
		at := fmt.Sprintf("TagSpecification.%d", n)
		if f.Get(at+".ResourceType") != kind {
			continue
		}
		for m := 1; f.Has(fmt.Sprintf("%s.Tag.%d.Key", at, m)); m++ {
			tags[f.Get(fmt.Sprintf("%s.Tag.%d.Key", at, m))] = f.Get(fmt.Sprintf("%s.Tag.%d.Value", at, m))
		}
	}
	return tags
}

func tagSet(tags map[string]string) string {
	var items []string
	for key, value := range tags {
		items = append(items, texts("key", key, "value", value))
	}
	slices.Sort(items)
	return list("tagSet", items)
}

// passes reports whether all filters of a call let through what has these attributes, and
// these tags. A filter that the emulator does not know lets nothing through.
func passes(f url.Values, attributes, tags map[string]string) bool {
	for n := 1; f.Has(fmt.Sprintf("Filter.%d.Name", n)); n++ {
		name := f.Get(fmt.Sprintf("Filter.%d.Name", n))
		has, known := attributes[name]
		if key, isTag := strings.CutPrefix(name, "tag:"); isTag {
			has, known = tags[key]
		}
		if !known || !slices.ContainsFunc(values(f, fmt.Sprintf("Filter.%d.Value", n)), func(pattern string) bool {
			fits, err := path.Match(pattern, has)
			return err == nil && fits
		}) {
			return false
		}
	}
	return true
}

// paged returns a page of one item, so that a client which forgets the next one sees too little.
func paged(f url.Values, name string, items []string) (string, *failure) {
	at := 0
	if token := f.Get("NextToken"); token != "" {
		if _, err := fmt.Sscanf(token, "page-%d", &at); err != nil || at >= len(items) {
			return "", &failure{"InvalidNextToken", "The token is invalid."}
		}
	}
	if len(items) == 0 {
		return list(name, nil), nil
	}
	next := ""
	if at+1 < len(items) {
		next = fmt.Sprintf("page-%d", at+1)
	}
	return list(name, items[at:at+1]) + texts("nextToken", next), nil
}
