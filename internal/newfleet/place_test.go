package newfleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
)

func TestParsePlace(t *testing.T) {
	t.Parallel()
	type want struct {
		name, kind, folder string
		options            map[string]string
		login              Login
	}
	for text, want := range map[string]want{
		"sftp://backup@nas.example.net/disk/salvor/": {"nas", "sftp", "disk/salvor", map[string]string{"host": "nas.example.net", "user": "backup"}, PasswordOrKey},
		"sftp://backup@192.0.2.20:2222":              {"offsite", "sftp", "salvor", map[string]string{"host": "192.0.2.20", "user": "backup", "port": "2222"}, PasswordOrKey},
		"sftp://u@[2001:db8::1]:22/x":                {"offsite", "sftp", "x", map[string]string{"host": "2001:db8::1", "user": "u"}, PasswordOrKey},
		"https://ann@cloud.example.net/dav/ann":      {"cloud", "webdav", "salvor", map[string]string{"url": "https://cloud.example.net/dav/ann", "vendor": "other", "user": "ann"}, Password},
		"/mnt/nas/":                                  {"disk", "local", "mnt/nas", nil, NoLogin},
	} {
		p, err := ParsePlace(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := struct {
			name, kind, folder string
			login              Login
		}{p.Remote.Name, p.Remote.Type, p.Folder, p.Login}
		if got.name != want.name || got.kind != want.kind || got.folder != want.folder || got.login != want.login {
			t.Errorf("%s: %+v", text, got)
		}
		var options map[string]string
		for option, value := range p.Remote.Options {
			if options == nil {
				options = map[string]string{}
			}
			options[option] = value.String()
		}
		if diff := cmp.Diff(want.options, options); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{"", "nas", "nas:salvor", "sftp://nas/x", "sftp://u:secret@nas/x", "http://u@nas/x", "ftp://u@nas", "https://u@nas/x?y", "/", "sftp://u@/x"} {
		p, err := ParsePlace(text)
		if code, _ := fault.Code(err); err == nil || code != fault.Usage || fault.Hint(err) == "" || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

// TestDeclaredPlacesLoad and are the fleet's own: the record is where the snapshots are.
func TestDeclaredPlacesLoad(t *testing.T) {
	t.Parallel()
	for text, record := range map[string]string{
		"sftp://backup@nas.example.net": "salvor/home-1a2b3c4d/record", "sftp://backup@nas/disk": "disk/home-1a2b3c4d/record", "/mnt/nas": "mnt/nas/home-1a2b3c4d/record",
	} {
		files, _, err := controlrepo.Beginning{Name: "home"}.Commit()
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePlace(text)
		if err != nil {
			t.Fatal(err)
		}
		if p.Login != NoLogin {
			p.WithSecret(true)
		}
		content, err := p.Declare(files[fleet.File], fleet.Location{Path: "salvor/home-1a2b3c4d/record"})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fleet.File), content, 0o600); err != nil {
			t.Fatal(err)
		}
		lock := `{"schema":1,"record":{"path":"salvor/home-1a2b3c4d/record"},"stacks":{}}`
		if err := os.WriteFile(filepath.Join(dir, "salvor.lock"), []byte(lock), 0o600); err != nil {
			t.Fatal(err)
		}
		repo, err := controlrepo.Load(dir, "")
		if err != nil {
			t.Fatalf("%s: %v\n%s", text, err, content)
		}
		if got := repo.Fleet.Record; got.Remote != p.Remote.Name || got.Path != record {
			t.Errorf("%s: the record is at %s", text, got)
		}
		if s := repo.Fleet.Snapshots; len(s) != 1 || s[0].Where.Remote != p.Remote.Name || s[0].Where.Path != strings.TrimSuffix(record, "record")+"snapshots" {
			t.Errorf("%s: snapshots %+v", text, s)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	for _, text := range []string{"sftp://u@nas/x", "https://u@nas/x", "/mnt", "sftp://u@[::1]:22/a/../b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePlace(text)
		if err == nil && (fleet.ValidRemotePath(p.Folder) != nil || fleet.ValidName(p.Remote.Name) != nil) {
			t.Errorf("%q: %+v", text, p)
		}
	})
}
