// Package oracle judges what came back after a disaster. It shares nothing with
// the product: writers number and hash-chain what they write and report each
// acknowledged write to a collector outside the host; static trees are compared
// with a manifest made before.
package oracle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// A Row is one write. N counts from 1; Hash is the SHA-256, in hex, of the
// previous row's hash, N and Payload, so that a head stands for all before it.
type Row struct {
	N       int    `json:"n"`
	Payload string `json:"payload"`
	Hash    string `json:"hash"`
}

// Next is the row after r with the payload. The zero Row is before the first.
func (r Row) Next(payload string) Row {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s", r.Hash, r.N+1, payload))
	return Row{N: r.N + 1, Payload: payload, Hash: hex.EncodeToString(sum[:])}
}

// Verify returns the head of an unbroken chain that begins with row 1, or where
// it breaks. No rows are an unbroken chain.
func Verify(rows []Row) (Row, error) {
	var head Row
	for _, row := range rows {
		want := head.Next(row.Payload)
		if row.N != want.N {
			return head, fmt.Errorf("row %d follows row %d", row.N, head.N)
		}
		if row.Hash != want.Hash {
			return head, fmt.Errorf("row %d does not continue the chain", row.N)
		}
		head = row
	}
	return head, nil
}
