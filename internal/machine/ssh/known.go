package ssh

import (
	"net"
	"os"
	"strconv"

	"golang.org/x/crypto/ssh/knownhosts"
)

// Known reports whether one of these known_hosts files has the key for an address,
// hashed entries and patterns included. Files that are not there or can't be read are
// skipped.
func Known(files []string, address string, port int, key PublicKey) bool {
	parsed, err := key.parse()
	if err != nil {
		return false
	}
	at := net.JoinHostPort(address, strconv.Itoa(port))
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			continue
		}
		check, err := knownhosts.New(file)
		if err == nil && check(at, &net.TCPAddr{}, parsed) == nil {
			return true
		}
	}
	return false
}
