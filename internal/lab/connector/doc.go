// Package connector is the host's end of a tunnel, for the lab: it has cloudflared's contract, so
// that cloudflared itself can take its place. The wire to the edge is like cloudflared's HTTP/2
// one, with JSON where that has Cap'n Proto: the connector dials, and then the edge sends
// requests, visitors' and its own.
package connector
