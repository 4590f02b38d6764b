package needs_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/checkout"
	"salvor/internal/fleet"
	"salvor/internal/needs"
	"salvor/internal/needs/needstest"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
)

const declared = `hosts:
  alpha: {address: 192.0.2.10}
remotes:
  box: {type: crypt, remote: "disk:/srv/snapshots", password: secret:box_password}
  disk: {type: local}
  spare: {type: local}
registries:
  ghcr.io: {username: ann, password: secret:token}
  registry.example.net: {username: ann, password: secret:registry}
data: {snapshots: [{name: offsite, remote: box, path: snapshots, every: 15m}]}
`

const notes = `x-salvor: {host: alpha}
services:
  app:
    image: registry.example.net/app:1
    environment: {PASSWORD: "${DB}"}
    secrets: [token]
secrets:
  token: {external: true}
`

// home is a fleet whose stack notes is to run on alpha, which has a recipient.
func home(t *testing.T) *needstest.Fleet {
	t.Helper()
	host, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return needstest.New(t,
		map[string]string{fleet.File: declared, "stacks/notes/compose.yaml": notes, "hosts/alpha.pub": host.Recipient + "\n"},
		map[string]string{"token": "t-1", "registry": "r-1", "box_password": "b-1", "notes/DB": "d-1"})
}

func named[T any](all []T, name func(T) string) (names []string) {
	for _, one := range all {
		names = append(names, name(one))
	}
	slices.Sort(names)
	return names
}

// TestAStackNeedsOnlyItsOwn: targets' remotes with those they wrap, the registries of its
// images, and the secrets that it mounts or interpolates.
func TestAStackNeedsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	n := home(t).Open(t, checkout.Committed).Needs
	need := n.Of("notes", "alpha", fleet.Lock{})
	if diff := cmp.Diff([]string{"box", "disk"}, named(need.Remotes, func(r fleet.Remote) string { return r.Name })); diff != "" {
		t.Errorf("remotes (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"registry.example.net"}, named(need.Registries, func(r fleet.Registry) string { return r.Name })); diff != "" {
		t.Errorf("registries (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"DB"}, need.Env); diff != "" {
		t.Errorf("variables (-want +got)\n%s", diff)
	}
	if len(need.Files) != 1 || !strings.HasSuffix(need.Files[0], "token") {
		t.Errorf("files %q", need.Files)
	}
}

// TestUsesNameEveryPlace where a secret is needed, sorted.
func TestUsesNameEveryPlace(t *testing.T) {
	t.Parallel()
	n := home(t).Open(t, checkout.Committed).Needs
	for name, want := range map[string][]string{
		"token":        {"notes/app", "registry ghcr.io"},
		"registry":     {"registry registry.example.net"},
		"box_password": {"remote box"},
		"notes/DB":     {"notes (environment)"},
		"other":        nil,
	} {
		if diff := cmp.Diff(want, named(n.Uses(name), needs.Use.String)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// TestInputsChangeWithWhatIsSealed: with a secret's file that the stack needs, and not
// with another one; none of them has a value in it.
func TestInputsChangeWithWhatIsSealed(t *testing.T) {
	t.Parallel()
	f := home(t)
	n := f.Open(t, checkout.Committed).Needs
	place := fleet.Placement{Host: "alpha", Epoch: 1}
	inputs := func(n *needs.Needs, p fleet.Placement) seal.Inputs {
		t.Helper()
		in, err := n.Inputs("notes", fleet.Lock{Stacks: map[string]fleet.Placement{"notes": p}})
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	before := inputs(n, place)
	for name, part := range before.Parts {
		for _, value := range []string{"t-1", "r-1", "b-1", "d-1"} {
			if strings.Contains(string(part), value) {
				t.Errorf("%s holds the value %s", name, value)
			}
		}
	}
	for name, changes := range map[string]bool{"token": true, "registry": true, "box_password": true, "notes/DB": true, "unused": false} {
		after := inputs(n.Over(f.Encrypt(t, name, "another")), place)
		if cmp.Equal(before, after) == changes {
			t.Errorf("%s: changed %v, want %v", name, !changes, changes)
		}
	}
	moved := inputs(n, fleet.Placement{Host: "alpha", Epoch: 1, Repositories: map[string]string{"offsite": "aa"}})
	if cmp.Equal(before, moved) {
		t.Error("a repository changes nothing")
	}
	if _, err := n.Inputs("notes", fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 1}}}); err == nil || !strings.Contains(err.Error(), "beta has no recipient") {
		t.Errorf("a host that is not enrolled: %v", err)
	}
}

// TestMadeFilesComeFirst, and only where they were laid over.
func TestMadeFilesComeFirst(t *testing.T) {
	t.Parallel()
	n := home(t).Open(t, checkout.Committed).Needs
	path := seal.RecoveryPath("notes")
	if signed, err := n.Signed(path); err != nil || signed.File != nil {
		t.Errorf("no file: %q, %v", signed.File, err)
	}
	over := n.Over(map[string][]byte{path: []byte("sealed"), seal.SignaturePath(path): []byte("signed")})
	if signed, err := over.Signed(path); err != nil || string(signed.File) != "sealed" || string(signed.Signature) != "signed" {
		t.Errorf("%q, %q, %v", signed.File, signed.Signature, err)
	}
	if content, err := n.File(path); err != nil || content != nil {
		t.Errorf("what was made shows below: %q, %v", content, err)
	}
	again := over.Over(map[string][]byte{path: []byte("newer")})
	if content, err := again.File(path); err != nil || string(content) != "newer" {
		t.Errorf("%q, %v", content, err)
	}
	if content, err := over.File(path); err != nil || string(content) != "sealed" {
		t.Errorf("%q, %v", content, err)
	}
}

// TestEachRecoveryVisitsStacksThatAreGone, and stops at an error.
func TestEachRecoveryVisitsStacksThatAreGone(t *testing.T) {
	t.Parallel()
	f := home(t)
	visited := func(fail error) (map[string]string, error) {
		got := map[string]string{}
		err := f.Open(t, checkout.Committed).Needs.EachRecovery(func(stack string, sealed seal.Signed) error {
			got[stack] = string(sealed.File) + string(sealed.Signature)
			return fail
		})
		return got, err
	}
	if got, err := visited(nil); err != nil || len(got) > 0 {
		t.Errorf("before any: %v, %v", got, err)
	}
	files := map[string][]byte{}
	for _, stack := range []string{"notes", "gone"} {
		path := seal.RecoveryPath(stack)
		maps.Copy(files, map[string][]byte{path: []byte(stack), seal.SignaturePath(path): []byte("+sig")})
	}
	f.Commit(t, files)
	got, err := visited(nil)
	if diff := cmp.Diff(map[string]string{"notes": "notes+sig", "gone": "gone+sig"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	no := errors.New("no")
	if got, err := visited(no); !errors.Is(err, no) || len(got) != 1 {
		t.Errorf("after an error: %v, %v", got, err)
	}
}

func TestHostOfPrefersWhatIsDeclared(t *testing.T) {
	t.Parallel()
	at := home(t).Open(t, checkout.Committed)
	at.Checkout.Lock.Stacks = map[string]fleet.Placement{"notes": {Host: "placed"}}
	for want, stack := range map[string]fleet.Stack{
		"alpha": {Name: "notes", Host: "alpha"}, "placed": {Name: "notes"}, "": {Name: "other"},
	} {
		if got := at.Needs.HostOf(stack); got != want {
			t.Errorf("%+v is on %q, want %q", stack, got, want)
		}
	}
}
