package controlrepo

import (
	"testing"

	"salvor/internal/hostkey"
	"salvor/internal/secret/agekey"
)

// TestS25OnlyX25519 holds recipients of hosts to the one kind that needs no plugin.
func TestS25OnlyX25519(t *testing.T) {
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if err := hostkey.CheckRecipient(key.Recipient); err != nil {
		t.Error(err)
	}
	for _, other := range []string{
		"age1xyz1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "age1pq1qqqqqqqq", "age1tag1qqqqqqqq",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ", key.Recipient + "\n" + key.Recipient, " " + key.Recipient, "",
	} {
		if hostkey.CheckRecipient(other) == nil {
			t.Errorf("%q is taken for a host's recipient", other)
		}
	}
}
