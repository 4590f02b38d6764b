package drivetest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuery(t *testing.T) {
	w := newWorld(t, Options{})
	dir := w.MakeFolder(w.root, "Dir")
	w.put(w.token, `{"name":"Hello World.txt","parents":["`+dir+`"],"appProperties":{"k":"v"}}`, "x")
	w.put(w.token, `{"name":"it's \\ here","modifiedTime":"2020-01-01T00:00:00Z"}`, "x")
	w.put(w.token, `{"name":"gone","trashed":true}`, "x")
	gone := w.put(w.token, `{"name":"gone"}`, "x").file()
	w.api("PATCH", "/drive/v3/files/"+gone.ID, `{"trashed":true}`).wants(200, "")
	for q, want := range map[string][]string{
		`trashed=false and ('` + dir + `' in parents)`:  {"Hello World.txt"},
		`'root' in parents and trashed = false`:         {"Dir", "it's \\ here", "gone"},
		`trashed=true`:                                  {"gone"},
		`trashed!=false`:                                {"gone"},
		`(name='hello world.TXT')`:                      {"Hello World.txt"},
		`name='it\'s \\ here'`:                          {"it's \\ here"},
		`name contains 'wor'`:                           {"Hello World.txt"},
		`name contains 'orld'`:                          {},
		`mimeType='` + folderType + `'`:                 {"Dir"},
		`mimeType contains 'text/' and not name='gone'`: {"Hello World.txt", "it's \\ here"},
		`modifiedTime < '2021-01-01T00:00:00'`:          {"it's \\ here"},
		`modifiedTime >= '2021-01-01' and mimeType != '` + folderType + `' and trashed=false`: {"Hello World.txt", "gone"},
		`appProperties has {key='k' and value='v'}`:                                           {"Hello World.txt"},
		`'me' in owners and starred=false and name='Dir'`:                                     {"Dir"},
		`name='Dir' or name='gone' and trashed=true`:                                          {"gone"}, // from left to right
		`name='Dir' or (name='gone' and trashed=true)`:                                        {"Dir", "gone"},
		`('` + dir + `' in parents or 'root' in parents) and name='Dir'`:                      {"Dir"},
	} {
		if diff := cmp.Diff(want, w.names(w.token, q, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", q, diff)
		}
	}
}

func TestQueryRefuses(t *testing.T) {
	for _, q := range []string{
		" ", "name", "name=", "name='x", "name='x' and", "and", "(name='x'", "name='x')", "name='x' name='y'", "name < 'x'", "parents in 'x'",
		"'x' in name", "'x' in", "trashed='true'", "trashed=yes", "trashed=1", "title='x'", "name=x", "modifiedTime > 'yesterday'", "not", "name='a\\b'",
		"name==’x’", "appProperties has 'x'", "properties has {key='x'}", "name ~ 'x'", "name='x' AND name='y'", "\x00",
	} {
		_, err := parseQuery(q)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != 400 || refusal.Reason != "invalid" {
			t.Errorf("%q: %v, want 400 invalid", q, err)
		}
	}
	w := newWorld(t, Options{})
	w.api("GET", "/drive/v3/files?q=name", "").wants(400, "invalid")
	w.api("GET", "/drive/v3/files?q='nothing'+in+parents", "").wants(404, "notFound")
	w.api("GET", "/drive/v3/files?q=fullText+contains+'x'", "").wants(501, "notEmulated")
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"trashed=false and ('1' in parents or '2' in parents) and (name='it\\'s')", "not (name contains 'x') or modifiedTime<='2020-01-01'",
		"appProperties has {key='k' and value='v'}", "((((", "name='", "not not not trashed=true",
	} {
		f.Add(q)
	}
	s := New(Options{})
	s.Account(olga, 0)
	c := &call{s: s, by: &session{account: s.accounts[olga], scopes: []string{ScopeDrive}}}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseQuery(text)
		var refusal *Refusal
		if err != nil {
			if !errors.As(err, &refusal) {
				t.Errorf("%v is no answer of the API", err)
			}
			return
		}
		ids, known := q.folders()
		for _, n := range s.all() {
			if q.matches(c, n) && known && len(ids) == 0 {
				t.Error("a query that knows no folder matches")
			}
		}
	})
}

func TestFields(t *testing.T) {
	const raw = `{"kind":"k","files":[{"id":"1","name":"a","appProperties":{"x":"1","y":"2"}},{"id":"2"}],"nextPageToken":"n"}`
	for fields, want := range map[string]string{
		"*":                           raw,
		"kind":                        `{"kind":"k"}`,
		"files(id),nextPageToken":     `{"files":[{"id":"1"},{"id":"2"}],"nextPageToken":"n"}`,
		"files/id":                    `{"files":[{"id":"1"},{"id":"2"}]}`,
		"files/id,files/name":         `{"files":[{"id":"1","name":"a"},{"id":"2"}]}`,
		"files(appProperties/x)":      `{"files":[{"appProperties":{"x":"1"}},{}]}`,
		"files/appProperties(x),kind": `{"files":[{"appProperties":{"x":"1"}},{}],"kind":"k"}`,
		"files,files/id":              `{"files":[{"id":"1","name":"a","appProperties":{"x":"1","y":"2"}},{"id":"2"}]}`,
	} {
		sel, err := parseFields(fields)
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		got, err := sel.of([]byte(raw))
		if err != nil || string(got) != want {
			t.Errorf("%s gives %s, %v; want %s", fields, got, err, want)
		}
	}
	w := newWorld(t, Options{})
	for _, fields := range []string{"nothing", "files(nothing)", "files(id", "files)", ",", "files/", "a*", "files((id))", "kind/x"} {
		w.api("GET", "/drive/v3/files?fields="+fields, "").wants(400, "invalidParameter")
	}
}

func FuzzFields(f *testing.F) {
	f.Add("files(id,name),nextPageToken")
	f.Add("a/b/c(d,*)")
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := parseFields(text)
		if err != nil {
			return
		}
		if _, err := sel.of([]byte(`{"a":{"b":[{"c":1}]},"files":[{"id":"1"}]}`)); err != nil {
			t.Error(err)
		}
	})
}
