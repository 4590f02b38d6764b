package githost

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/github"
	"salvor/internal/gitread"
)

// KeysFile is this clone's note of the deploy keys that the Git host was given.
const KeysFile = "deploy_keys"

// Kept is what became of the deploy keys with which hosts read the repository.
type Kept struct {
	Keeper  string   // what keeps them: "you/fleet at GitHub"; "" where a person does
	Read    []string // hosts that may read
	Added   []string // those of them that could not before
	Removed int      // how many keys may not any more
	Shut    bool     // no key that a host has no more may read
}

// KeepKeys has GitHub let every host of the commit read the repository and takes back
// keys that hosts have no more, once the commit is pushed. changed are keys by host that
// a commit of this command has changed, "" for a host that has none. Nothing is done
// without a token for that in fleet.yaml, or where hosts read from another server. Keys
// that Salvor did not add stay. After an error about one host the others have what they
// are to have. It may be called again.
func (g *Host) KeepKeys(ctx context.Context, changed map[string]string) (Kept, error) {
	at, is, err := g.atGitHub(ctx)
	if err != nil || !is {
		return Kept{}, err
	}
	k := keeper{host: g, at: at, want: map[string]string{}, gone: map[string]bool{}}
	maps.Copy(k.want, g.checkout.DeployKeys)
	for host, key := range changed {
		if before := k.want[host]; before != "" {
			k.gone[before] = true
		}
		k.want[host] = withoutComment(key)
		if key == "" {
			delete(k.want, host)
		}
	}
	for _, key := range k.want {
		delete(k.gone, key)
	}
	kept, err := k.keep(ctx)
	if err != nil {
		return kept, g.explain(err, at)
	}
	return kept, k.note()
}

// KeysDue is KeepKeys for a commit that has changed nothing, where GitHub was not given
// these keys from this clone, or unread says that a host can't read the repository.
func (g *Host) KeysDue(ctx context.Context, unread bool) (Kept, error) {
	at, is, err := g.atGitHub(ctx)
	if err != nil || !is {
		return Kept{}, err
	}
	file, err := g.checkout.Git.OwnFile(KeysFile)
	if err != nil {
		return Kept{}, err
	}
	if given, err := os.ReadFile(file); err == nil && !unread && string(given) == digest(at, g.checkout.DeployKeys) {
		return Kept{Keeper: keeps(at)}, nil
	}
	return g.KeepKeys(ctx, nil)
}

func keeps(at github.Name) string { return at.String() + " at GitHub" }

// withoutComment is a key as hosts/deploy_keys has it: "TYPE KEY".
func withoutComment(key string) string {
	fields := strings.Fields(key)
	return strings.Join(fields[:min(2, len(fields))], " ")
}

// atGitHub returns the repository, if hosts read it at GitHub by keys and fleet.yaml has
// a token for it.
func (g *Host) atGitHub(ctx context.Context) (github.Name, bool, error) {
	if g.checkout.Fleet.Git.Token.IsZero() {
		return github.Name{}, false, nil
	}
	source, err := g.Source(ctx)
	if err != nil {
		return github.Name{}, false, err
	}
	_, _, isSSH := gitread.SSHAddress(source.URL)
	at, is := g.opts.Site.Find(source.URL)
	return at, is && isSSH, nil
}

// api returns GitHub's, with the operators' token. Its secret was confirmed for that.
func (g *Host) api(ctx context.Context) (*github.API, error) {
	token, err := g.opts.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("git.token: %w", err)
	}
	return github.New(g.opts.Site, token)
}

// explain gives an error of GitHub the command that mends it.
func (g *Host) explain(err error, at github.Name) error {
	name, _ := g.checkout.Fleet.Git.Token.Secret()
	switch {
	case errors.Is(err, github.ErrToken), errors.Is(err, github.ErrPermission), errors.Is(err, github.ErrNone):
		return fault.WithHint(err, fmt.Sprintf("salvor secret set %s, with a token that may administer %s (Administration: read and write), then salvor apply", name, at))
	case errors.Is(err, github.ErrInUse):
		return fault.WithHint(err, "remove it from that repository or account: a host reads one repository; then salvor apply")
	case fault.Hint(err) == "":
		return fault.WithHint(err, "salvor apply tries again")
	}
	return err
}

// A keeper compares the deploy keys of a repository with those of a commit.
type keeper struct {
	host *Host
	at   github.Name
	want map[string]string // by host
	gone map[string]bool   // that hosts had, by whatever name they were added
	have map[string]bool   // keys of want that are there, and whether as they should be
	left []github.Key      // of hosts that this commit does not have

	renamed map[string]bool // keys of want whose title has another host's name
}

// keep lets hosts in before it shuts keys out. A host that GitHub refuses keeps no other
// from either; the first error is returned.
func (k *keeper) keep(ctx context.Context) (Kept, error) {
	kept := Kept{Keeper: keeps(k.at)}
	api, err := k.host.api(ctx)
	if err != nil {
		return kept, err
	}
	keys, err := api.Keys(ctx, k.at)
	if err != nil {
		return kept, err
	}
	drop := k.look(keys)
	// keys are added once their commit is pushed, so that one which was listed and is in no
	// newer commit is of no host, and a name which no newer commit has is a former one
	if len(k.left)+len(k.renamed) > 0 && k.host.checkout.Behind(ctx) == nil {
		drop = append(drop, k.left...)
		for key := range k.renamed {
			k.have[key] = false
		}
	}
	err = k.letIn(ctx, api, keys, &kept)
	for _, key := range drop {
		if dropErr := api.DeleteKey(ctx, k.at, key.ID); dropErr != nil {
			return kept, cmp.Or(err, dropErr)
		}
		kept.Removed++
	}
	kept.Shut = true
	return kept, err
}

// letIn adds the keys that are missing, and those again that may write or have a former name.
func (k *keeper) letIn(ctx context.Context, api *github.API, keys []github.Key, kept *Kept) (first error) {
	for _, key := range k.wrong(keys) { // GitHub changes none, and takes none twice
		if err := api.DeleteKey(ctx, k.at, key.ID); err != nil {
			return err
		}
	}
	for _, host := range slices.Sorted(maps.Keys(k.want)) {
		if !k.have[k.want[host]] {
			if err := k.add(ctx, api, host); err != nil {
				first = cmp.Or(first, err)
				continue
			}
			if !k.renamed[k.want[host]] {
				kept.Added = append(kept.Added, host)
			}
		}
		kept.Read = append(kept.Read, host)
	}
	return first
}

// look sorts the keys that are there, and returns those to be dropped.
func (k *keeper) look(keys []github.Key) (drop []github.Key) {
	k.have, k.renamed = map[string]bool{}, map[string]bool{}
	titles := map[string]string{}
	for host, key := range k.want {
		titles[key] = k.title(host)
	}
	for _, key := range keys {
		text := withoutComment(key.Key)
		title, wanted := titles[text]
		switch {
		case wanted:
			k.have[text] = key.ReadOnly
			if title != key.Title && strings.HasPrefix(key.Title, k.title("")) { // what a person calls it stays
				k.renamed[text] = true
			}
		case k.gone[text]:
			drop = append(drop, key)
		case strings.HasPrefix(key.Title, k.title("")):
			k.left = append(k.left, key)
		}
	}
	return drop
}

// wrong returns the keys of hosts that are to be added again.
func (k *keeper) wrong(keys []github.Key) []github.Key {
	return slices.DeleteFunc(slices.Clone(keys), func(key github.Key) bool {
		right, wanted := k.have[withoutComment(key.Key)]
		return !wanted || right
	})
}

// add lets a host in. Another operator may have done that since the keys were listed.
func (k *keeper) add(ctx context.Context, api *github.API, host string) error {
	err := api.AddKey(ctx, k.at, k.title(host), k.want[host])
	if !errors.Is(err, github.ErrInUse) {
		return err
	}
	keys, listErr := api.Keys(ctx, k.at)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	if k.look(keys); k.have[k.want[host]] {
		return nil
	}
	return err
}

// title is what a key of the fleet is called at GitHub.
func (k *keeper) title(host string) string {
	return "salvor " + k.host.checkout.Fleet.Name + "/" + host
}

// note remembers that GitHub has these keys.
func (k *keeper) note() error {
	file, err := k.host.checkout.Git.OwnFile(KeysFile)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, strings.NewReader(digest(k.at, k.want)), 0o600)
}

func digest(at github.Name, keys map[string]string) string {
	sum := sha256.New()
	fmt.Fprintln(sum, strings.ToLower(at.String()))
	for _, host := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintln(sum, host, keys[host])
	}
	return hex.EncodeToString(sum.Sum(nil)) + "\n"
}
