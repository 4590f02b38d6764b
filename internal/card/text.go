package card

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

const (
	title      = "Salvor recovery card of the fleet "
	armorBegin = "-----BEGIN AGE ENCRYPTED FILE-----"
	armorEnd   = "-----END AGE ENCRYPTED FILE-----"
	keyBegin   = "AGE-SECRET-KEY-1"
)

// keyLines are the lines that hold the key.
func (c Card) keyLines() []string {
	return []string{"# " + title + c.Fleet + ", made " + c.Made.UTC().Format(time.DateOnly) + " from commit " + c.Commit, string(c.Recovery.Secret.Reveal())}
}

// accessLines are the lines that hold the encrypted block and its checksum.
func (c Card) accessLines() []string {
	lines := []string{}
	for line := range strings.Lines(string(c.Sealed)) {
		lines = append(lines, "# "+strings.TrimSpace(line))
	}
	return append(lines, "# sha256 of the block: "+checksum(c.Sealed))
}

// checksum is over the block's characters without white space, which a person or
// a scanner may change.
func checksum(block []byte) string {
	sum := sha256.Sum256([]byte(strings.Join(strings.Fields(string(block)), "")))
	return hex.EncodeToString(sum[:8])
}

// Text is the card as a file: lines of at most 100 characters, the same for the
// same card.
func (c Card) Text() []byte {
	lines := c.keyLines()
	lines = append(lines,
		"#",
		"# The line above is the recovery key. It opens every secret and every snapshot of the fleet",
		"# and has no passphrase: keep this page as you would keep cash, and in another building than your servers.",
		"#")
	lines = append(lines, c.steps()...)
	for _, f := range c.Signers.Fingerprints() {
		lines = append(lines, "# The fleet's signing key is "+f+".")
	}
	lines = append(lines, "#", "# How to reach the repository and the remotes, encrypted to the key above:")
	lines = append(lines, c.accessLines()...)
	return []byte(strings.Join(lines, "\n") + "\n")
}

// steps say what to do with the card.
func (c Card) steps() []string {
	return []string{
		"# " + c.whereabouts(),
		"# Everything is lost? On any computer with the salvor program, and this text in a file:",
		"#   salvor clone --card FILE " + c.Fleet,
		"#   salvor -C " + c.Fleet + " --identity FILE recover OLDHOST --to NEWHOST=root@ADDRESS",
		"# A host lets no one in? At its provider's console, as root (manage: ssh, firewall):",
		"#   rm -f /etc/ssh/sshd_config.d/00-salvor.conf && systemctl reload ssh",
		"#   systemctl disable salvor-firewall; nft delete table inet salvor",
		"# Without salvor: age -d -i FILE opens sealed/recovery/*.age, which show how restic opens the snapshots.",
	}
}

// whereabouts says where the repository is when every computer is gone.
func (c Card) whereabouts() string {
	switch {
	case c.GitURL == "" && !c.Mirrored:
		return "The fleet has no Git remote and no remote: keep a copy of the repository with this page."
	case c.GitURL == "":
		return "The repository has no Git remote; its encrypted mirror is on the fleet's remote."
	case !c.Mirrored:
		return "The repository: " + c.GitURL + "; the fleet has no remote for a mirror of it."
	}
	return "The repository: " + c.GitURL + "; its encrypted mirror is on the fleet's remote."
}

var titleLine = regexp.MustCompile(regexp.QuoteMeta(title) + `([a-z0-9][a-z0-9_-]*), made (\d{4}-\d{2}-\d{2}) from commit ([0-9a-f]*)`)

// Parse reads a card from a text that holds it: the file, or what a scanner or
// a person made of the page. What is missing or misread is an error that says
// which part; it repeats nothing of the key.
func Parse(text []byte) (Card, error) {
	var c Card
	head := titleLine.FindSubmatch(text)
	if head == nil {
		return c, errors.New("no recovery card: the line \"" + title + "…\" is missing")
	}
	c.Fleet, c.Commit = string(head[1]), string(head[3])
	var err error
	if c.Made, err = time.Parse(time.DateOnly, string(head[2])); err != nil {
		return c, fmt.Errorf("the card's date: %w", err)
	}
	var block, sum string
	inBlock := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "#"))
		switch {
		case strings.HasPrefix(line, keyBegin):
			if c.Recovery, err = agekey.ParseKey(secret.NewString(line)); err != nil {
				return c, errors.New("the card's key was read wrongly: a character is wrong or missing")
			}
		case line == "":
		case line == armorBegin, inBlock:
			inBlock = line != armorEnd
			block += line + "\n"
		case strings.HasPrefix(line, "sha256 of the block:"):
			sum = strings.TrimSpace(strings.TrimPrefix(line, "sha256 of the block:"))
		}
	}
	switch {
	case c.Recovery.Recipient == "":
		return c, errors.New("the card has no key: a line " + keyBegin + "… is missing")
	case block == "" || inBlock:
		return c, errors.New("the card's encrypted block is missing or cut off")
	case sum != checksum([]byte(block)):
		return c, fmt.Errorf("the card's encrypted block was read wrongly: its checksum is %s, the card has %s", checksum([]byte(block)), sum)
	}
	c.Sealed = bytes.TrimSpace([]byte(block))
	return c, nil
}
