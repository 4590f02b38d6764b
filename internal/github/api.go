package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"salvor/internal/terminal"
)

// A Repository is one, as GitHub has it.
type Repository struct {
	Name    Name
	Private bool
	SSH     string // its URL for Git over SSH
	HTTPS   string // its URL for Git over https
}

// Login returns the name of the account that the token belongs to.
func (a *API) Login(ctx context.Context) (string, error) {
	var answer struct {
		Login string `json:"login"`
	}
	if _, err := a.call(ctx, http.MethodGet, "/user", nil, &answer); err != nil {
		return "", fmt.Errorf("ask whose the token is: %w", err)
	}
	if !ownerPattern.MatchString(answer.Login) {
		return "", errors.New("ask whose the token is: the answer has no account")
	}
	return answer.Login, nil
}

// repository is a repository in an answer.
type repository struct {
	FullName string `json:"full_name"`
	Private  bool   `json:"private"`
	SSH      string `json:"ssh_url"`
	HTTPS    string `json:"clone_url"`
}

// checked returns it if its addresses are the site's, and are about itself: Git is given
// them.
func (r repository) checked(s Site) (Repository, error) {
	name, err := ParseName(r.FullName)
	if err != nil {
		return Repository{}, fmt.Errorf("the answer has the name %s", terminal.Line(r.FullName))
	}
	for _, address := range []string{r.SSH, r.HTTPS} {
		if of, is := s.Find(address); !is || !of.Is(name) {
			return Repository{}, fmt.Errorf("the answer has %s as an address of %s", terminal.Line(address), name)
		}
	}
	return Repository{Name: name, Private: r.Private, SSH: r.SSH, HTTPS: r.HTTPS}, nil
}

// Repository returns a repository; the error wraps ErrNone where there is none, or where
// the token may not see it.
func (a *API) Repository(ctx context.Context, n Name) (Repository, error) {
	var answer repository
	if _, err := a.call(ctx, http.MethodGet, "/repos/"+n.String(), nil, &answer); err != nil {
		return Repository{}, fmt.Errorf("%s: %w", n, err)
	}
	r, err := answer.checked(a.site)
	if err != nil {
		err = fmt.Errorf("%s: %w", n, err)
	}
	return r, err
}

// Empty reports whether a repository has no branch.
func (a *API) Empty(ctx context.Context, n Name) (bool, error) {
	var branches []struct {
		Name string `json:"name"`
	}
	if _, err := a.call(ctx, http.MethodGet, "/repos/"+n.String()+"/branches?per_page=1", nil, &branches); err != nil {
		return false, fmt.Errorf("branches of %s: %w", n, err)
	}
	return len(branches) == 0, nil
}

// Create makes a private repository without a commit, for the account that the token
// belongs to or for an organization. The error wraps ErrExists where there is one. A call
// whose answer was lost may have made it.
func (a *API) Create(ctx context.Context, n Name) (Repository, error) {
	who, err := a.Login(ctx)
	if err != nil {
		return Repository{}, err
	}
	path := "/orgs/" + n.Owner + "/repos"
	if strings.EqualFold(who, n.Owner) {
		path = "/user/repos"
	}
	ask := struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Private     bool   `json:"private"`
	}{n.Repository, "A fleet's control repository, made by Salvor", true}
	var answer repository
	if _, err := a.call(ctx, http.MethodPost, path, ask, &answer); err != nil {
		return Repository{}, fmt.Errorf("make the repository %s: %w", n, err)
	}
	made, err := answer.checked(a.site)
	if err == nil && !made.Private {
		err = errors.New("GitHub made it public")
	}
	if err != nil {
		err = fmt.Errorf("make the repository %s: %w", n, err)
	}
	return made, err
}

// A Key is a deploy key.
type Key struct {
	ID       int64  `json:"id"`
	Title    string `json:"title"`
	Key      string `json:"key"` // "ssh-ed25519 AAAA…"
	ReadOnly bool   `json:"read_only"`
}

const (
	pageSize = 100
	maxPages = 100
)

// Keys returns all deploy keys of a repository.
func (a *API) Keys(ctx context.Context, n Name) ([]Key, error) {
	var all []Key
	for page := range maxPages {
		var some []Key
		header, err := a.call(ctx, http.MethodGet, fmt.Sprintf("/repos/%s/keys?per_page=%d&page=%d", n, pageSize, page+1), nil, &some)
		if err != nil {
			return nil, fmt.Errorf("deploy keys of %s: %w", n, err)
		}
		all = append(all, some...)
		if !strings.Contains(header.Get("Link"), `rel="next"`) {
			return all, nil
		}
	}
	return nil, fmt.Errorf("deploy keys of %s: there are more than %d", n, maxPages*pageSize)
}

// AddKey lets the holder of a key read a repository. The error wraps ErrInUse where the
// key is one already.
func (a *API) AddKey(ctx context.Context, n Name, title, key string) error {
	ask := struct {
		Title    string `json:"title"`
		Key      string `json:"key"`
		ReadOnly bool   `json:"read_only"`
	}{title, key, true}
	if _, err := a.call(ctx, http.MethodPost, "/repos/"+n.String()+"/keys", ask, nil); err != nil {
		return fmt.Errorf("add the deploy key %q to %s: %w", title, n, err)
	}
	return nil
}

// DeleteKey takes a deploy key from a repository; nil for one that is gone already.
func (a *API) DeleteKey(ctx context.Context, n Name, id int64) error {
	_, err := a.call(ctx, http.MethodDelete, "/repos/"+n.String()+"/keys/"+strconv.FormatInt(id, 10), nil, nil)
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		err = fmt.Errorf("remove a deploy key of %s: %w", n, err)
	}
	return err
}
