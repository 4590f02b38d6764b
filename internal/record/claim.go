package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"salvor/internal/fleet"
	"salvor/internal/sign"
)

// ErrNotVisible is wrapped by the error of a claim that was written but never showed
// up in a listing: it can't be relied on.
var ErrNotVisible = errors.New("claim is not visible on the record remote")

const (
	visibleWithin = time.Minute
	firstPause    = 200 * time.Millisecond
	longestPause  = 5 * time.Second
)

// ClaimKind is what a claim is signed as; its place is its path on the record.
const ClaimKind sign.Kind = "salvor-claim"

// claimSchema counts up since claims are signed: those of schema 1 were not, those of
// schema 2 did not say which key the host signs with.
const claimSchema = 3

// endSchema is that of a claim which gives a stack to no host. A Salvor that does not know
// it ignores the file.
const endSchema = 4

// A Claim says that a host takes a stack over at an epoch or, if it is Ended, that no
// host has it from then on: its user has. Epoch and ID are in the name of its file, which is
// signed with its content.
type Claim struct {
	Epoch  int
	ID     string // a version 7 UUID: lower means earlier, as far as clocks agree
	Host   string
	Key    string      // the recipient of the host's identity: which machine, whatever its name
	Sign   sign.Public // the host's key, which signs what it finds out
	Commit string      // of the control repository, with the placement
	At     time.Time
	Ended  bool // Host, Key and Sign are ""
}

// Ignored is a file on the record that does not count: it is not signed for that place
// by a key that counts there, or it can't be understood.
type Ignored struct {
	Path   string // on the record
	Host   string // whose it pretends to be, "" where it does not say
	Signed bool   // that host did sign it
	Why    string
}

// Text says which file it is, for people.
func (i Ignored) Text() string {
	switch {
	case i.Signed:
		return i.Why + " (that is " + i.Host + ")"
	case i.Host == "":
		return i.Why
	}
	return i.Why + " (it says to be of " + i.Host + ")"
}

type claimFile struct {
	Schema int         `json:"schema"`
	Host   string      `json:"host"`
	Key    string      `json:"key,omitempty"`
	Sign   sign.Public `json:"sign,omitempty"`
	Commit string      `json:"commit"`
	At     time.Time   `json:"at"`
}

// file is the content of a claim.
func (c Claim) file() claimFile {
	f := claimFile{Schema: claimSchema, Host: c.Host, Key: c.Key, Sign: c.Sign, Commit: c.Commit, At: c.At}
	if c.Ended {
		f.Schema = endSchema
	}
	return f
}

// parseClaim reads the signed content of a claim.
func parseClaim(data []byte) (claimFile, error) {
	var c claimFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return claimFile{}, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return claimFile{}, errors.New("there is extra data after the claim")
	}
	switch {
	case c.Schema > endSchema:
		return claimFile{}, fmt.Errorf("schema %d: %w", c.Schema, ErrNewerSchema)
	case c.Schema == endSchema && (c.Host != "" || c.Key != "" || c.Sign != ""):
		return claimFile{}, errors.New("it ends a placement, and names a host")
	case c.Schema == endSchema:
		return c, nil
	case c.Schema < claimSchema:
		return claimFile{}, fmt.Errorf("schema %d: written by an older Salvor, whose hosts did not sign", c.Schema)
	case c.Host == "":
		return claimFile{}, errors.New("no host")
	}
	return c, nil
}

// parseClaimName reads `<epoch>-<uuid>.json`.
func parseClaimName(name string) (epoch int, id string, ok bool) {
	stem, isJSON := strings.CutSuffix(name, ".json")
	number, id, hasID := strings.Cut(stem, "-")
	epoch, err := strconv.Atoi(number)
	if !isJSON || !hasID || err != nil || epoch < 1 || epoch > fleet.MaxEpoch || number != strconv.Itoa(epoch) {
		return 0, "", false
	}
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return 0, "", false
	}
	return epoch, id, true
}

func claimsDir(stack string) string { return "claims/" + stack }

func claimName(epoch int, id string) string { return fmt.Sprintf("%d-%s.json", epoch, id) }

// Claims returns the signed claims of the highest epoch that has one, sorted by ID;
// older ones have no say. What else has a claim's name at that epoch or above is
// ignored, and does not count. Files that are not claims by their name are left
// alone.
func (r *Record) Claims(ctx context.Context, stack string) ([]Claim, []Ignored, error) {
	names, err := r.claimNames(ctx, stack)
	if err != nil || len(names) == 0 {
		return nil, nil, err
	}
	keys, err := r.trust.keys()
	if err != nil {
		return nil, nil, err
	}
	return highest(names, func(c *Claim) (*Ignored, error) { return r.readClaim(ctx, keys, stack, c) })
}

// highest reads claims until those of the highest epoch that has one are known. Names
// are sorted, the highest epoch first.
func highest(names []Claim, read func(*Claim) (*Ignored, error)) ([]Claim, []Ignored, error) {
	var good []Claim
	var ignored []Ignored
	for _, c := range names {
		if len(good) > 0 && c.Epoch < good[0].Epoch {
			break
		}
		passed, err := read(&c)
		switch {
		case err != nil:
			return nil, nil, err
		case passed != nil:
			ignored = append(ignored, *passed)
		default:
			good = append(good, c)
		}
	}
	return good, ignored, nil
}

// claimNames returns what the names of files say, the highest epoch first, each
// epoch sorted by ID.
func (r *Record) claimNames(ctx context.Context, stack string) ([]Claim, error) {
	files, err := r.store.List(ctx, claimsDir(stack))
	if err != nil {
		return nil, err
	}
	var names []Claim
	for _, file := range files {
		if epoch, id, ok := parseClaimName(file.Path); ok {
			names = append(names, Claim{Epoch: epoch, ID: id})
		}
	}
	sortNames(names)
	return names, nil
}

// sortNames sorts the highest epoch first, each epoch by ID.
func sortNames(names []Claim) {
	slices.SortFunc(names, func(a, b Claim) int { return cmp.Or(cmp.Compare(b.Epoch, a.Epoch), cmp.Compare(a.ID, b.ID)) })
}

// readClaim fills in what the fleet has signed, or says why the file does not count.
func (r *Record) readClaim(ctx context.Context, keys sign.Keys, stack string, c *Claim) (*Ignored, error) {
	path := claimsDir(stack) + "/" + claimName(c.Epoch, c.ID)
	data, err := r.read(ctx, path)
	if err != nil {
		return nil, err
	}
	content, _, err := keys.Open(ClaimKind, path, data)
	if err != nil {
		i := Ignored{Path: path, Host: claimedHost(data), Why: err.Error()}
		r.nameSigner(&i, ClaimKind, data)
		return &i, nil
	}
	file, err := parseClaim(content)
	if err != nil {
		return &Ignored{Path: path, Host: claimedHost(data), Why: fmt.Sprintf("%s: %v", path, err)}, nil
	}
	c.Host, c.Key, c.Sign, c.Commit, c.At, c.Ended = file.Host, file.Key, file.Sign, file.Commit, file.At, file.Schema == endSchema
	return nil, nil
}

// claimedHost returns the host that a file which does not count names, for people; ""
// for none that could be one.
func claimedHost(data []byte) string {
	var signed struct{ Content string }
	if json.Unmarshal(data, &signed) == nil && signed.Content != "" {
		data = []byte(signed.Content)
	}
	var said struct{ Host string }
	if json.Unmarshal(data, &said) != nil || fleet.ValidName(said.Host) != nil {
		return ""
	}
	return said.Host
}

// Claim takes a stack over: it appends the claim, waits until a listing shows
// it, and returns who owns the stack now, which need not be the claimant. It may
// be called again with the same host and epoch and then claims nothing new while
// the commit claimed from is the same or on the branch. Where another host has
// claimed a higher epoch, or the same one from a commit that may be on the branch,
// it only returns the ruling.
func (r *Record) Claim(ctx context.Context, stack string, want Claim, onBranch OnBranch) (Ruling, error) {
	claims, _, err := r.Claims(ctx, stack)
	if err != nil {
		return Ruling{}, fmt.Errorf("claim %s: %w", stack, err)
	}
	if !superseded(claims, want, onBranch) {
		if claims, err = r.appendClaim(ctx, stack, want); err != nil {
			return Ruling{}, fmt.Errorf("claim %s: %w", stack, err)
		}
	}
	return Rule(claims, onBranch), nil
}

// superseded reports whether a claim would have no effect or is there already.
func superseded(claims []Claim, want Claim, onBranch OnBranch) bool {
	return slices.ContainsFunc(claims, func(c Claim) bool {
		if c.Epoch != want.Epoch {
			return c.Epoch > want.Epoch
		}
		on, known := onBranch(c.Commit)
		if !c.same(want) {
			return on || !known
		}
		return c.Commit == want.Commit || on && known
	})
}

// same reports whether two claims are for one machine: by its key, or by its name
// where a key is not known.
func (c Claim) same(o Claim) bool {
	if c.Key != "" && o.Key != "" {
		return c.Key == o.Key
	}
	return c.Host == o.Host && c.Key == o.Key
}

func (r *Record) appendClaim(ctx context.Context, stack string, want Claim) ([]Claim, error) {
	if want.Epoch < 1 || want.Epoch > fleet.MaxEpoch || (want.Host == "") != want.Ended {
		return nil, fmt.Errorf("epoch %d for host %q is not a claim", want.Epoch, want.Host)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	want.At = want.At.UTC()
	if err := r.writeSigned(ctx, claimsDir(stack)+"/"+claimName(want.Epoch, id.String()), want.file()); err != nil {
		return nil, err
	}
	return r.awaitVisible(ctx, stack, want.Epoch, id.String())
}

// Resign signs the claims with another key, for a fleet that takes another one: also
// older ones, which say whose notes count. It may be called again.
func (r *Record) Resign(ctx context.Context, stack string, key sign.Key) error {
	names, err := r.claimNames(ctx, stack)
	if err != nil {
		return fmt.Errorf("sign the claims of %s again: %w", stack, err)
	}
	keys, err := r.trust.keys()
	if err != nil {
		return err
	}
	with := r.Trusting(Trust{Key: func(context.Context) (sign.Key, error) { return key, nil }})
	for _, c := range names {
		ignored, err := r.readClaim(ctx, keys, stack, &c)
		if err == nil && ignored == nil {
			err = with.writeSigned(ctx, claimsDir(stack)+"/"+claimName(c.Epoch, c.ID), c.file())
		}
		if err != nil {
			return fmt.Errorf("sign the claims of %s again: %w", stack, err)
		}
	}
	return nil
}

func (r *Record) writeSigned(ctx context.Context, path string, file claimFile) error {
	key, err := r.trust.key(ctx)
	if err != nil {
		return err
	}
	content, err := json.Marshal(file)
	if err != nil {
		return err
	}
	signed, err := key.Enclose(ClaimKind, path, content)
	if err != nil {
		return err
	}
	if err := r.putRaw(ctx, path, append(signed, '\n')); err != nil {
		return err
	}
	return r.checkNotMoved(ctx)
}

// awaitVisible returns the claims once they hold the given one or a higher.
func (r *Record) awaitVisible(ctx context.Context, stack string, epoch int, id string) ([]Claim, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, visibleWithin, ErrNotVisible)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		claims, _, err := r.Claims(ctx, stack)
		if err != nil {
			return nil, cmp.Or(context.Cause(ctx), err)
		}
		if slices.ContainsFunc(claims, func(c Claim) bool { return c.ID == id || c.Epoch > epoch }) {
			return claims, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}
