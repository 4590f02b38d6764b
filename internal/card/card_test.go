package card

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

const canary = "hunter2-canary"

// signer is the public half of a key that was made for these tests and thrown away.
const signer = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYKEYK"

func sample(t testing.TB) Card {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	c := Card{Fleet: "home", Made: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC), Commit: strings.Repeat("ab", 20), Recovery: key, GitURL: "ssh://git@git.example/fleet.git", Signers: sign.Keys{signer}}
	if c.Sealed, err = sampleAccess().Seal(key); err != nil {
		t.Fatal(err)
	}
	return c
}

func sampleAccess() Access {
	return Access{Schema: 1, Fleet: "home", GitURL: "ssh://git@git.example/fleet.git", GitKey: []byte("pem"), KnownHosts: []string{"git.example ssh-ed25519 AAAA"},
		Signers: sign.Keys{signer},
		Record:  fleet.Location{Remote: "crypt", Path: "salvor/record"},
		Remotes: map[string]agentapi.SealedRemote{"crypt": {Type: "crypt", Options: map[string][]byte{"password": []byte(canary)}}, "drive": {Type: "drive", Options: map[string][]byte{"token": bytes.Repeat([]byte("x"), 900)}}}}
}

// TestS02ACardNamesTheSigningKey is how a clone made with the card knows whose
// mirror to believe.
func TestS02ACardNamesTheSigningKey(t *testing.T) {
	c := sample(t)
	if f := sign.Public(signer).Fingerprint(); !strings.Contains(string(c.Text()), "The fleet's signing key is "+f) {
		t.Errorf("the text does not show %s", f)
	}
	for name, keys := range map[string]sign.Keys{"none": nil, "no key": {"ssh-ed25519 AAAA"}, "with a comment": {signer + " x"}} {
		access := sampleAccess()
		access.Signers = keys
		sealed, err := access.Seal(c.Recovery)
		if err != nil {
			t.Fatal(err)
		}
		c.Sealed = sealed
		if _, err := c.Access(); err == nil {
			t.Errorf("%s: a card with the keys %q is taken", name, keys)
		}
	}
}

func TestTextReadsBack(t *testing.T) {
	want := sample(t)
	text := want.Text()
	if bytes.Contains(text, []byte(canary)) {
		t.Error("the card shows a remote's password")
	}
	for line := range strings.Lines(string(text)) {
		if len(line) > 120 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	got := mustParse(t, text)
	if got.Fleet != want.Fleet || got.Commit != want.Commit || got.Recovery.Recipient != want.Recovery.Recipient {
		t.Errorf("%+v", got)
	}
	access, err := got.Access()
	if diff := cmp.Diff(sampleAccess(), access); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// TestTheCardPromisesNoMirrorThatIsNotThere is fault D27: right after init there is
// no remote, and the card said that a mirror was on it.
func TestTheCardPromisesNoMirrorThatIsNotThere(t *testing.T) {
	c := sample(t)
	for _, url := range []string{"", c.GitURL} {
		for _, mirrored := range []bool{false, true} {
			c.GitURL, c.Mirrored = url, mirrored
			text := string(c.Text())
			if strings.Contains(text, "mirror is on the fleet's remote") != mirrored || strings.Contains(text, "The repository: "+sample(t).GitURL) != (url != "") {
				t.Errorf("with Git at %q, mirrored %v:\n%s", url, mirrored, text)
			}
		}
	}
}

func mustParse(t *testing.T, text []byte) Card {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The file is an identity file as age has it.
func TestTextIsAnIdentityFile(t *testing.T) {
	c := sample(t)
	ids, err := agekey.ParseIdentities("card", c.Text(), nil)
	if err != nil || len(ids) != 1 {
		t.Fatalf("%d identities, %v", len(ids), err)
	}
}

// What the codes hold, in order, is a card too.
func TestCodesReadBack(t *testing.T) {
	c := sample(t)
	parts := c.parts()
	for _, p := range parts {
		if len(p) > bytesPerCode+100 {
			t.Errorf("a code of %d bytes", len(p))
		}
	}
	if _, err := mustParse(t, []byte(strings.Join(parts, ""))).Access(); err != nil {
		t.Error(err)
	}
	var page bytes.Buffer
	if err := c.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(page.String(), "data:image/png;base64,"); n != len(parts) {
		t.Errorf("%d codes on the page, want %d", n, len(parts))
	}
	if strings.Contains(page.String(), "http://") || strings.Contains(page.String(), "https://") {
		t.Error("the page loads something from elsewhere")
	}
}

// A person types what a printer printed: other line ends, no comment signs,
// blank lines.
func TestParseForgives(t *testing.T) {
	c := sample(t)
	text := strings.ReplaceAll(strings.ReplaceAll(string(c.Text()), "# ", "  "), "\n", "\r\n\r\n")
	if _, err := mustParse(t, []byte(text)).Access(); err != nil {
		t.Error(err)
	}
}

func TestParseSaysWhatIsMisread(t *testing.T) {
	c := sample(t)
	text := string(c.Text())
	key := string(c.Recovery.Secret.Reveal())
	cases := map[string]struct{ text, want string }{
		"nothing":             {"", "no recovery card"},
		"another file":        {"hosts: {}", "no recovery card"},
		"a wrong character":   {strings.Replace(text, key, key[:30]+"B"+key[31:], 1), "key was read wrongly"},
		"no key":              {strings.Replace(text, key, "", 1), "has no key"},
		"a cut block":         {text[:strings.Index(text, armorEnd)], "missing or cut off"},
		"no block":            {strings.SplitAfter(text, key)[0], "missing or cut off"},
		"a block's character": {flip(text), "block was read wrongly"},
		"no checksum":         {text[:strings.Index(text, "# sha256")], "block was read wrongly"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), key[20:]) {
				t.Error("the error repeats the key")
			}
		})
	}
}

// flip changes one character of the block.
func flip(text string) string {
	i := strings.Index(text, armorBegin) + len(armorBegin) + 40
	other := "A"
	if text[i] == 'A' {
		other = "B"
	}
	return text[:i] + other + text[i+1:]
}

func TestAccessOfAnotherFleetOrKey(t *testing.T) {
	c := sample(t)
	c.Fleet = "office"
	if _, err := c.Access(); err == nil || !strings.Contains(err.Error(), "fleet") {
		t.Errorf("another fleet: %v", err)
	}
	c = sample(t)
	c.Recovery = sample(t).Recovery
	if _, err := c.Access(); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("another key: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample(f).Text())
	f.Add([]byte(title + "x, made 2026-13-45 from commit "))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(c.Text())
		if err != nil {
			t.Fatalf("what was read does not read back: %v", err)
		}
		if again.Recovery.Recipient != c.Recovery.Recipient || !bytes.Equal(again.Sealed, c.Sealed) {
			t.Fatal("what was read reads back as something else")
		}
	})
}
