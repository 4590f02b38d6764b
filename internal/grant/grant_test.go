package grant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestS06ALedgerHasWhatWasConfirmed: what is not in the ledger is missing, another
// value under a known name says what it takes the place of, and what went away has to
// be confirmed again when it comes back.
func TestS06ALedgerHasWhatWasConfirmed(t *testing.T) {
	olga, eve, other := Operator("olga", "age1o"), Operator("eve", "age1e"), Operator("eve", "age1f")
	book := Ledger{}.With(olga, eve)
	never := func(string) bool { return false }
	if got := book.Missing([]Grant{olga, eve}); len(got) != 0 {
		t.Errorf("missing: %v", got)
	}
	got := book.Missing([]Grant{olga, other, other})
	if len(got) != 1 || !strings.Contains(got[0].Text, "changes from age1e to age1f") {
		t.Errorf("another key: %v", got)
	}
	if kept := book.Only([]Grant{olga, other}, never); len(kept.Missing([]Grant{olga, other})) != 1 || !strings.Contains(kept.Missing([]Grant{other})[0].Text, "age1e") {
		t.Errorf("the key before is forgotten while the next waits: %q", kept.Bytes())
	}
	revoked := book.Only([]Grant{olga}, never)
	if got := revoked.Missing([]Grant{olga, eve}); len(got) != 1 {
		t.Errorf("who comes back is not asked about: %v", got)
	}
	if diff := cmp.Diff(string(book.Bytes()), string(Parse(book.Bytes()).Bytes())); diff != "" {
		t.Error(diff)
	}
}

// TestS06TextsOfARepositoryAreVisible: a key's comment is another's text.
func TestS06TextsOfARepositoryAreVisible(t *testing.T) {
	for _, text := range []string{
		Login("SHA256:x", "olga\x1b[2K\u202e", "root").Text, HostKey("a\x1b]0;", "", "t", "f").Text, HostKey("a\x1b]0;", "", "t", "f").Name,
		Address("alpha", "a\rb", "c\x07").Text, Source("git", "the repository", "u\x1b", "").Text,
	} {
		if strings.ContainsAny(text, "\x1b\r\x07\u202e") {
			t.Errorf("%q", text)
		}
	}
}

// FuzzLedger: a ledger that was changed by hand has nothing that its text does not
// say, and reading what was written gives the same.
func FuzzLedger(f *testing.F) {
	f.Add(Ledger{}.With(Operator("eve", "age1e")).Make("notes/DB").Bytes())
	f.Add([]byte("salvor grants 1\ngrant \"operator/eve\" \"age1\\ne\"\ngrant \"x\"\nmade \"a\" \"b\"\nmade \"\\x\"\n"))
	f.Add([]byte("salvor grants 2\ngrant \"a\" \"b\"\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		once := Parse(content).Bytes()
		if diff := cmp.Diff(string(once), string(Parse(once).Bytes())); diff != "" {
			t.Error(diff)
		}
	})
}
