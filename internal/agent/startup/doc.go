// Package startup brings a host's stacks up: volumes ready, secrets delivered, the
// gate open, containers up, and what was learned reported; in an apply or after a boot.
package startup
