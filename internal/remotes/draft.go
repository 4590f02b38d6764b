package remotes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/rotation"
	"salvor/internal/secret"
	"salvor/internal/storage"
	"salvor/internal/suggest"
)

// A Draft is a remote that is about to be declared, or to get another login.
type Draft struct {
	Remote  fleet.Remote
	secrets map[string]secret.Value // by option
}

// NewDraft returns a remote of a type without options.
func NewDraft(name, kind string) (*Draft, error) {
	if err := fleet.ValidName(name); err != nil {
		return nil, err
	}
	if _, known := needed[kind]; !known {
		kinds := slices.Sorted(maps.Keys(needed))
		return nil, fault.WithHint(fmt.Errorf("there is no type of remote %q%s", kind, suggest.DidYouMean(kind, kinds)), "--type "+strings.Join(kinds, ", "))
	}
	return &Draft{Remote: fleet.Remote{Name: name, Type: kind, Options: map[string]secret.Setting{}}, secrets: map[string]secret.Value{}}, nil
}

// Redraft returns a declared remote. Its secrets are as they are.
func Redraft(r fleet.Remote) *Draft {
	r.Options = maps.Clone(r.Options)
	if r.Options == nil {
		r.Options = map[string]secret.Setting{}
	}
	return &Draft{Remote: r, secrets: map[string]secret.Value{}}
}

// needs are the options without which a type of remote can't be used.
type needs struct{ plain, secrets []string }

var needed = map[string]needs{
	"b2":       {[]string{"account"}, []string{"key"}},
	"crypt":    {[]string{"remote"}, nil},
	"drive":    {}, // see driveNeeds
	"dropbox":  {nil, []string{"token"}},
	"local":    {},
	"onedrive": {[]string{"drive_id", "drive_type"}, []string{"token"}},
	"s3":       {[]string{"provider", "access_key_id"}, []string{"secret_access_key"}},
	"sftp":     {[]string{"host", "user"}, []string{"pass"}},
	"webdav":   {[]string{"url", "user"}, []string{"pass"}},
}

// Missing returns the options that the remote needs and does not have yet: plain ones, and
// those that are secrets.
func (d *Draft) Missing() (plain, secrets []string) {
	n := needed[d.Remote.Type]
	switch {
	case d.Remote.Type == "drive" && !d.has("service_account_credentials"):
		n = needs{[]string{"client_id"}, []string{"client_secret"}}
	case d.Remote.Type == "sftp" && d.has("key_pem"):
		n.secrets = nil
	}
	unset := func(options []string) []string {
		return slices.DeleteFunc(slices.Clone(options), d.has)
	}
	return unset(n.plain), unset(n.secrets)
}

func (d *Draft) has(option string) bool { return !d.Remote.Options[option].IsZero() }

// Set sets an option that is not a secret.
func (d *Draft) Set(option, value string) error {
	if storage.IsSecret(d.Remote.Type, option) {
		return fault.WithCode(fault.WithHint(fmt.Errorf("%s is a secret, and other users of this computer can read arguments", option),
			"--secret "+option+"=FILE, or leave it out to be asked"), fault.Usage)
	}
	d.Remote.Options[option] = secret.ParseSetting(value)
	return nil
}

// SetSecret sets an option that is a secret, which is kept under the name that it has, or
// else under one that is made of the remote's name.
func (d *Draft) SetSecret(option string, value secret.Value) {
	if _, is := d.Remote.Options[option].Secret(); !is {
		d.Remote.Options[option] = secret.ParseSetting("secret:" + d.secretName(option))
	}
	d.secrets[option] = value
}

// secretName is what init calls them, too.
func (d *Draft) secretName(option string) string {
	switch option {
	case "pass":
		option = "password"
	case "key_pem":
		option = "key"
	}
	return d.Remote.Name + "_" + option
}

// Complete sets what can be set without a question: the passwords of a crypt remote, and
// where Google Cloud Storage is.
func (d *Draft) Complete() error {
	if d.Remote.Type == "s3" && d.Remote.Options["provider"].String() == "GCS" && !d.has("endpoint") {
		return d.Set("endpoint", "https://storage.googleapis.com")
	}
	if d.Remote.Type != "crypt" {
		return nil
	}
	for _, option := range []string{"password", "password2"} {
		if d.has(option) {
			continue
		}
		made, err := rotation.Generate(passwordLength)
		if err != nil {
			return err
		}
		d.SetSecret(option, made)
	}
	return nil
}

const passwordLength = 40

// Secrets returns the new values by the names of their secrets.
func (d *Draft) Secrets() map[string]secret.Value {
	all := map[string]secret.Value{}
	for option, value := range d.secrets {
		name, _ := d.Remote.Options[option].Secret()
		all[name] = value
	}
	return all
}

// NewSecrets returns the names of secrets that options of these kinds will have, sorted.
func (d *Draft) NewSecrets(options ...string) []string {
	var names []string
	for _, option := range options {
		names = append(names, d.secretName(option))
	}
	return names
}

// Check reports what is wrong with the declaration, before anyone is asked to log in: a
// token that is missing is not.
func (d *Draft) Check(f *fleet.Fleet) error {
	all := storage.Remotes{d.Remote.Name: storage.Unresolved(d.Remote)}
	for _, r := range f.Remotes {
		if r.Name != d.Remote.Name {
			all[r.Name] = storage.Unresolved(r)
		}
	}
	err := all.CheckOne(d.Remote.Name)
	if errors.Is(err, storage.ErrToken) {
		return nil
	}
	return d.explained(err)
}

// explained adds the command that mends a declaration.
func (d *Draft) explained(err error) error {
	if errors.Is(err, storage.ErrNoStorage) {
		return fault.WithCode(fault.WithHint(fmt.Errorf("remote %s: %w", d.Remote.Name, err),
			"--team-drive ID for a shared drive of which it is a member, or --impersonate USER with domain-wide delegation"), fault.Usage)
	}
	if err != nil {
		err = fault.WithCode(fmt.Errorf("remote %s: %w", d.Remote.Name, err), fault.Usage)
	}
	return err
}

// Resolved is the remote with its new secrets; get gives the others.
func (d *Draft) Resolved(ctx context.Context, get func(ctx context.Context, option string) (secret.Value, error)) (storage.Remote, error) {
	r := storage.Remote{Type: d.Remote.Type, Options: map[string]secret.Value{}}
	for option, setting := range d.Remote.Options {
		value, isNew := d.secrets[option]
		_, isSecret := setting.Secret()
		switch {
		case isNew:
		case isSecret:
			var err error
			if value, err = get(ctx, option); err != nil {
				return r, fmt.Errorf("remote %s, option %s: %w", d.Remote.Name, option, err)
			}
		default:
			value = secret.NewString(setting.String())
		}
		r.Options[option] = value
	}
	return r, nil
}
