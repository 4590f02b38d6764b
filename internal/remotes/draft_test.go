package remotes

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
)

func draft(t *testing.T, kind string, pairs ...string) *Draft {
	t.Helper()
	d, err := NewDraft("box", kind)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if err := d.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestWhatADraftNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		draft          *Draft
		plain, secrets []string
	}{
		"drive":        {draft(t, "drive"), []string{"client_id"}, []string{"client_secret"}},
		"sftp":         {draft(t, "sftp", "host", "nas"), []string{"user"}, []string{"pass"}},
		"s3":           {draft(t, "s3", "provider", "GCS", "access_key_id", "x"), []string{}, []string{"secret_access_key"}},
		"a local disk": {draft(t, "local"), nil, nil},
	} {
		plain, secrets := c.draft.Missing()
		if diff := cmp.Diff([][]string{c.plain, c.secrets}, [][]string{plain, secrets}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := NewDraft("box", "gdrive"); err == nil || !strings.Contains(err.Error(), `did you mean "drive"`) {
		t.Error(err)
	}
	if _, err := NewDraft("Box!", "drive"); err == nil {
		t.Error("a name that is none is taken")
	}
}

// TestASecretIsNotAnArgument, and its name is the remote's.
func TestASecretIsNotAnArgument(t *testing.T) {
	d := draft(t, "sftp")
	if code, _ := fault.Code(d.Set("pass", "canary")); code != fault.Usage {
		t.Errorf("exit code %d", code)
	}
	d.SetSecret("pass", secret.NewString("canary"))
	if got := d.Remote.Options["pass"].String(); got != "secret:box_password" {
		t.Errorf("pass: %s", got)
	}
	if got := d.Secrets()["box_password"]; string(got.Reveal()) != "canary" {
		t.Errorf("%v", d.Secrets())
	}
	renewed := Redraft(fleet.Remote{Name: "box", Type: "drive", Options: map[string]secret.Setting{"token": secret.ParseSetting("secret:old_name")}})
	renewed.SetSecret("token", secret.NewString("new"))
	if _, kept := renewed.Secrets()["old_name"]; !kept {
		t.Errorf("a renewed token is elsewhere: %v", renewed.Remote.Options)
	}
}

func TestCompleting(t *testing.T) {
	gcs, crypt := draft(t, "s3", "provider", "GCS"), draft(t, "crypt", "remote", "drive:x")
	for _, d := range []*Draft{gcs, crypt} {
		if err := d.Complete(); err != nil {
			t.Fatal(err)
		}
	}
	if got := gcs.Remote.Options["endpoint"].String(); got != "https://storage.googleapis.com" {
		t.Errorf("GCS is at %q", got)
	}
	if len(crypt.Secrets()) != 2 || len(crypt.Secrets()["box_password"].Reveal()) != passwordLength {
		t.Errorf("crypt has %d passwords", len(crypt.Secrets()))
	}
	none := func(context.Context, string) (secret.Value, error) { return secret.Value{}, secret.ErrNotFound }
	if r, err := crypt.Resolved(t.Context(), none); err != nil || string(r.Options["remote"].Reveal()) != "drive:x" || r.Options["password2"].IsZero() {
		t.Errorf("%v, %v", r, err)
	}
}

// TestFilesOfGoogle are taken for what they are, and nothing of them is shown.
func TestFilesOfGoogle(t *testing.T) {
	d := draft(t, "drive")
	for name, take := range map[string]func([]byte) error{"client": d.ClientSecretFile, "service account": d.ServiceAccountFile} {
		for _, content := range []string{"", "{}", `{"type": "authorized_user", "private_key": "canary"}`, `{"web": {"client_id": "canary", "client_secret": "canary"}}`} {
			err := take([]byte(content))
			if code, _ := fault.Code(err); code != fault.Usage || fault.Hint(err) == "" || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: %s: %v", name, content, err)
			}
		}
	}
	if len(d.Remote.Options) > 0 {
		t.Errorf("%v", d.Remote.Options)
	}
}
