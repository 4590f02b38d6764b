// Package github is GitHub's REST API as far as a fleet needs it: its repository, and the
// deploy keys with which hosts read that. The API is https://docs.github.com/en/rest.
package github

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Site is a GitHub: where its API is, and the names by which Git reaches it.
type Site struct {
	API      string
	Hosts    []string
	HostKeys []string // "ssh-ed25519 AAAA…": those that its SSH servers have, as it publishes them; none where it does not
}

// Public is github.com. A token goes nowhere else.
func Public() Site {
	return Site{API: "https://api.github.com", Hosts: []string{"github.com", "ssh.github.com"}, HostKeys: publicHostKeys()}
}

// publicHostKeys are those of github.com, as of November 2026:
// docs.github.com/en/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints.
// One that is not among them is asked about, as any other server's.
func publicHostKeys() []string {
	return []string{
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
		"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg=",
		"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCj7ndNxQowgcQnjshcLrqPEiiphnt+VTTvDP6mHBL9j1aNUkY4Ue1gvwnGLVlOhGeYrnZaMgRK6+PKCUXaDbC7qtbW8gIkhL7aGCsOr/C56SJMy/BCZfxd1nWzAOxSDPgVsmerOBYfNqltV9/hWCqBywINIR+5dIg6JTJ72pcEpEjcYgXkE2YEFXV1JHnsKgbLWNlhScqb2UmyRkQyytRLtL+38TGxkxCflmO+5Z8CSSNY7GidjMIZ7Q4zMjA2n1nGrlTDkzwDCsw+wqFPGQA179cnfGWOWRVruj16z6XyvxvjJwbz0wQZ75XK5tKSb7FNyeIEs4TT4jk+S4dhPeAUC5y+bDYirYgM4GC7uEnztnZyaVWQ7B381AK4Qdrwt51ZqExKbQpTUNn+EjqoTwvqNj4kqx5QUCI0ThS/YkOxJCXmPUWZbhjpCg56i+2aB6CmK2JGhn57K5mj0MNdBXA4/WnwH6XoPWJzK5Nyu2zB3nAZp+S5hpQs+p1vN1/wsjk=",
	}
}

// Presents reports whether a key is one that the site publishes for its host.
func (s Site) Presents(host, key string) bool {
	return slices.Contains(s.Hosts, strings.ToLower(host)) && slices.Contains(s.HostKeys, key)
}

// A Name is that of a repository.
type Name struct{ Owner, Repository string }

// String is "OWNER/NAME".
func (n Name) String() string { return n.Owner + "/" + n.Repository }

// Is reports whether two name the same repository: GitHub does not tell upper case from
// lower case.
func (n Name) Is(o Name) bool { return strings.EqualFold(n.String(), o.String()) }

var (
	ownerPattern      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}$`)
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
)

// ParseName reads OWNER/NAME.
func ParseName(text string) (Name, error) {
	owner, name, _ := strings.Cut(text, "/")
	dots := strings.Trim(name, ".") == ""
	if !ownerPattern.MatchString(owner) || !repositoryPattern.MatchString(name) || dots || strings.HasSuffix(strings.ToLower(name), ".git") {
		return Name{}, fmt.Errorf("%q is not OWNER/NAME, as GitHub names a repository", text)
	}
	return Name{owner, name}, nil
}

// Find returns the repository that a Git URL names, if it is one of the site's: over SSH
// or https, as GitHub writes it.
func (s Site) Find(address string) (Name, bool) {
	if rest, scp := scpLike(address); scp {
		address = rest
	}
	u, err := url.Parse(address)
	if err != nil || !slices.Contains([]string{"ssh", "https", "http"}, u.Scheme) || !slices.Contains(s.Hosts, strings.ToLower(u.Hostname())) {
		return Name{}, false
	}
	name, err := ParseName(strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git"))
	return name, err == nil
}

// scpLike returns [USER@]HOST:PATH as a URL.
func scpLike(address string) (string, bool) {
	host, path, found := strings.Cut(address, ":")
	if !found || strings.Contains(host, "/") || strings.HasPrefix(path, "//") {
		return "", false
	}
	return "ssh://" + host + "/" + strings.TrimPrefix(path, "/"), true
}

// What can go wrong; the errors of an API wrap one of them where it is known.
var (
	// ErrToken means that GitHub does not know the token, or not any more.
	ErrToken = errors.New("GitHub refuses the token")
	// ErrPermission means that the token may not do that.
	ErrPermission = errors.New("the token may not do that")
	// ErrNone means that something does not exist, or that the token may not see it.
	ErrNone = errors.New("it does not exist, or the token may not see it")
	// ErrInUse means that a key is a deploy key already, here or of another repository.
	ErrInUse = errors.New("the key is in use already")
	// ErrExists means that the owner has a repository of that name.
	ErrExists = errors.New("a repository of that name exists")
)
