package tunnel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/cloudflare"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/route"
)

const silence = 2 * time.Minute // that a connector may take to connect again

// Findings are what is wrong with the host's connector, and with the way from it to the
// services of routes that are wanted. Docker and the connector are asked, Cloudflare is not.
func (t *Tunnel) Findings(ctx context.Context, routes []route.Owned) ([]finding.Finding, error) {
	k := t.current()
	if len(k.Slots) == 0 {
		return t.troubles(), nil
	}
	if _, err := t.ask(ctx, k.Slots); err != nil {
		return nil, err
	}
	wrong, err := t.lost(ctx, k.Slots[len(k.Slots)-1].Network, routes)
	return append(t.troubles(), wrong...), err
}

// troubles are those of the tunnel and its connector.
func (t *Tunnel) troubles() []finding.Finding {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []finding.Finding
	if err := t.fault; err != nil && !errors.Is(err, cloudflare.ErrAway) {
		found = append(found, warn(finding.TunnelUnusable, Project, err.Error(), fault.Hint(err)))
	}
	if age := t.time().Sub(t.silent); !t.silent.IsZero() && age >= silence {
		found = append(found, warn(finding.ConnectorSilent, Project, fmt.Sprintf("no connection to Cloudflare for %s: the host's hostnames do not answer", age.Round(time.Second)), "salvor logs "+Project))
	}
	if err := t.update.err; err != nil {
		found = append(found, warn(finding.ConnectorKept, Project, "the connector could not be replaced, so the one before runs on: "+err.Error(), "salvor logs "+Project))
	}
	return found
}

func warn(code finding.Code, subject, text, fix string) finding.Finding {
	return finding.Finding{Code: code, Severity: finding.Warning, Subject: subject, Text: text, Fix: fix}
}
