package project

import "strings"

// QuoteEnv returns a value as it stands behind "NAME=" in an env file, so that Compose
// reads exactly this text: nothing in it is interpolated or unescaped. The value is
// UTF-8 without a NUL byte.
func QuoteEnv(value string) string {
	// Compose changes nothing between single quotes, but they can hold neither
	// themselves nor a backslash at every place.
	if !strings.ContainsAny(value, `'\`) {
		return "'" + value + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(value) + `"`
}
