package rotation

import (
	"crypto/rand"
	"fmt"
	"math/big"

	"salvor/internal/fault"
	"salvor/internal/secret"
)

// Generate makes text of so many letters and digits, 16 to 1024, that survives every
// file format, URL and shell.
func Generate(length int) (secret.Value, error) {
	if length < 16 || length > 1024 {
		return secret.Value{}, fault.WithCode(fault.WithHint(fmt.Errorf("--length %d: a generated secret has 16 to 1024 characters", length), "salvor secret rotate --help"), fault.Usage)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	value := make([]byte, length)
	for i := range value {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(letters))))
		if err != nil {
			return secret.Value{}, err
		}
		value[i] = letters[n.Int64()]
	}
	return secret.New(value), nil
}
