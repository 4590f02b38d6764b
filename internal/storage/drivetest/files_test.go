package drivetest

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	w := newWorld(t, Options{Dir: t.TempDir()})
	f := w.put(w.token, `{"name":"a","properties":{"p":"1"}}`, "content").file()
	if f.Size != "7" || f.Md5Checksum != "9a0364b9e99bb480dd25e1f0284c8555" || f.Sha256Checksum == "" || f.Sha1Checksum == "" || f.Parents[0] != w.root || f.MimeType != "text/plain" {
		t.Errorf("%+v", f)
	}
	at := "/drive/v3/files/" + f.ID
	if got := w.api("GET", at+"?alt=media", "").wants(200, "").Body.String(); got != "content" {
		t.Errorf("got %q", got)
	}
	for header, want := range map[string]string{"bytes=0-0": "c", "bytes=3-": "tent", "bytes=-2": "nt", "bytes=5-100": "nt"} {
		if got := w.do(w.token, "GET", at+"?alt=media", http.Header{"Range": {header}}, "").wants(206, "").Body.String(); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	w.do(w.token, "GET", at+"?alt=media", http.Header{"Range": {"bytes=7-"}}, "").wants(416, "requestedRangeNotSatisfiable")
	w.api("GET", "/drive/v3/files/"+w.root+"?alt=media", "").wants(403, "fileNotDownloadable")
	if got := w.api("GET", at, "").file(); got.Size != "" || got.Name != "a" {
		t.Errorf("without fields there are %+v", got)
	}
	changed := w.api("PATCH", at+"?fields=*", `{"name":"b","properties":{"p":null,"q":"2"}}`).file()
	if diff := cmp.Diff(map[string]string{"q": "2"}, changed.Properties); diff != "" || changed.Version != "2" || changed.Name != "b" {
		t.Errorf("%+v", changed)
	}
	w.put(w.token, `{"name":"b"}`, "twin").wants(200, "")
	if names := w.names(w.token, "name='b'", ""); len(names) != 2 {
		t.Errorf("two files of one name are %v", names)
	}
	w.api("DELETE", at, "").wants(204, "")
	w.api("GET", at, "").wants(404, "notFound")
}

func TestMove(t *testing.T) {
	w := newWorld(t, Options{})
	a, b := w.MakeFolder(w.root, "a"), w.MakeFolder(w.root, "b")
	inner := w.MakeFolder(a, "inner")
	f := w.put(w.token, `{"name":"f","parents":["`+a+`"]}`, "x").file()
	at := "/drive/v3/files/" + f.ID
	w.api("PATCH", at+"?addParents="+b, `{}`).wants(403, "cannotAddParent")
	w.api("PATCH", at, `{"parents":["`+b+`"]}`).wants(403, "fieldNotWritable")
	w.api("PATCH", at+"?addParents="+b+"&removeParents="+w.root, `{}`).wants(404, "notFound")
	w.api("PATCH", at+"?addParents="+f.ID+"&removeParents="+a, `{}`).wants(403, "parentNotAFolder")
	w.api("PATCH", "/drive/v3/files/"+a+"?addParents="+inner+"&removeParents=root", `{}`).wants(400, "badRequest")
	if got := w.api("PATCH", at+"?fields=parents&addParents="+b+"&removeParents="+a, `{}`).file(); got.Parents[0] != b {
		t.Errorf("it is in %v", got.Parents)
	}
	w.api("POST", "/drive/v3/files", `{"name":"x","parents":["`+a+`","`+b+`"]}`).wants(403, "cannotAddParent")
	w.api("POST", "/drive/v3/files", `{"name":"x","parents":["nowhere"]}`).wants(404, "notFound")
	w.api("POST", "/drive/v3/files", `{`).wants(400, "parseError")
	w.api("PATCH", "/drive/v3/files/"+w.root, `{"trashed":true}`).wants(403, "insufficientFilePermissions")
}

func TestTrash(t *testing.T) {
	w := newWorld(t, Options{})
	dir := w.MakeFolder(w.root, "dir")
	f := w.put(w.token, `{"name":"f","parents":["`+dir+`"]}`, "x").file()
	w.api("PATCH", "/drive/v3/files/"+dir, `{"trashed":true}`).wants(200, "")
	got := w.api("GET", "/drive/v3/files/"+f.ID+"?fields=trashed,explicitlyTrashed", "").file()
	if !got.Trashed || got.ExplicitlyTrashed {
		t.Errorf("below a folder in the trash: %+v", got)
	}
	var about aboutResource
	w.api("GET", "/drive/v3/about?fields=storageQuota", "").into(&about)
	if want := (quotaResource{"1000", "1", "1", "1"}); about.StorageQuota != want {
		t.Errorf("%+v", about.StorageQuota)
	}
	w.api("DELETE", "/drive/v3/files/trash", "").wants(204, "")
	w.api("GET", "/drive/v3/files/"+f.ID, "").wants(404, "notFound")
	w.api("GET", "/drive/v3/about", "").wants(400, "required")
}

func TestPages(t *testing.T) {
	w := newWorld(t, Options{})
	want := []string{}
	for i := range 7 {
		want = append(want, fmt.Sprint(i))
		w.api("POST", "/drive/v3/files", fmt.Sprintf(`{"name":"%d"}`, i)).wants(200, "")
	}
	got, pages, token := []string{}, 0, ""
	for ; pages == 0 || token != ""; pages++ {
		var list listResource
		w.api("GET", "/drive/v3/files?q=trashed%3dfalse&pageSize=3&pageToken="+url.QueryEscape(token), "").wants(200, "").into(&list)
		for _, f := range list.Files {
			got = append(got, f.Name)
		}
		token = list.NextPageToken
		w.api("GET", "/drive/v3/files?q=trashed%3dtrue&pageToken="+url.QueryEscape(token+"x"), "").wants(400, "invalid")
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
		t.Errorf("%d pages (-want +got):\n%s", pages, diff)
	}
	for _, size := range []string{"0", "1001", "-1", "x"} {
		w.api("GET", "/drive/v3/files?pageSize="+size, "").wants(400, "invalidParameter")
	}
	w.api("GET", "/drive/v3/files?orderBy=name", "").wants(501, "notEmulated")
}

func TestLateListings(t *testing.T) {
	w := newWorld(t, Options{})
	w.ListLate(2)
	f := w.put(w.token, `{"name":"f"}`, "x").file()
	w.api("GET", "/drive/v3/files/"+f.ID, "").wants(200, "")
	for i := range 3 {
		if names := w.names(w.token, "name='f'", ""); len(names) != i/2 {
			t.Errorf("listing %d has %v", i, names)
		}
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, Options{DailyUpload: 1500, DriveItems: 2})
	big := string(make([]byte, 900))
	f := w.put(w.token, `{"name":"a"}`, big).file()
	w.put(w.token, `{"name":"b"}`, big).wants(403, "storageQuotaExceeded")
	w.api("DELETE", "/drive/v3/files/"+f.ID, "").wants(204, "")
	w.put(w.token, `{"name":"b"}`, big).wants(403, "userRateLimitExceeded") // 1,800 bytes today
	w.clock.at = w.clock.at.Add(24 * 3600e9)
	w.token = w.login(olga, "app", ScopeDrive)
	w.put(w.token, `{"name":"b"}`, big).wants(200, "")
	shared := w.SharedDrive("d", map[string]Role{olga: Manager})
	for i, want := range []int{200, 200, 403} {
		if got := w.put(w.token, fmt.Sprintf(`{"name":"%d","parents":["%s"]}`, i, shared), "x"); got.Code != want {
			t.Errorf("file %d: %s", i, got.Body)
		}
	}
}

func TestScopes(t *testing.T) {
	w := newWorld(t, Options{})
	own, foreign, reading := w.login(olga, "app", ScopeFile), w.login(olga, "other", ScopeFile), w.login(olga, "app", ScopeReadonly)
	dir := w.MakeFolder(w.root, "by hand")
	f := w.put(own, `{"name":"f"}`, "x").file()
	w.do(own, "GET", "/drive/v3/files/"+f.ID, nil, "").wants(200, "")
	w.do(foreign, "GET", "/drive/v3/files/"+f.ID, nil, "").wants(404, "notFound")
	w.do(own, "GET", "/drive/v3/files/root", nil, "").wants(404, "notFound")
	w.put(own, `{"name":"f","parents":["`+dir+`"]}`, "x").wants(404, "notFound")
	if diff := cmp.Diff([]string{"f"}, w.names(own, "'root' in parents", "")); diff != "" {
		t.Error(diff)
	}
	w.do(reading, "GET", "/drive/v3/files/"+f.ID, nil, "").wants(200, "")
	w.put(reading, `{"name":"f"}`, "x").wants(403, "insufficientPermissions")
	w.do("", "GET", "/drive/v3/files", nil, "").wants(401, "required")
	w.do("wrong", "GET", "/drive/v3/files", nil, "").wants(401, "authError")
	w.api("GET", "/drive/v3/apps", "").wants(501, "notEmulated")
}

func TestSharedDrives(t *testing.T) {
	w := newWorld(t, Options{})
	id := w.SharedDrive("family", map[string]Role{olga: Manager, ben: Writer})
	w.SharedDrive("secret", map[string]Role{ben: Manager})
	f := w.put(w.token, `{"name":"f","parents":["`+id+`"]}`, "x").file()
	if f.DriveID != id || f.Owners != nil {
		t.Errorf("%+v", f)
	}
	at := "/drive/v3/files/" + f.ID
	w.api("GET", at, "").wants(404, "notFound")
	w.api("GET", at+"?supportsAllDrives=true", "").wants(200, "")
	w.api("GET", "/drive/v3/files?driveId="+id, "").wants(403, "teamDriveIdRequiresTeamDriveCorpora")
	w.api("GET", "/drive/v3/files?corpora=drive&supportsAllDrives=true&driveId="+id, "").wants(403, "includeTeamDriveItemsRequired")
	w.api("GET", "/drive/v3/files?corpora=all", "").wants(400, "invalid")
	all := "&supportsAllDrives=true&includeItemsFromAllDrives=true"
	if names := w.names(w.token, "name='f'", ""); len(names) != 0 {
		t.Errorf("My Drive lists %v", names)
	}
	for _, more := range []string{all, all + "&corpora=drive&driveId=" + id} {
		if names := w.names(w.token, "name='f'", more); len(names) != 1 {
			t.Errorf("%s lists %v", more, names)
		}
	}
	theirs := w.login(ben, "app", ScopeDrive)
	w.do(theirs, "PATCH", at+"?supportsAllDrives=true", nil, `{"trashed":true}`).wants(403, "insufficientFilePermissions")
	w.do(theirs, "DELETE", at+"?supportsAllDrives=true", nil, "").wants(403, "insufficientFilePermissions")
	w.do(theirs, "PATCH", at+"?supportsAllDrives=true", nil, `{"name":"g"}`).wants(200, "")
	var drives drivesResource
	w.api("GET", "/drive/v3/drives", "").wants(200, "").into(&drives)
	if len(drives.Drives) != 1 || drives.Drives[0].Name != "family" {
		t.Errorf("%+v", drives)
	}
	w.api("GET", "/drive/v3/drives/"+id+"?fields=name,capabilities", "").wants(200, "")
	w.api("GET", "/drive/v3/drives/none", "").wants(404, "notFound")
}

func TestChanges(t *testing.T) {
	w := newWorld(t, Options{})
	var start startResource
	w.api("GET", "/drive/v3/changes/startPageToken", "").wants(200, "").into(&start)
	a := w.put(w.token, `{"name":"a"}`, "x").file()
	b := w.put(w.token, `{"name":"b"}`, "x").file()
	w.api("PATCH", "/drive/v3/files/"+a.ID, `{"name":"c"}`).wants(200, "")
	w.api("DELETE", "/drive/v3/files/"+b.ID, "").wants(204, "")
	var page changesResource
	w.api("GET", "/drive/v3/changes?pageToken="+start.StartPageToken, "").wants(200, "").into(&page)
	if len(page.Changes) != 2 || page.Changes[0].File.Name != "c" || page.Changes[1].FileID != b.ID || !page.Changes[1].Removed {
		t.Errorf("%+v", page)
	}
	w.api("GET", "/drive/v3/changes?pageToken="+page.NewStartPageToken, "").wants(200, "").into(&page)
	if len(page.Changes) != 0 {
		t.Errorf("nothing changed, and there are %+v", page)
	}
	for _, token := range []string{"", "x", "0", "99"} {
		w.api("GET", "/drive/v3/changes?pageToken="+token, "").wants(400, "invalid")
	}
}
