package cloudflare

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

const appsPerPage = 1000 // an account has at most 500

// An App is an Access application: who may reach a hostname, or a path of it. Only what
// Salvor sets is here; an update resets what is not.
type App struct {
	ID        string   `json:"id,omitempty"`
	Name      string   `json:"name"`
	Type      string   `json:"type"`   // "self_hosted" for a hostname
	Domain    string   `json:"domain"` // HOSTNAME or HOSTNAME/PATH
	Domains   []string `json:"self_hosted_domains,omitempty"`
	Session   string   `json:"session_duration,omitempty"` // as "24h"
	Launcher  bool     `json:"app_launcher_visible"`
	Redirect  bool     `json:"auto_redirect_to_identity"`
	Providers []string `json:"allowed_idps,omitempty"` // IDs
	Tags      []string `json:"tags,omitempty"`         // that exist

	// Policies are objects with "name", "decision" and "include"; the first that is about
	// someone decides. They belong to this application alone.
	Policies []json.RawMessage `json:"policies"`

	// What a person may have set that opens the application wider.
	Preflight bool `json:"options_preflight_bypass"`
	Warp      bool `json:"allow_authenticate_via_warp"`
}

// Apps returns the account's applications with their policies.
func (c *Client) Apps(ctx context.Context) ([]App, error) {
	return list[App](ctx, c, request{method: http.MethodGet, path: c.access("apps"), permission: AppsEdit}, appsPerPage)
}

// PutApp makes an application, or changes the one that has its ID, and returns it as
// Cloudflare has it now. After an error that wraps ErrAway it may have been done.
func (c *Client) PutApp(ctx context.Context, a App) (App, error) {
	r := request{method: http.MethodPost, path: c.access("apps"), permission: AppsEdit}
	if a.ID != "" {
		r.method, r.path = http.MethodPut, r.path+"/"+url.PathEscape(a.ID)
		a.ID = ""
	}
	var err error
	if r.body, err = json.Marshal(a); err != nil {
		return App{}, err
	}
	var now App
	err = c.call(ctx, r, &now)
	return now, err
}

// DeleteApp removes an application; nil for one that is gone already.
func (c *Client) DeleteApp(ctx context.Context, id string) error {
	return gone(c.call(ctx, request{method: http.MethodDelete, path: c.access("apps") + "/" + url.PathEscape(id), permission: AppsEdit}, nil))
}

// Tags returns the names of the account's tags for applications.
func (c *Client) Tags(ctx context.Context) ([]string, error) {
	named, err := list[Named](ctx, c, request{method: http.MethodGet, path: c.access("tags"), permission: AppsEdit}, appsPerPage)
	var names []string
	for _, n := range named {
		names = append(names, n.Name)
	}
	return names, err
}

// CreateTag makes a tag for applications; nil for one that exists already.
func (c *Client) CreateTag(ctx context.Context, name string) error {
	body, err := json.Marshal(struct {
		Name string `json:"name"`
	}{name})
	if err != nil {
		return err
	}
	return there(c.call(ctx, request{method: http.MethodPost, path: c.access("tags"), body: body, permission: AppsEdit}, nil))
}

// Named is something that policies name by its ID.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"` // of a provider: "onetimepin", "google"…
}

// Providers returns the account's identity providers.
func (c *Client) Providers(ctx context.Context) ([]Named, error) {
	return list[Named](ctx, c, request{method: http.MethodGet, path: c.access("identity_providers"), permission: ProvidersRead}, appsPerPage)
}

// ServiceTokens returns the account's service tokens, without their secrets.
func (c *Client) ServiceTokens(ctx context.Context) ([]Named, error) {
	return list[Named](ctx, c, request{method: http.MethodGet, path: c.access("service_tokens"), permission: ServiceTokensRead}, appsPerPage)
}

func (c *Client) access(kind string) string { return "/accounts/" + c.account + "/access/" + kind }
