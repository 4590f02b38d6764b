package storage

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/rclone/rclone/fs"

	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/secret"
)

func TestFailureShowsNoSecret(t *testing.T) {
	const word, token = "hunter2-canary/+", "1//refresh-canary"
	f := &Folder{remote: "drive", secrets: []secret.Value{
		secret.NewString(word), secret.NewString(`{"access_token":"x","refresh_token":"` + token + `"}`), secret.NewString("u"),
	}}
	for _, text := range []string{
		"login as u with " + word, "GET /?pass=" + url.QueryEscape(word), "GET /" + url.PathEscape(word),
		(&url.URL{Scheme: "https", Host: "h", User: url.UserPassword("u", word)}).String(), "token " + token + " was revoked",
	} {
		err := f.fail("read", "a/b", fmt.Errorf("%s: %w", text, errors.New(word)))
		shown := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
		if strings.Contains(shown, "canary") {
			t.Errorf("%s is shown as %s", text, shown)
		}
		if !strings.HasPrefix(err.Error(), "read drive:a/b: ") {
			t.Errorf("%q names neither operation nor place", err)
		}
	}
}

// TestAccountNamesAreShown is fault D19: with the WebDAV user "salvor" every path
// with that word in it was shown as /[secret]/….
func TestAccountNamesAreShown(t *testing.T) {
	remotes := Remotes{"nas": {Type: typeWebDAV, Options: map[string]secret.Value{
		"url": secret.NewString("http://nas.example.net/salvor"), "user": secret.NewString("salvor"), "pass": secret.NewString("hunter2-canary"),
	}}}
	f := &Folder{remote: "nas", secrets: remotes.secretValues("nas")}
	shown := f.fail("read", "salvor/snapshots", errors.New("GET http://nas.example.net/salvor/snapshots: hunter2-canary")).Error()
	if want := "read nas:salvor/snapshots: GET http://nas.example.net/salvor/snapshots: [secret]"; shown != want {
		t.Errorf("got  %s\nwant %s", shown, want)
	}
}

func TestFailureKeepsItsCauses(t *testing.T) {
	f := &Folder{remote: "drive"}
	if err := f.fail("read", "x", fmt.Errorf("deep: %w", fs.ErrorObjectNotFound)); !errors.Is(err, blob.ErrNotExist) || errors.Is(err, ErrUnreachable) {
		t.Errorf("%v is no ErrNotExist", err)
	}
	if err := f.fail("read", "x", nil); err != nil {
		t.Errorf("an error out of nothing: %v", err)
	}
}

// TestARemoteThatIsAwayHasItsExitCode: the causes are not handed out, their code is.
func TestARemoteThatIsAwayHasItsExitCode(t *testing.T) {
	f := &Folder{remote: "nas"}
	err := fmt.Errorf("alpha: %w", f.fail("open", "x", fmt.Errorf("dial: %w", syscall.EHOSTUNREACH)))
	if code, ok := fault.Code(err); !ok || code != fault.Unreachable {
		t.Errorf("%v has the exit code %d, %v", err, code, ok)
	}
	if code, ok := fault.Code(f.fail("read", "x", fs.ErrorObjectNotFound)); ok {
		t.Errorf("a missing file has the exit code %d", code)
	}
}
