package drivetest

import (
	"math/rand/v2"
	"time"
)

// A source is where a server has its time and its random numbers from. The server's lock
// guards it.
type source struct {
	clock  func() time.Time
	random *rand.Rand
}

func (s *source) now() time.Time { return s.clock().UTC() }

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// text returns so many random characters.
func (s *source) text(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[s.random.IntN(len(letters))]
	}
	return string(b)
}
