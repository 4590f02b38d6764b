package agent

import (
	"context"

	"salvor/internal/agent/publishing"
	"salvor/internal/agent/tunnel"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/route"
)

// hostTunnel is the host's tunnel as what publishes needs it.
type hostTunnel struct{ *tunnel.Tunnel }

// Open implements publishing.Tunnel.
func (t hostTunnel) Open(ctx context.Context, api *cloudflare.Client, spec agentapi.Host) (cloudflare.Tunnel, error) {
	return t.Ensure(ctx, tunnel.SettingsOf(spec), api)
}

// Permissions implements publishing.Tunnel.
func (hostTunnel) Permissions(ctx context.Context, api *cloudflare.Client, routes []route.Owned) ([]finding.Finding, error) {
	return tunnel.Permissions(ctx, api, routes)
}

// Routes answers which public hostnames a host has, as its daemon saw them last. Nothing
// outside the host is asked.
func Routes(h *Host) func(context.Context, agentapi.AskRoutes, progress.Sink) (agentapi.RouteList, error) {
	return func(context.Context, agentapi.AskRoutes, progress.Sink) (agentapi.RouteList, error) {
		return publishing.Seen(h.base()), nil
	}
}
