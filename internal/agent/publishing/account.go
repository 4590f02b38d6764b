package publishing

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/publish"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// An account is where a host publishes: a client with its token, and what is known of
// Cloudflare by it.
type account struct {
	with      string // what it was made with
	api       *cloudflare.Client
	gate      *gate
	publisher *publish.Publisher
}

// A published note is what a host needs to take off what it has published, once it isn't asked
// to publish any more and has no seal with the token.
type published struct {
	Schema  int               `json:"schema"`
	Account string            `json:"account"`
	Hosts   int               `json:"hosts"`
	Token   []byte            `json:"token"` // encrypted to the host
	Tunnel  cloudflare.Tunnel `json:"tunnel"`
	Owners  map[string]int    `json:"owners,omitempty"` // that may have something at Cloudflare, with their epochs
}

// readPublished returns the note, nil for a host that has published nothing.
func readPublished(h *here.Host) *published {
	var note published
	if here.ReadJSON(hostpath.PublishingOf(h.Paths).Note, &note) != nil {
		return nil
	}
	return &note
}

// open returns the account that the spec names or, where it names none, that of the note; and
// the note that is to be written before something is published there.
func (d *Daemon) open(spec agentapi.Host, note *published) (*account, published, error) {
	var is published
	if note != nil {
		is = *note
	}
	with := fmt.Sprint("as noted ", is.Account, is.Hosts)
	if spec.Ingress != nil {
		is.Account, is.Hosts = spec.Ingress.Account, spec.Ingress.Hosts
		with = fmt.Sprint(is.Account, is.Hosts, here.SealedDigest(ownOf(spec)))
	}
	if d.at != nil && d.at.with == with {
		return d.at, is, nil
	}
	token, err := d.token(spec, note)
	if err != nil {
		return nil, is, err
	}
	// what is noted already is not written again: a full disk would keep a host from closing routes
	if before, err := d.notedToken(note); err != nil || !bytes.Equal(before.Reveal(), token.Reveal()) {
		if is.Token, err = agekey.Encrypt(token, d.h.Recipient()); err != nil {
			return nil, is, err
		}
	}
	g := &gate{next: d.h.Edges.Cloudflare}
	if g.next == nil {
		g.next = http.DefaultTransport
	}
	api, err := cloudflare.New(cloudflare.Options{Account: is.Account, Hosts: is.Hosts, Token: token, Transport: g})
	if err != nil {
		return nil, is, err
	}
	d.at = &account{with: with, api: api, gate: g, publisher: &publish.Publisher{API: api, Connector: d.tunnel}}
	return d.at, is, nil
}

// ownOf is what the host has of its own, empty where it has nothing.
func ownOf(spec agentapi.Host) agentapi.Stack {
	if spec.Own == nil {
		return agentapi.Stack{}
	}
	return *spec.Own
}

// notedToken opens the token that the note has; an error where it has none.
func (d *Daemon) notedToken(note *published) (secret.Value, error) {
	if note == nil {
		return secret.Value{}, errors.New("the host has noted no token for Cloudflare")
	}
	key, err := agekey.OpenHost(d.h.Paths.Identity())
	if err != nil {
		return secret.Value{}, err
	}
	return agekey.Decrypt(hostpath.PublishingOf(d.h.Paths).Note, note.Token, key)
}

// token opens the token of Cloudflare's API: from the host's seal or, for a host that is to
// publish nothing any more, from the note.
func (d *Daemon) token(spec agentapi.Host, note *published) (secret.Value, error) {
	if spec.Ingress == nil {
		return d.notedToken(note)
	}
	var file agentapi.SealedFile
	if spec.Own != nil {
		own, err := d.h.At(spec, *spec.Own).Open()
		if err != nil {
			return secret.Value{}, err
		}
		file = own.Access.File
	}
	if len(file.IngressToken) == 0 {
		return secret.Value{}, fault.WithHint(fmt.Errorf("the seal of %s has no token for Cloudflare", spec.Name), "salvor apply seals it again")
	}
	return secret.New(file.IngressToken), nil
}
