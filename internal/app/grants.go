package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

// Grants returns what the commit lets others do and this clone's operator has not
// confirmed, see package grant. next is the lock that the command is to put in
// force: a stack whose seal is made from just these secrets already is given
// nothing by it.
func (a *App) Grants(ctx context.Context, next fleet.Lock) ([]grant.Grant, error) {
	missing, err := a.unconfirmed(ctx, next)
	if err != nil {
		return nil, err
	}
	remotes, err := a.unapproved(ctx, next)
	for _, r := range remotes {
		missing = append(missing, grant.Remote(r.remote.Name, r.question))
	}
	return missing, err
}

// unconfirmed is Grants without the remotes, whose approvals are kept by themselves.
func (a *App) unconfirmed(ctx context.Context, next fleet.Lock) ([]grant.Grant, error) {
	book, err := a.ledger(ctx)
	if err != nil {
		return nil, err
	}
	standing := slices.Concat(declaredGrants(a.Checkout.Repository), a.secretGrants())
	doubted, err := a.doubted(ctx)
	if err != nil {
		return nil, err
	}
	var missing []grant.Grant
	for _, g := range book.Missing(standing) {
		switch stack, isSecret := strings.CutPrefix(g.Name, "secret/"); {
		case a.renamedGrant(book, g), a.ownSecret(book, g):
		case isSecret && a.sealedAlready(ctx, stack, next):
		case isSecret:
			st, _ := a.Checkout.Fleet.Stack(stack)
			missing = append(missing, grant.Secret(stack, a.hostOf(st), g.Value(), a.whoseSecret(g.Value(), stack)))
		default:
			if i := slices.IndexFunc(doubted, g.Is); i >= 0 {
				g.Text += "; this is not signed with the fleet's key"
			}
			missing = append(missing, g)
		}
	}
	return missing, nil
}

// doubted are the grants of files that the fleet's key has not signed.
func (a *App) doubted(ctx context.Context) ([]grant.Grant, error) {
	unsigned, err := a.unsignedHere(ctx)
	lets := hostFiles(a.Checkout.Repository)
	var all []grant.Grant
	for path := range unsigned {
		all = append(all, lets[path]...)
	}
	return all, err
}

// ConfirmGrants has the operator confirm, by their names, what Grants returns, and
// remembers it in this clone. Without a way to ask it is an error.
func (a *App) ConfirmGrants(ctx context.Context, next fleet.Lock) error {
	missing, err := a.unconfirmed(ctx, next)
	if err != nil {
		return err
	}
	if err := a.confirm(ctx, missing); err != nil {
		return err
	}
	remotes, err := a.unapproved(ctx, next)
	for _, r := range remotes {
		err = errors.Join(err, a.allowRemote(ctx, r.remote))
	}
	return err
}

// mayEncrypt is ConfirmGrants for what is about to be encrypted to the operators and
// the recovery key.
func (a *App) mayEncrypt(ctx context.Context) error {
	missing, err := a.unconfirmed(ctx, a.Checkout.Lock)
	if err != nil {
		return err
	}
	return a.confirm(ctx, slices.DeleteFunc(missing, func(g grant.Grant) bool { return !g.Opens() }))
}

// mayChangeKeys is mayEncrypt for a change of the fleet's recipients: those that it
// removes need no confirmation, and one that renews repositories makes every seal
// again.
func (a *App) mayChangeKeys(ctx context.Context, c keyChange) error {
	lock := a.Checkout.Lock
	if c.removed != nil {
		lock = fleet.Lock{}
	}
	missing, err := a.unconfirmed(ctx, lock)
	if err != nil {
		return err
	}
	next := a.Checkout.Declared()
	next.Fleet.Recipients = c.next
	stays := declaredGrants(next)
	return a.confirm(ctx, slices.DeleteFunc(missing, func(g grant.Grant) bool {
		return g.Opens() && !slices.ContainsFunc(stays, g.Is) || !g.Opens() && c.removed == nil
	}))
}

// confirmedRecipients returns those of the fleet's recipients that this clone's
// operator confirmed.
func (a *App) confirmedRecipients(ctx context.Context) ([]string, error) {
	book, err := a.ledger(ctx)
	if err != nil {
		return nil, err
	}
	confirmed := fleet.Recipients{Operators: map[string]string{}}
	for name, recipient := range a.Checkout.Fleet.Recipients.Operators {
		if book.Has(grant.Operator(name, recipient)) {
			confirmed.Operators[name] = recipient
		}
	}
	if r := a.Checkout.Fleet.Recipients.Recovery; book.Has(grant.Recovery(r)) {
		confirmed.Recovery = r
	}
	if len(confirmed.All()) == 0 {
		return nil, grant.Unconfirmed(grant.Names(declaredGrants(a.Checkout.Repository)))
	}
	return confirmed.All(), nil
}

// granted notes what the operator of this clone has just asked for by its name.
func (a *App) granted(ctx context.Context, all ...grant.Grant) error {
	book, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	return a.keepLedger(ctx, book.With(all...))
}

func (a *App) confirm(ctx context.Context, missing []grant.Grant) error {
	if len(missing) == 0 {
		return nil
	}
	if a.opts.Grant == nil {
		return grant.Unconfirmed(grant.Names(missing))
	}
	for _, name := range grant.Names(missing) {
		if err := a.opts.Grant(grant.Named(missing, name)); err != nil {
			return err
		}
	}
	return a.granted(ctx, missing...)
}

// Delivered remembers, after an apply, what stacks were given without a question.
func (a *App) Delivered(ctx context.Context) error {
	book, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	var own []grant.Grant
	for _, g := range slices.Concat(declaredGrants(a.Checkout.Repository), a.secretGrants()) {
		if a.ownSecret(book, g) {
			own = append(own, g)
		}
	}
	return a.keepLedger(ctx, book.With(own...).Delivered())
}

// ownSecret reports whether a stack or a registry is given what this clone itself has
// set since the last apply: a secret of the stack's own, or one that nothing else uses.
func (a *App) ownSecret(book grant.Ledger, g grant.Grant) bool {
	kind, to, _ := strings.Cut(g.Name, "/")
	stack := ""
	switch name := g.Value(); {
	case kind != "secret" && kind != "registry" || !book.Made(name):
		return false
	case kind == "secret":
		stack = to
		if of, _, is := a.Identity.Store.Variable(name); is {
			return of == stack
		}
	}
	return !slices.ContainsFunc(a.SecretUses(g.Value()), func(u SecretUse) bool {
		return u.Stack != stack || u.Fleet != "" && u.Fleet != kind+" "+to
	})
}

// sealedAlready reports whether a command that puts a lock in force makes no new seal
// of a stack, by the signing keys that this clone trusts already. A stack that is
// placed is sealed whatever is there: anyone who pushes can put a file there.
func (a *App) sealedAlready(ctx context.Context, stack string, next fleet.Lock) bool {
	p, placed := next.Placement(stack)
	was := a.Checkout.Lock.Stacks[stack]
	if st, _ := a.Checkout.Fleet.Stack(stack); !placed || was.Host != p.Host || was.Epoch != p.Epoch || st.Host != "" && st.Host != p.Host {
		return false
	}
	s := &sealer{app: a}
	in, err := s.inputsOf(stack, p)
	if err != nil {
		return false
	}
	sealed, err := s.signed(in.Placement.Path())
	if err != nil {
		return false
	}
	pinned, err := readPin(ctx, a.Checkout.Git)
	return err == nil && sealed.Current(in, pinned) == nil
}

// renamedGrant reports whether a host has what it had under the name before.
func (a *App) renamedGrant(book grant.Ledger, g grant.Grant) bool {
	_, name, _ := strings.Cut(g.Name, "/")
	h, declared := a.Checkout.Fleet.Host(name)
	if !declared || h.Formerly == "" {
		return false
	}
	at, before := grant.Address(h.Name, reachedAt(h), h.Jump), grant.Address(h.Formerly, reachedAt(h), h.Jump)
	sealed, sealedBefore := hostGrant(a.Checkout.Repository, h.Name, h.Name), hostGrant(a.Checkout.Repository, h.Formerly, h.Name)
	return g.Is(at) && book.Has(before) || g.Is(sealed) && book.Has(sealedBefore)
}

// formerGrants are what renamed hosts had under the names before.
func formerGrants(repo *controlrepo.Repository) []grant.Grant {
	var all []grant.Grant
	for _, h := range repo.Fleet.Hosts {
		if h.Formerly == "" {
			continue
		}
		// a loaded repository has the machine's key under the new name already
		for _, name := range []string{h.Formerly, h.Name} {
			if repo.Recipients[name] != "" {
				all = append(all, hostGrant(repo, h.Formerly, name))
			}
		}
		all = append(all, grant.Address(h.Formerly, reachedAt(h), h.Jump))
	}
	return all
}

// declaredGrants are what fleet.yaml and hosts/ let others do.
func declaredGrants(repo *controlrepo.Repository) []grant.Grant {
	f := &repo.Fleet
	var all []grant.Grant
	for _, name := range slices.Sorted(maps.Keys(f.Recipients.Operators)) {
		all = append(all, grant.Operator(name, f.Recipients.Operators[name]))
	}
	if f.Recipients.Recovery != "" {
		all = append(all, grant.Recovery(f.Recipients.Recovery))
	}
	for _, h := range f.Hosts {
		if repo.Recipients[h.Name] != "" {
			all = append(all, hostGrant(repo, h.Name, h.Name))
		}
		all = append(all, grant.Address(h.Name, reachedAt(h), h.Jump))
	}
	for _, k := range repo.HostKeys {
		if k.Marker != "@revoked" {
			all = append(all, hostKeyGrant(f, k))
		}
	}
	return slices.Concat(all, loginGrants(repo), sourceGrants(f))
}

// loginGrants are the keys that hosts accept.
func loginGrants(repo *controlrepo.Repository) []grant.Grant {
	var all []grant.Grant
	for _, line := range repo.LetIn {
		fields := strings.Fields(line) // the loader has checked it: type, key, comment
		wire, _ := base64.StdEncoding.DecodeString(fields[1])
		all = append(all, grant.Login(reach.FingerprintOf(wire), strings.Join(fields[2:], " "), loginUsers(&repo.Fleet)))
	}
	return all
}

// hostGrant is that a name is the host which has the keys of another name, or of itself.
func hostGrant(repo *controlrepo.Repository, name, of string) grant.Grant {
	signer := ""
	if k := repo.HostSigners[of]; k != "" {
		signer = k.Fingerprint()
	}
	return grant.Host(name, repo.Recipients[of], signer)
}

// sourceGrants are from where hosts take what they run, and who is sent secrets.
func sourceGrants(f *fleet.Fleet) []grant.Grant {
	var all []grant.Grant
	for _, r := range f.Registries {
		for _, s := range []secret.Setting{r.Username, r.Password} {
			if name, is := s.Secret(); is {
				all = append(all, grant.Sent("registry "+r.Name, name))
			}
		}
	}
	if f.Git.URL != "" {
		all = append(all, grant.Source("git", "the repository", f.Git.URL, ""))
	}
	docker := map[string]fleet.Docker{"docker": f.Docker}
	for _, h := range f.Hosts {
		docker["docker/"+h.Name] = h.Docker
	}
	for _, name := range slices.Sorted(maps.Keys(docker)) {
		if d := docker[name]; d.URL != "" {
			sum := sha256.Sum256([]byte(d.Key))
			all = append(all, grant.Source(name, "Docker", d.URL, hex.EncodeToString(sum[:])))
		}
	}
	return all
}

// secretGrants are the secrets that stacks get, without whose they are.
func (a *App) secretGrants() []grant.Grant {
	var all []grant.Grant
	for _, st := range a.Checkout.Fleet.Stacks {
		if _, loads := a.stacks[st.Name]; !loads {
			continue
		}
		n := (&sealer{app: a}).needs(st.Name, a.hostOf(st))
		for _, file := range n.files {
			all = append(all, grant.Secret(st.Name, a.hostOf(st), strings.TrimPrefix(file, fleet.SecretDir+"/"), ""))
		}
		for _, key := range n.env {
			all = append(all, grant.Secret(st.Name, a.hostOf(st), st.Name+"/"+key, ""))
		}
	}
	return all
}

func (a *App) hostOf(st fleet.Stack) string {
	if st.Host != "" {
		return st.Host
	}
	return a.Checkout.Lock.Stacks[st.Name].Host
}

// whoseSecret returns whose secret a stack gets, "" for its own.
func (a *App) whoseSecret(name, stack string) string {
	of, _, _ := strings.Cut(strings.TrimSuffix(name, ".env"), "/")
	if _, isStack := a.Checkout.Fleet.Stack(of); isStack && of != stack {
		return "of stack " + of
	}
	var others []string
	for _, u := range a.SecretUses(name) {
		who := u.Fleet
		if u.Stack != "" {
			who = "stack " + u.Stack
		}
		if u.Stack != stack && !slices.Contains(others, who) {
			others = append(others, who)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return "that " + strings.Join(others, ", ") + " uses"
}

func reachedAt(h fleet.Host) string { return h.User + "@" + reach.KnownHostsName(h.Address, h.Port) }

func hostKeyGrant(f *fleet.Fleet, k controlrepo.HostKey) grant.Grant {
	return grant.HostKey(strings.TrimSpace(k.Marker+" "+strings.Join(k.Patterns, ",")), whoseKey(f, k), k.Type, reach.FingerprintOf(k.Key))
}

// whoseKey names the hosts that a line of known_hosts is about.
func whoseKey(f *fleet.Fleet, k controlrepo.HostKey) string {
	var names []string
	for _, h := range f.Hosts {
		if slices.Contains(k.Patterns, reach.KnownHostsName(h.Address, h.Port)) {
			names = append(names, h.Name)
		}
		if j := reach.ParseJump(h.Jump); h.Jump != "" && slices.Contains(k.Patterns, reach.KnownHostsName(j.Address, j.Port)) {
			names = append(names, h.Name+"'s jump host")
		}
	}
	return strings.Join(names, ", ")
}

// loginUsers returns the users as whom the keys of hosts/authorized_keys may log in.
func loginUsers(f *fleet.Fleet) string {
	by := map[string][]string{}
	for _, h := range f.Hosts {
		by[h.User] = append(by[h.User], h.Name)
	}
	if len(by) == 0 || len(by) == 1 && by["root"] != nil {
		return "root on every host"
	}
	var parts []string
	for _, user := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s on %s", user, strings.Join(by[user], ", ")))
	}
	return strings.Join(parts, "; ") + " (with sudo)"
}
