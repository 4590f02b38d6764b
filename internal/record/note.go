package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/sign"
)

// What hosts sign with a key of their own; its place is its path on the record.
const (
	FactKind   sign.Kind = "salvor-fact"
	ProvenKind sign.Kind = "salvor-proven"
)

// writeNote adds what this host found out, signed with its own key.
func (r *Record) writeNote(ctx context.Context, kind sign.Kind, path string, entry any) error {
	if r.trust.Own == nil {
		return errors.New("there is no host key to sign with")
	}
	key, err := r.trust.Own(ctx)
	if err != nil {
		return err
	}
	content, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	signed, err := key.Enclose(kind, path, content)
	if err != nil {
		return err
	}
	if err := r.putRaw(ctx, path, append(signed, '\n')); err != nil {
		return err
	}
	return r.checkNotMoved(ctx)
}

// notes are what hosts wrote down about one stack. What counts at an epoch is signed
// by a host that the fleet gave the stack then: the claims, which the fleet has
// signed, name its key. So it counts whatever has become of the host since.
type notes struct {
	record  *Record
	stack   string
	claims  []Claim           // of every epoch, by their names
	fleet   sign.Keys         // that sign claims
	holders map[int]sign.Keys // by epoch, as far as they were asked for
}

func (r *Record) notes(stack string) *notes { return &notes{record: r, stack: stack} }

// open returns what such a host signed for a path, or why the file does not count.
func (n *notes) open(ctx context.Context, kind sign.Kind, path string, epoch int) (content []byte, ignored *Ignored, err error) {
	data, err := n.record.read(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	keys, err := n.holderKeys(ctx, epoch)
	if err != nil {
		return nil, nil, err
	}
	content, _, err = keys.Open(kind, path, data)
	if err == nil {
		return content, nil, nil
	}
	i := Ignored{Path: path, Host: claimedHost(data), Why: err.Error()}
	if len(keys) == 0 {
		i.Why = fmt.Sprintf("%s: there is no claim of epoch %d, which would say which host signs for it", path, epoch)
	}
	n.record.nameSigner(&i, kind, data)
	return nil, &i, nil
}

// nameSigner names the host that signed an ignored file, if one did.
func (r *Record) nameSigner(i *Ignored, kind sign.Kind, data []byte) {
	for name, key := range r.trust.Hosts {
		if _, _, err := (sign.Keys{key}).Open(kind, i.Path, data); err == nil {
			i.Host, i.Signed = name, true
		}
	}
}

// holderKeys returns the keys of the hosts that the fleet gave the stack at an epoch. This
// host's own is one of them: what it wrote is not news to it.
func (n *notes) holderKeys(ctx context.Context, epoch int) (sign.Keys, error) {
	if n.holders == nil {
		if err := n.load(ctx); err != nil {
			return nil, err
		}
	}
	if keys, asked := n.holders[epoch]; asked {
		return keys, nil
	}
	keys := n.record.ownKeys(ctx)
	for _, c := range n.claims {
		if c.Epoch != epoch {
			continue
		}
		ignored, err := n.record.readClaim(ctx, n.fleet, n.stack, &c)
		if err != nil {
			return nil, err
		}
		if ignored == nil && c.Sign != "" && !slices.Contains(keys, c.Sign) {
			keys = append(keys, c.Sign)
		}
	}
	n.holders[epoch] = keys
	return keys, nil
}

// Findings are about files among a stack's that do not count.
func Findings(stack string, ignored []Ignored) []finding.Finding {
	var found []finding.Finding
	for _, i := range ignored {
		found = append(found, i.finding(stack))
	}
	return found
}

// finding is about a file that looks like what a host wrote down about a stack. Its
// subject is the host that signed it, where that is known, else the file.
func (i Ignored) finding(stack string) finding.Finding {
	f := finding.Finding{
		Code: finding.RecordIgnored, Severity: finding.Warning, Subject: i.Path, Stack: stack,
		Text: "not signed by a host or fleet that may write there, ignored: " + i.Text(),
		Fix:  "find out who wrote it: every host can write to the record remote; then delete it there",
	}
	if i.Signed {
		f.Subject = i.Host
	}
	return f
}

func (n *notes) load(ctx context.Context) (err error) {
	if n.claims, err = n.record.claimNames(ctx, n.stack); err != nil {
		return err
	}
	n.holders = map[int]sign.Keys{}
	n.fleet, err = n.record.trust.keys()
	return err
}

// ownKeys is the public half of this host's key, none where there is none.
func (r *Record) ownKeys(ctx context.Context) sign.Keys {
	if r.trust.Own == nil {
		return nil
	}
	key, err := r.trust.Own(ctx)
	if err != nil {
		return nil
	}
	return sign.Keys{key.Public()}
}
