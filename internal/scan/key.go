package scan

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// meaning is what a key says about its value.
type meaning int

const (
	harmless meaning = iota
	secret
	secretPath // the value is a path to a secret, or should be
	address    // a DSN: the value is secret when it carries a password
)

// keys knows the words that keys are made of.
type keys struct {
	words    map[string]bool    // that mean a secret wherever they are
	last     map[string]bool    // that mean one at the end
	glued    *regexp.Regexp     // a word that ends with one of them, without a sign in between: DBPASS
	english  map[string]bool    // words that only end like one
	pairs    map[[2]string]bool // that mean one together
	remote   map[string]bool    // that mean one among a remote's options
	paths    map[string]bool    // last words: the value is a path
	settings map[string]bool    // last words: the value is about secrets, and none
	limits   map[string]bool    // first words: the same
	named    *regexp.Regexp     // what keys look like
}

func newKeys() keys {
	return keys{
		words:   set("password passwd passphrase pass pwd secret token apikey authkey accesskey privatekey credential credentials dsn requirepass masterauth"),
		last:    set("pw salt passkey passkeys passcode psk"),
		glued:   regexp.MustCompile(`^.+(?:password|passwd|pass|pwd|pw|secret|token|salt)$`),
		english: set("compass encompass bypass surpass trespass overpass underpass basalt"),
		pairs: map[[2]string]bool{
			{"api", "key"}: true, {"access", "key"}: true, {"private", "key"}: true, {"auth", "key"}: true,
			{"encryption", "key"}: true, {"signing", "key"}: true, {"master", "key"}: true, {"app", "key"}: true,
			{"jwt", "key"}: true, {"hmac", "key"}: true, {"session", "key"}: true, {"edge", "key"}: true, {"onboarding", "key"}: true,
			{"license", "key"}: true, {"widget", "key"}: true, {"preshared", "key"}: true, {"cookie", "signing"}: true,
		},
		remote: set("key pem oauth auth"),
		paths:  set("file path dir directory folder filename"),
		settings: set("min max length len size count limit rounds iterations cost ttl age expiry expires expire expiration expired lifetime lifespan timeout " +
			"interval duration days hours minutes seconds enabled enable disabled disable required require optional allowed policy strength complexity encryption realm " +
			"algorithm algo alg type format mode method version scheme name names id ids url uri endpoint host port server issuer audience header headers " +
			"field claim claims param parameter attribute attr prefix suffix scope scopes user username reset change changed rotation rotate history " +
			"provider backend store storage engine driver agent auth login hash hashed md5 sha256 encoding lock locked command cmd label title " +
			"hint prompt description env variable var check checks checksum fingerprint refresh manager through only " +
			"in after until since time period validity window grace attempts retries threshold"),
		limits: set("max min update num"),
		named:  regexp.MustCompile(`^(?:[A-Za-z]{1,20}[0-9]{0,2}|[A-Za-z0-9]{1,4})(?:[_.-]+(?:[A-Za-z]{1,20}[0-9]{0,2}|[A-Za-z0-9]{1,4}))*$`),
	}
}

func set(words string) map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields(words) {
		all[w] = true
	}
	return all
}

// meaning reads a key. Of a dotted one, such as a label, only the last part
// counts: the others hold names of routers and services. More words mean a
// secret among a remote's options.
func (k keys) meaning(key string, remote bool) meaning {
	dot := strings.LastIndexByte(key, '.') + 1
	before, last := splitWords(key[:dot]), splitWords(key[dot:])
	if len(last) == 0 {
		return harmless
	}
	end := last[len(last)-1]
	found := k.find(before, last, remote)
	switch {
	case slices.ContainsFunc(last, expires):
		return harmless
	case found == harmless || k.limits[last[0]] && len(last) > 1 || k.settings[end] && len(last) > 1 && (!remote || !k.remote[end]):
		return harmless
	case k.paths[end]:
		return secretPath
	}
	return found
}

func (k keys) find(before, last []string, remote bool) meaning {
	previous := ""
	if len(before) > 0 {
		previous = before[len(before)-1]
	}
	found := harmless
	for i, word := range last {
		switch {
		case word == "dsn" && found == harmless:
			found = address
		case k.words[word] && word != "dsn", i == len(last)-1 && k.last[word], k.isGlued(word), k.pairs[[2]string{previous, word}], remote && k.remote[word] && previous != "public":
			found = secret
		}
		previous = word
	}
	return found
}

// isGlued reports whether a word ends with one that means a secret. Some words of plain
// English do, too.
func (k keys) isGlued(word string) bool {
	return k.glued.MatchString(word) && !k.english[word]
}

// expires reports whether a word of a key is about how long something is valid.
func expires(word string) bool { return strings.HasPrefix(word, "expir") }

// splitWords cuts a key at underscores and the like and at capital letters, and
// returns the words in lower case, without the digits that number them.
func splitWords(key string) []string {
	var words []string
	var word []rune
	flush := func() {
		if w := strings.ToLower(strings.TrimRight(string(word), "0123456789")); w != "" {
			words = append(words, w)
		}
		word = nil
	}
	runes := []rune(key)
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		// DBPassword: a capital after a small letter, or the last of several.
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			flush()
		}
		word = append(word, r)
	}
	flush()
	return words
}

// sayable reports whether a key can be shown: it looks like one and has nothing of the
// value. In a file with a typing mistake it could be the value.
func (k keys) sayable(key, value string) bool {
	lowerKey, lowerValue := strings.ToLower(key), strings.ToLower(value)
	return len(key) <= 80 && k.named.MatchString(key) && !strings.Contains(lowerKey, lowerValue) && !strings.Contains(lowerValue, lowerKey)
}
