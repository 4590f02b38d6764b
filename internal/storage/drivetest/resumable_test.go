package drivetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func (w *world) begin(metadata string, size int) string {
	w.t.Helper()
	h := http.Header{"X-Upload-Content-Type": {"text/plain"}}
	if size >= 0 {
		h.Set("X-Upload-Content-Length", fmt.Sprint(size))
	}
	return w.do(w.token, "POST", "/upload/drive/v3/files?uploadType=resumable&fields=*", h, metadata).wants(200, "").Header().Get("Location")
}

func (w *world) send(at, contentRange, body string) answer {
	w.t.Helper()
	return w.do(w.token, "PUT", at, http.Header{"Content-Range": {contentRange}}, body)
}

func TestResumable(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "folder": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{Dir: dir})
			w.SetLimit(olga, 0)
			content := strings.Repeat("0123456789abcdef", 40_000) // 640,000 bytes
			total := len(content)
			at := w.begin(`{"name":"f"}`, total)
			if got := w.send(at, fmt.Sprintf("bytes */%d", total), "").wants(308, "").Header().Get("Range"); got != "" {
				t.Errorf("of nothing there is %q", got)
			}
			w.send(at, fmt.Sprintf("bytes 0-999/%d", total), content[:1000]).wants(400, "badRequest")
			w.send(at, fmt.Sprintf("bytes 300000-599999/%d", total), content[300000:600000]).wants(400, "badRequest")
			w.send(at, "bytes 0-9/*", content[:300]).wants(400, "badRequest")
			w.send(at, "megabytes 0-9/*", content[:10]).wants(400, "badRequest")
			// what is beyond the last whole unit is not kept
			if got := w.send(at, fmt.Sprintf("bytes 0-299999/%d", total), content[:300000]).wants(308, "").Header().Get("Range"); got != "bytes=0-262143" {
				t.Errorf("the range is %q", got)
			}
			w.send(at, fmt.Sprintf("bytes */%d", total+1), "").wants(400, "badRequest")
			// what is sent again is skipped
			f := w.send(at, fmt.Sprintf("bytes 0-%d/%d", total-1, total), content).file()
			if f.Size != fmt.Sprint(total) || f.Name != "f" {
				t.Errorf("%+v", f)
			}
			if again := w.send(at, fmt.Sprintf("bytes */%d", total), "").file(); again.ID != f.ID {
				t.Error("a question after the end has another answer")
			}
			if got, err := w.Content(f.ID); err != nil || string(got) != content {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
}

func TestResumableEnds(t *testing.T) {
	w := newWorld(t, Options{})
	at := w.begin(`{"name":"f"}`, -1)
	w.clock.at = w.clock.at.Add(uploadLife)
	w.token = w.login(olga, "app", ScopeDrive)
	w.send(at, "bytes 0-2/3", "abc").wants(404, "notFound")
	w.do(w.token, "POST", "/upload/drive/v3/files?uploadType=resumable", http.Header{"X-Upload-Content-Length": {"1001"}}, `{}`).wants(403, "storageQuotaExceeded")
	full := w.begin(`{"name":"f"}`, -1)
	w.SetLimit(olga, 2)
	w.send(full, "bytes 0-2/3", "abc").wants(403, "storageQuotaExceeded")
	if got := w.Look(w.root); len(got) != 0 {
		t.Errorf("there is %v", got)
	}
	empty := w.begin(`{"name":"empty"}`, 0)
	if f := w.send(empty, "bytes */0", "").file(); f.Size != "0" || f.Md5Checksum != "d41d8cd98f00b204e9800998ecf8427e" {
		t.Errorf("%+v", f)
	}
}
