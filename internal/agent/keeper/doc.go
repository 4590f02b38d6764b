// Package keeper keeps the data of a host's stacks: it takes their snapshots, thins
// them out, reads them back, and says what a restore can take and how late that is.
package keeper
