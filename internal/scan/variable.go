package scan

import "strings"

// Variable reports whether a variable's value belongs into an encrypted file: its
// name says so, or a rule knows the value. The value is what a program gets, so
// a $ in it is nothing but that. It goes further than Scan, whose alarms must be
// true ones: here the hash of a password is as good as the password, and any KEY
// that has a value is a secret.
func (s *Scanner) Variable(name, value string) bool {
	if user, hash, found := strings.Cut(value, ":"); found && !strings.ContainsAny(user, " /") && s.values.hash.MatchString(hash) {
		return true // a line of htpasswd
	}
	value = strings.ReplaceAll(value, "$", "S")
	if _, _, found := s.values.in(value, s.keys.meaning(name, true), false); found {
		return true
	}
	quoted := strings.NewReplacer(`"`, "'", `\`, "/").Replace(value)
	return len(s.Scan("variable.env", []byte(name+`="`+quoted+"\"\n"))) > 0
}
