package remotes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/oauth"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// A DriveLogin is how a person lets a remote of type drive use their account.
type DriveLogin struct {
	Browser bool                   // in a browser on this computer, not with a code
	Code    func(oauth.Code)       // shows the code to enter
	URL     func(string)           // shows the address to open
	Secret  secret.Value           // the client's
	Ends    func(in time.Duration) // says that the login ends; not called where it does not
}

// driveTop is the folder that Salvor makes at the top of a Drive.
const driveTop = "salvor"

// ClientSecretFile reads what Google's console has for download: the id and the secret of
// an OAuth client.
func (d *Draft) ClientSecretFile(content []byte) error {
	var file struct {
		Installed struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		} `json:"installed"`
	}
	if err := json.Unmarshal(content, &file); err != nil || file.Installed.ID == "" || file.Installed.Secret == "" {
		return fault.WithCode(fault.WithHint(errors.New("this is not the file of an OAuth client for devices or desktops"),
			"in Google's console: APIs & Services, Credentials, the client, Download JSON; docs/remotes.md shows each step"), fault.Usage)
	}
	d.SetSecret("client_secret", secret.NewString(file.Installed.Secret))
	return d.Set("client_id", file.Installed.ID)
}

// ServiceAccountFile takes the key file of a service account.
func (d *Draft) ServiceAccountFile(content []byte) error {
	var file struct {
		Type string `json:"type"`
		Key  string `json:"private_key"`
	}
	if err := json.Unmarshal(content, &file); err != nil || file.Type != "service_account" || file.Key == "" {
		return fault.WithCode(fault.WithHint(errors.New("this is not the key file of a service account"),
			"in Google's console: IAM & Admin, Service Accounts, the account, Keys, Add key, JSON"), fault.Usage)
	}
	d.SetSecret("service_account_credentials", secret.New(content))
	return nil
}

// NeedsLogin reports whether a person has to log in for the remote.
func (d *Draft) NeedsLogin() bool {
	return d.Remote.Type == "drive" && !d.has("service_account_credentials")
}

// LogIn has a person allow the remote's OAuth client to use their Drive, and keeps the
// token.
func (d *Draft) LogIn(ctx context.Context, l DriveLogin) error {
	app := oauth.App{ID: d.Remote.Options["client_id"].String(), Secret: l.Secret, Scope: oauth.Scope(cmp.Or(d.Remote.Options["scope"].String(), string(oauth.Drive)))}
	if own, is := d.secrets["client_secret"]; is {
		app.Secret = own
	}
	var granted oauth.Grant
	var err error
	if l.Browser || app.Scope != oauth.DriveFile {
		granted, err = app.Browser(ctx, l.URL)
	} else {
		granted, err = app.Device(ctx, l.Code)
	}
	if err != nil {
		return d.loginError(err)
	}
	d.SetSecret("token", granted.Token)
	if granted.Ends > 0 {
		l.Ends(granted.Ends)
	}
	return nil
}

// loginError adds the next step to what Google says.
func (d *Draft) loginError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, oauth.ErrClient):
		hint = "compare the client's id and secret with those in Google's console (Credentials); nothing was changed"
	case errors.Is(err, oauth.ErrKind):
		hint = `make a client of the type "TVs and Limited Input devices", or add --browser for one of the type "Desktop app"`
	case errors.Is(err, oauth.ErrDenied):
		hint = "run the command again, and allow it; nothing was changed"
	case errors.Is(err, oauth.ErrExpired):
		hint = "run the command again: the code has to be entered before it expires; nothing was changed"
	}
	return fault.WithHint(fmt.Errorf("remote %s: %w", d.Remote.Name, err), hint)
}

// Settle makes the remote's top folder, or looks whether the one that it names is there.
func (d *Draft) Settle(ctx context.Context, r storage.Remote) error {
	if !d.has("root_folder_id") {
		id, err := storage.DriveFolder(ctx, storage.Remotes{d.Remote.Name: r}, d.Remote.Name, driveTop)
		if err != nil {
			return explained([]fleet.Remote{d.Remote}, err)
		}
		return d.Set("root_folder_id", id)
	}
	return d.Look(ctx, r)
}

// Look lists the remote's top folder, and changes nothing there.
func (d *Draft) Look(ctx context.Context, r storage.Remote) error {
	f, err := storage.Open(ctx, storage.Remotes{d.Remote.Name: r}, fleet.Location{Remote: d.Remote.Name})
	if err == nil {
		err = errors.Join(f.Test(ctx), f.Close(context.WithoutCancel(ctx)))
	}
	return explained([]fleet.Remote{d.Remote}, storage.Explain(err, false))
}
