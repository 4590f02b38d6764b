package newfleet

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/yamldoc"
)

// A Place is where a new fleet's snapshots go: a remote, and a folder on it.
type Place struct {
	Remote fleet.Remote
	Folder string // the fleet gets one of its own in it
	Login  Login
}

// A Login is with what a place is reached.
type Login int

// The logins: none; a password; a password, or an SSH key that the fleet keeps.
const (
	NoLogin Login = iota
	Password
	PasswordOrKey
)

const placeHint = "sftp://USER@HOST/FOLDER, https://USER@HOST/FOLDER (WebDAV), or /FOLDER, a disk that every host has there"

// ParsePlace reads a place as a person writes it: sftp://USER@HOST[:PORT]/FOLDER, below the
// folder that the login begins in; https://USER@HOST/FOLDER for WebDAV; or /FOLDER, which
// every host has. Without a folder it is salvor.
func ParsePlace(text string) (Place, error) {
	bad := func(why string) (Place, error) {
		return Place{}, fault.WithCode(fault.WithHint(fmt.Errorf("%q is not a place for snapshots: %s", text, why), placeHint), fault.Usage)
	}
	if strings.HasPrefix(text, "/") {
		return diskPlace(text)
	}
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		if _, given := u.User.Password(); given {
			text = u.Redacted()
			return bad("it has a password, which is asked for, or read with --remote-password-file")
		}
	}
	switch {
	case err != nil:
		text = "this" // it may hold a password
		return bad("it is not an address")
	case u.Hostname() == "":
		return bad("it does not name a server")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("it has more than a server and a folder")
	case u.User.Username() == "":
		return bad("it does not name a user")
	}
	switch u.Scheme {
	case "sftp":
		return sftpPlace(u)
	case "https":
		return davPlace(u)
	}
	return bad("its type is not known")
}

func diskPlace(text string) (Place, error) {
	folder := strings.Trim(path.Clean(text), "/")
	if err := fleet.ValidRemotePath(folder); err != nil {
		return Place{}, fault.WithCode(fault.WithHint(errors.New("the top folder of a disk is not a place for snapshots"), placeHint), fault.Usage)
	}
	return Place{Remote: fleet.Remote{Name: "disk", Type: "local"}, Folder: folder}, nil
}

func sftpPlace(u *url.URL) (Place, error) {
	options := map[string]string{"host": u.Hostname(), "user": u.User.Username()}
	if port := u.Port(); port != "" && port != "22" {
		options["port"] = port
	}
	return serverPlace(u, "sftp", options, PasswordOrKey, cmp.Or(strings.Trim(path.Clean("/"+u.Path), "/"), "salvor"))
}

func davPlace(u *url.URL) (Place, error) {
	where := *u
	where.User = nil
	return serverPlace(u, "webdav", map[string]string{"url": where.String(), "vendor": "other", "user": u.User.Username()}, Password, "salvor")
}

func serverPlace(u *url.URL, kind string, options map[string]string, login Login, folder string) (Place, error) {
	p := Place{Remote: fleet.Remote{Name: nameOf(u.Hostname()), Type: kind, Options: map[string]secret.Setting{}}, Folder: folder, Login: login}
	for name, value := range options {
		p.Remote.Options[name] = secret.ParseSetting(value)
	}
	return p, fleet.ValidRemotePath(folder)
}

// WithSecret has the place reached with a secret of the fleet, and returns its name.
func (p *Place) WithSecret(isKey bool) (name string) {
	option, name := "pass", p.Remote.Name+"_password"
	if isKey {
		option, name = "key_pem", p.Remote.Name+"_key"
	}
	p.Remote.Options[option] = secret.ParseSetting("secret:" + name)
	return name
}

// Declare returns fleet.yaml with the place in it, for snapshots and for the record, which
// is at record while nothing says otherwise.
func (p Place) Declare(config []byte, record fleet.Location) ([]byte, error) {
	own := path.Join(p.Folder, path.Base(path.Dir(record.Path))) // as the record has it, a name that no other fleet has
	config, err := controlrepo.SetRemote(config, p.Remote)
	if err != nil {
		return nil, err
	}
	target := fmt.Sprintf("[{name: offsite, remote: %s, path: %s, every: 15m, keep: {last: 8, daily: 14, weekly: 8, monthly: 12}}]",
		yamldoc.Scalar(p.Remote.Name), yamldoc.Scalar(own+"/snapshots"))
	if config, err = yamldoc.Set(config, yamldoc.Path{"data", "snapshots"}, target); err != nil || own+"/record" == record.Path {
		return config, err
	}
	at := fmt.Sprintf("{remote: %s, path: %s}", yamldoc.Scalar(p.Remote.Name), yamldoc.Scalar(own+"/record"))
	return yamldoc.Set(config, yamldoc.Path{"record"}, at)
}

// nameOf calls a remote by its server.
func nameOf(host string) string {
	first, _, _ := strings.Cut(strings.ToLower(host), ".")
	if _, err := netip.ParseAddr(host); err == nil || fleet.ValidName(first) != nil {
		return "offsite"
	}
	return first
}
