package lab_test

import (
	"encoding/json"
	"strings"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
	"salvor/internal/storage/drivetest"
)

func TestHostsFindGoogleDrive(t *testing.T) {
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "drive"})
	d, err := l.Drive(ctx, drivetest.Options{})
	must(t, err)
	d.Account("olga@example.com", 1000)
	d.AddClient(drivetest.Client{ID: "app"})
	var token struct {
		Access string `json:"access_token"`
	}
	must(t, json.Unmarshal([]byte(d.Grant("olga@example.com", "app", drivetest.ScopeDrive)), &token))
	about := []string{"curl", "-sS", "--max-time", "10", "-H", "Authorization: Bearer " + token.Access, "https://www.googleapis.com/drive/v3/about?fields=user(emailAddress)"}
	const want = `{"user":{"emailAddress":"olga@example.com"}}`

	h, err := l.Host(ctx, "alpha", lab.HostOptions{})
	must(t, err)
	for _, when := range []string{"a new host", "after a power cut", "a replaced host"} {
		got, err := h.Exec(ctx, about...)
		must(t, err)
		if got != want {
			t.Errorf("%s got %s", when, got)
		}
		switch when {
		case "a new host":
			must(t, h.Kill(ctx))
			must(t, h.PowerOn(ctx))
		case "after a power cut":
			must(t, h.Replace(ctx))
		}
	}
	environ := d.Environ()
	got, err := program(t, environ, append(about, "--cacert", strings.TrimPrefix(environ[1], "SSL_CERT_FILE="))...)
	if err != nil || strings.TrimSpace(got) != want {
		t.Errorf("the operator got %s, %v", got, err)
	}
	d.Fail(drivetest.Rule{Kind: drivetest.About, Fault: drivetest.Refuse(drivetest.ErrUserRateLimit)})
	if got, err := h.Exec(ctx, about...); err != nil || !strings.Contains(got, "userRateLimitExceeded") {
		t.Errorf("%s, %v", got, err)
	}
	t.Log(d.Counts())
}
