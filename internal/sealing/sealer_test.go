package sealing

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/confirmation"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

const printedFleet = `hosts:
  alpha: {address: 192.0.2.10}
registries:
  registry.example.net: {username: ann, password: secret:registry}
secrets:
  registry: {command: [cat, values/registry]}
  token: {command: [cat, values/token]} # in the safe
  notes/DB: {command: [cat, values/db]}
`

// printValue has cat print another value, of which Git knows nothing.
func (h *house) printValue(name, value string) {
	h.t.Helper()
	file := filepath.Join(h.Dir, "values", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(value+"\n"), 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

// TestWhatProgramsPrintIsSealed seals values that programs print, finds the seal
// current without running them, and out of date once a revision was raised.
func TestWhatProgramsPrintIsSealed(t *testing.T) {
	t.Parallel()
	h := houseOf(t, printedFleet, houseStack, nil)
	for name, value := range map[string]string{"registry": "r-1", "token": "t-1", "db": "db-1"} {
		h.printValue(name, value)
	}
	s := h.sealer()
	h.seal(s, nil)
	first := h.sealed()
	if string(first.Env["DB"]) != "db-1" || string(first.Secrets["secrets/token"]) != "t-1" || string(first.Registries["registry.example.net"].Password) != "r-1" {
		t.Errorf("sealed %q, %q, %q", first.Env, first.Secrets, first.Registries["registry.example.net"].Password)
	}
	h.printValue("token", "t-2")
	if why := h.why(s) + h.why(h.sealer()); why != "" {
		t.Errorf("out of date although Git knows nothing: %s", why)
	}
	h.config("[cat, values/token]}", "[cat, values/token], revision: 2}")
	s = h.sealer()
	if why := h.why(s); why != seal.ErrStale.Error() {
		t.Errorf("a raised revision left the seal: %q", why)
	}
	h.seal(s, nil)
	if again := h.sealed(); string(again.Secrets["secrets/token"]) != "t-2" {
		t.Errorf("sealed %q", again.Secrets)
	}
	if why := h.why(s); why != "" {
		t.Errorf("sealed again and out of date: %s", why)
	}
	if err := os.Remove(filepath.Join(h.Dir, "values/token")); err != nil {
		t.Fatal(err)
	}
	if files, _, err := h.sealer().Seal(t.Context(), h.lock, []string{"notes"}, nil); err == nil || !strings.Contains(err.Error(), "token") || files != nil {
		t.Errorf("sealed %d files although a program fails: %v", len(files), err)
	}
}

// TestASealHoldsWhatItsStackNeeds, and nothing that it does not.
func TestASealHoldsWhatItsStackNeeds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	got := h.sealed()
	if got.Host != "alpha" || got.Stack != "notes" || got.Epoch != 1 || got.Inputs == "" {
		t.Errorf("sealed for %s, %s, %d, %q", got.Host, got.Stack, got.Epoch, got.Inputs)
	}
	want := agentapi.SealedFile{
		Remotes:    map[string]agentapi.SealedRemote{"box": {Type: "crypt", Options: map[string][]byte{"remote": []byte("disk:/srv/snapshots"), "password": []byte("b-1")}}, "disk": {Type: "local"}},
		Registries: map[string]agentapi.SealedLogin{"registry.example.net": {Username: []byte("ann"), Password: []byte("r-1")}},
		Secrets:    map[string][]byte{"secrets/token": []byte("t-1"), "DB": []byte("db-1")}, Env: map[string][]byte{"DB": []byte("db-1")},
	}
	got = agentapi.SealedFile{Remotes: got.Remotes, Registries: got.Registries, Secrets: got.Secrets, Env: got.Env}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestASealIsOutOfDateWhenWhatItIsMadeFromChanged, and only then.
func TestASealIsOutOfDateWhenWhatItIsMadeFromChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	encrypt := func(name, value string) map[string][]byte { return h.Encrypt(t, name, value) }
	edit := func(path, old, changed string) map[string][]byte {
		before := string(h.content(path))
		if !strings.Contains(before, old) {
			t.Fatalf("no %q in %s", old, path)
		}
		return map[string][]byte{path: []byte(strings.Replace(before, old, changed, 1))}
	}
	const stale = "its secrets, remotes or recipients changed"
	for what, c := range map[string]struct {
		files map[string][]byte
		why   string
	}{
		"nothing":                     {nil, ""},
		"a secret that a service has": {encrypt("token", "t-2"), stale},
		"a variable":                  {encrypt("notes/DB", "db-2"), stale},
		"a variable of another stack": {encrypt("blog/KEY", "k-2"), ""},
		"the remote's password":       {encrypt("box_password", "b-2"), stale},
		"the registry's password":     {encrypt("registry", "r-2"), stale},
		"the remote":                  {edit(fleet.File, "disk:/srv/snapshots", "disk:/srv/others"), stale},
		"a remote that it has not":    {edit(fleet.File, "  unused: {type: local}\n", ""), ""},
		"the registry's user":         {edit(fleet.File, "registry.example.net: {username: ann", "registry.example.net: {username: bob"), stale},
		"the host's key":              {map[string][]byte{"hosts/alpha.pub": hostkey.Keys{Recipient: h.Ann.Recipient, Signer: h.Signer.Public()}.File()}, stale},
		"the image":                   {edit("stacks/notes/compose.yaml", "app:1", "app:2"), ""},
		"another registry":            {edit("stacks/notes/compose.yaml", "registry.example", "other.example"), stale},
	} {
		before := map[string][]byte{}
		for path := range c.files {
			before[path] = h.content(path)
		}
		if len(c.files) > 0 {
			h.Commit(t, c.files)
		}
		if why := h.why(h.sealer()); why != c.why {
			t.Errorf("%s: out of date because %q, want %q", what, why, c.why)
		}
		if len(c.files) > 0 {
			h.Commit(t, before)
		}
	}
	s, at := h.sealer(), h.lock.Stacks["notes"]
	later, moved := at, at
	later.Epoch, moved.Repositories = 2, map[string]string{"offsite": "another"}
	for _, p := range []fleet.Placement{later, moved} {
		h.lock.Stacks["notes"] = p
		if why := h.why(s); why != stale {
			t.Errorf("placed as %+v: out of date because %q", p, why)
		}
	}
}

// TestABrokenStackKeepsItsSeal: what it needs is not known.
func TestABrokenStackKeepsItsSeal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	o := h.open()
	s := New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, nil)
	if why := h.why(s); why != "no sealed file yet" {
		t.Fatal(why)
	}
	for i := range o.Checkout.Fleet.Stacks {
		o.Checkout.Fleet.Stacks[i].Broken = true
	}
	if why := h.why(s); why != "" {
		t.Errorf("out of date because %q", why)
	}
}

// TestAHostWithoutAKeyGetsNoSeal, the error names it.
func TestAHostWithoutAKeyGetsNoSeal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.lock.Stacks["notes"] = fleet.Placement{Host: "beta", Epoch: 1}
	if _, err := h.sealer().Stale(t.Context(), h.lock); err == nil || !strings.Contains(err.Error(), "beta has no recipient in hosts/") {
		t.Errorf("which are out of date: %v", err)
	}
	if files, _, err := h.sealer().Seal(t.Context(), h.lock, []string{"notes"}, nil); err == nil || !strings.Contains(err.Error(), "beta has no recipient in hosts/") || files != nil {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestS07APushedSealIsSealedAgain: a seal that the fleet has not signed is not current,
// and the plan says why.
func TestS07APushedSealIsSealedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	h.Commit(t, h.made)
	where := seal.Placement{Host: "alpha", Stack: "notes", Epoch: 1}.Path()
	h.Commit(t, map[string][]byte{where: append([]byte("\n"), h.made[where]...)})
	h.made = map[string][]byte{}
	if why := h.why(h.sealer()); !strings.Contains(why, where) || !strings.Contains(why, sign.ErrUntrusted.Error()) && !strings.Contains(why, "signature") {
		t.Errorf("out of date because %q", why)
	}
	s := h.sealer()
	h.seal(s, nil)
	if why := h.why(s); why != "" {
		t.Errorf("sealed again and out of date: %s", why)
	}
}

// TestTheSigningKeyThatIsReplacedSealsNothing: while both are trusted, only what the newer
// one has signed is current.
func TestTheSigningKeyThatIsReplacedSealsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	private, err := sign.NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	next, err := sign.ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	both := sign.Keys{next.Public(), h.Signer.Public()}
	h.Commit(t, map[string][]byte{fleet.FleetSignersFile: both.Signers("home")})
	if _, err := h.open().Confirmed.Trust(both.Fingerprints()); err != nil {
		t.Fatal(err)
	}
	if trusted, err := h.open().Confirmed.Trusted(); err != nil || !slices.Equal(trusted, both) {
		t.Fatalf("%v, %v", trusted, err)
	}
	if why := h.why(h.sealer()); !strings.Contains(why, sign.ErrUntrusted.Error()) {
		t.Errorf("out of date because %q", why)
	}
}

// TestTheSealsOfOtherHostsGo when a stack has moved: theirs with their signatures, and no
// recovery file.
func TestTheSealsOfOtherHostsGo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.seal(h.sealer(), nil)
	h.Commit(t, h.made)
	h.Commit(t, map[string][]byte{
		"sealed/beta/notes.age": []byte("b"), "sealed/beta/notes.age.sig": []byte("s"), "sealed/beta/blog.age": []byte("another stack's"), "sealed/gamma/notes.age": []byte("g"),
	})
	files := h.seal(h.sealer(), nil)
	var gone, written []string
	for path, content := range files {
		if content == nil {
			gone = append(gone, path)
		} else {
			written = append(written, path)
		}
	}
	slices.Sort(gone)
	slices.Sort(written)
	if diff := cmp.Diff([]string{"sealed/beta/notes.age", "sealed/beta/notes.age.sig", "sealed/gamma/notes.age"}, gone) +
		cmp.Diff([]string{"sealed/alpha/notes.age", "sealed/alpha/notes.age.sig"}, written); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestTheDigestIsKnownOfASealThatIsCurrent: what was made here comes before the commit's.
func TestTheDigestIsKnownOfASealThatIsCurrent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sealer()
	if none, err := s.Current("alpha", "notes"); err != nil || none.File != nil || none.Signature != nil || none.Inputs != "" {
		t.Errorf("before it is made: %+v, %v", none, err)
	}
	h.seal(s, nil)
	path := seal.Placement{Host: "alpha", Stack: "notes"}.Path()
	made, err := s.Current("alpha", "notes")
	if err != nil || string(made.File) != string(h.made[path]) || string(made.Signature) != string(h.made[seal.SignaturePath(path)]) || made.Inputs != h.sealed().Inputs {
		t.Errorf("as it is made: %q, want %q; %v", made.Inputs, h.sealed().Inputs, err)
	}
	h.Commit(t, h.made)
	h.made = map[string][]byte{}
	s = h.sealer()
	if unseen, err := s.Current("alpha", "notes"); err != nil || unseen.Inputs != "" || string(unseen.File) != string(made.File) {
		t.Errorf("a seal that was not looked at: %q, %v", unseen.Inputs, err)
	}
	if why := h.why(s); why != "" {
		t.Fatal(why)
	}
	if seen, err := s.Current("alpha", "notes"); err != nil || seen.Inputs != made.Inputs {
		t.Errorf("a seal that is current: %q, %v", seen.Inputs, err)
	}
}

func remote(kind string, pairs ...string) fleet.Remote {
	r := fleet.Remote{Name: "nas", Type: kind, Options: map[string]secret.Setting{}}
	for i := 0; i < len(pairs); i += 2 {
		r.Options[pairs[i]] = secret.ParseSetting(pairs[i+1])
	}
	return r
}

// TestS06TheFleetsKeysAreDeliveredNowhere: by name, under another name, or to a
// remote.
func TestS06TheFleetsKeysAreDeliveredNowhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	o := h.open()
	content, err := o.Needs.File("secrets/fleet_ssh_key")
	if err != nil || content == nil {
		t.Fatal(len(content), err)
	}
	copied := o.Needs.Over(map[string][]byte{"secrets/innocent": content}) // anyone who can push can copy what they can't read
	for what, deliver := range map[string]func(*Sealer) error{
		"a file": func(s *Sealer) error {
			_, err := s.needs.Store().DeliverFile(t.Context(), "secrets/fleet_ssh_key")
			return err
		},
		"a remote": func(s *Sealer) error {
			_, err := s.Remote(t.Context(), remote("webdav", "pass", "secret:fleet_ssh_key"))
			return err
		},
		"a registry": func(s *Sealer) error {
			_, err := s.Login(t.Context(), fleet.Registry{Name: "r", Username: secret.ParseSetting("u"), Password: secret.ParseSetting("secret:fleet_ssh_key")})
			return err
		},
		"a registry's user": func(s *Sealer) error {
			_, err := s.Login(t.Context(), fleet.Registry{Name: "r", Username: secret.ParseSetting("secret:fleet_sign_key"), Password: secret.ParseSetting("p")})
			return err
		},
		"a copy": func(*Sealer) error { _, err := copied.Store().DeliverFile(t.Context(), "secrets/innocent"); return err },
	} {
		if err := deliver(h.sealer()); err == nil || !strings.Contains(err.Error(), "stays with the operators") {
			t.Errorf("%s is delivered: %v", what, err)
		}
	}
}

// TestS01NoRemoteIsSealedUnasked: where no one can approve what a remote leads to, a seal is not made.
func TestS01NoRemoteIsSealedUnasked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	o := h.OpenKeys(t, h.Identity, confirmation.Options{})
	approvals, err := o.Checkout.Git.OwnFile("remotes")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(approvals); err != nil {
		t.Fatal(err) // what the fleet was made with
	}
	files, _, err := New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, nil).Seal(t.Context(), h.lock, []string{"notes"}, nil)
	if !errors.Is(err, confirmation.ErrUnapproved) || files != nil {
		t.Errorf("%v, %v", slices.Sorted(maps.Keys(files)), err)
	}
}

// TestWhatIsMissingIsNamed: the remote's option, the registry.
func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.sealer()
	for want, deliver := range map[string]func() error{
		"remote nas, option pass: ": func() error { _, err := s.Remote(t.Context(), remote("webdav", "pass", "secret:gone")); return err },
		"registry r: ": func() error {
			_, err := s.Login(t.Context(), fleet.Registry{Name: "r", Username: secret.ParseSetting("u"), Password: secret.ParseSetting("secret:gone")})
			return err
		},
	} {
		if err := deliver(); !errors.Is(err, secret.ErrNotFound) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s…", err, want)
		}
	}
}
