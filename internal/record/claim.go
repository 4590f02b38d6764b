package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"salvor/internal/fleet"
)

// ErrNotVisible is wrapped by the error of a claim that was written but never
// showed up in a listing: nobody can rely on it.
var ErrNotVisible = errors.New("claim is not visible on the record remote")

const (
	visibleWithin = time.Minute
	firstPause    = 200 * time.Millisecond
	longestPause  = 5 * time.Second
)

// A Claim says that a host takes a stack over at an epoch. Epoch and ID stand
// in the name of its file, so that they count even when the file can't be read.
type Claim struct {
	Epoch  int
	ID     string // a version 7 UUID: lower means earlier, as far as clocks agree
	Host   string
	Key    string // the recipient of the host's identity: which machine, whatever its name
	Commit string // of the control repository, with the placement
	At     time.Time
	// Unreadable says why the file can't be understood, "" when it can. Such a
	// claim fences everyone else out and belongs to nobody known.
	Unreadable string
}

type claimFile struct {
	Schema int       `json:"schema"`
	Host   string    `json:"host"`
	Key    string    `json:"key,omitempty"`
	Commit string    `json:"commit"`
	At     time.Time `json:"at"`
}

func parseClaim(data []byte) (claimFile, error) {
	var c claimFile
	if err := decode(data, &c); err != nil {
		return claimFile{}, err
	}
	if c.Host == "" {
		return claimFile{}, errors.New("no host")
	}
	return c, nil
}

// parseClaimName reads `<epoch>-<uuid>.json`.
func parseClaimName(name string) (epoch int, id string, ok bool) {
	stem, isJSON := strings.CutSuffix(name, ".json")
	number, id, hasID := strings.Cut(stem, "-")
	epoch, err := strconv.Atoi(number)
	if !isJSON || !hasID || err != nil || epoch < 1 || number != strconv.Itoa(epoch) {
		return 0, "", false
	}
	if u, err := uuid.Parse(id); err != nil || u.String() != id {
		return 0, "", false
	}
	return epoch, id, true
}

func claimsDir(stack string) string { return "claims/" + stack }

func claimName(epoch int, id string) string { return fmt.Sprintf("%d-%s.json", epoch, id) }

// Claims returns the claims of the highest epoch, sorted by ID; older ones have
// no say. Files that are no claims by their name are left alone.
func (r *Record) Claims(ctx context.Context, stack string) ([]Claim, error) {
	files, err := r.store.List(ctx, claimsDir(stack))
	if err != nil {
		return nil, err
	}
	var highest []Claim
	for _, file := range files {
		epoch, id, ok := parseClaimName(file.Path)
		if !ok || len(highest) > 0 && epoch < highest[0].Epoch {
			continue
		}
		if len(highest) > 0 && epoch > highest[0].Epoch {
			highest = nil
		}
		highest = append(highest, Claim{Epoch: epoch, ID: id})
	}
	for i := range highest {
		if err := r.readClaim(ctx, stack, &highest[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(highest, func(a, b Claim) int { return cmp.Compare(a.ID, b.ID) })
	return highest, nil
}

func (r *Record) readClaim(ctx context.Context, stack string, c *Claim) error {
	path := claimsDir(stack) + "/" + claimName(c.Epoch, c.ID)
	data, err := r.read(ctx, path)
	if err != nil {
		return err
	}
	file, err := parseClaim(data)
	if err != nil {
		c.Unreadable = fmt.Sprintf("%s: %v", path, err)
		return nil
	}
	c.Host, c.Key, c.Commit, c.At = file.Host, file.Key, file.Commit, file.At
	return nil
}

// Claim takes a stack over: it appends the claim, waits until a listing shows
// it, and returns who owns the stack now, which need not be the claimant. It may
// be called again with the same host and epoch and then claims nothing new while
// the commit claimed from is the same or on the branch. Where another host has
// claimed a higher epoch, or the same one from a commit that may be on the branch,
// it only returns the ruling.
func (r *Record) Claim(ctx context.Context, stack string, want Claim, onBranch OnBranch) (Ruling, error) {
	claims, err := r.Claims(ctx, stack)
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

// superseded reports whether a claim would be in vain or is there already.
func superseded(claims []Claim, want Claim, onBranch OnBranch) bool {
	return slices.ContainsFunc(claims, func(c Claim) bool {
		if c.Epoch != want.Epoch || c.Unreadable != "" {
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
	if want.Epoch < 1 || want.Host == "" {
		return nil, fmt.Errorf("epoch %d for host %q is no claim", want.Epoch, want.Host)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	file := claimFile{Schema: fleet.Schema, Host: want.Host, Key: want.Key, Commit: want.Commit, At: want.At.UTC()}
	if err := r.write(ctx, claimsDir(stack)+"/"+claimName(want.Epoch, id.String()), file); err != nil {
		return nil, err
	}
	return r.awaitVisible(ctx, stack, want.Epoch, id.String())
}

// awaitVisible returns the claims once they hold the given one or a higher.
func (r *Record) awaitVisible(ctx context.Context, stack string, epoch int, id string) ([]Claim, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, visibleWithin, ErrNotVisible)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		claims, err := r.Claims(ctx, stack)
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
