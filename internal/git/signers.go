package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
)

// ErrUnsigned is wrapped by errors that mean: a commit has no good signature by a
// key that is listed.
var ErrUnsigned = errors.New("not signed by a listed key")

// signersFile has the list that a clone trusts, gpgFile its part for GnuPG: in the
// clone's own folder, where no commit reaches.
const (
	signersFile = "allowed_signers"
	gpgFile     = "gpg_signers"
)

// Signers returns the list that this clone trusts: empty before the first commit that
// it was taken from.
func (g *Repository) Signers() (s fleet.Signers, err error) {
	file, err := g.OwnFile(signersFile)
	if err != nil {
		return s, err
	}
	if s.SSH, err = os.ReadFile(file); ignoreMissing(err) != nil {
		return s, err
	}
	gpg, err := os.ReadFile(filepath.Join(filepath.Dir(file), gpgFile))
	s.GPG = strings.Fields(string(gpg))
	return s, ignoreMissing(err)
}

// SetSigners makes this clone accept only commits that a listed key signed; an empty list
// ends that. The caller has checked that a key of the present list signed the new one.
// It may be called again with the same list.
func (g *Repository) SetSigners(s fleet.Signers) error {
	file, err := g.OwnFile(signersFile)
	if err != nil {
		return err
	}
	gpg := filepath.Join(filepath.Dir(file), gpgFile)
	if s.Empty() {
		return errors.Join(ignoreMissing(os.Remove(gpg)), ignoreMissing(os.Remove(file)))
	}
	if err := atomicfile.Write(gpg, strings.NewReader(strings.Join(s.GPG, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return atomicfile.Write(file, bytes.NewReader(s.SSH), 0o644)
}

// Signed returns nil when a commit has a good signature by one of the keys; else the
// error wraps ErrUnsigned and says what it has. Git checks it: SSH signatures by
// ssh-keygen against the list alone, those of GnuPG by the operator's own keyring and
// then against the list. https://git-scm.com/docs/pretty-formats has the letters.
func (g *Repository) Signed(ctx context.Context, id Commit, by fleet.Signers) error {
	list, err := g.OwnFile("checking_signers")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(list, bytes.NewReader(by.SSH), 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(list) }() // the next check writes it again
	out, err := g.output(ctx, "-c", "gpg.ssh.allowedSignersFile="+list, "-c", "gpg.minTrustLevel=undefined", "show", "--no-patch", "--no-show-signature", "--format=%G?%n%GF%n%GP", string(id))
	if err != nil {
		return fmt.Errorf("check the signature of %s: %w", id.Short(), err)
	}
	lines := append(strings.Split(out, "\n"), "", "", "")
	state, key, primary := lines[0], lines[1], lines[2]
	ssh := strings.HasPrefix(key, "SHA256:")
	switch {
	case state == "N":
		return fmt.Errorf("commit %s has no signature: %w", id.Short(), ErrUnsigned)
	case ssh && state == "G",
		!ssh && (state == "G" || state == "U") && (slices.Contains(by.GPG, key) || slices.Contains(by.GPG, primary)):
		return nil
	case state == "G" || state == "U":
		return fmt.Errorf("commit %s is signed by %s: %w", id.Short(), key, ErrUnsigned)
	}
	return fmt.Errorf("commit %s has a signature that git does not accept (%s): %w", id.Short(), badness(state), ErrUnsigned)
}

func badness(state string) string {
	switch state {
	case "B":
		return "bad"
	case "X", "Y":
		return "expired"
	case "R":
		return "by a revoked key"
	}
	return "it can't be checked here"
}

// OnlySigned has Salvor's own commits signed too, by a key of the list: one that
// is not is never on the branch.
func (g *Repository) OnlySigned(by fleet.Signers) { g.signers = by }

// signs reports whether Salvor's own commits are to be signed.
func (g *Repository) signs(ctx context.Context) bool {
	if !g.signers.Empty() {
		return true
	}
	sign, err := g.line(ctx, "config", "--type=bool", "--get", "commit.gpgSign")
	return err == nil && sign == "true"
}

// hintSigning shows how to configure the key that git signs with.
const hintSigning = "git config gpg.format ssh && git config user.signingKey ~/.ssh/id_ed25519.pub, with a key that fleet.yaml's git: signers lists"

func (g *Repository) ownSigned(ctx context.Context, id Commit) error {
	if g.signers.Empty() {
		return nil
	}
	if err := g.Signed(ctx, id, g.signers); err != nil {
		return fault.WithHint(fmt.Errorf("nothing was committed: %w", err), hintSigning)
	}
	return nil
}

// ErrNoSigningKey means that the operator's git signs with no SSH key.
var ErrNoSigningKey = errors.New("git is not configured to sign with an SSH key")

// SigningKey returns the public SSH key that the operator's git signs with, as
// user.signingKey names it: "TYPE BASE64". always reports that it signs every commit.
func SigningKey(ctx context.Context, m machine.Machine, environ []string) (key string, always bool, err error) {
	g := &Repository{reader: reader{m: m, dir: os.TempDir(), env: gitEnv(environ)}}
	format, err := g.line(ctx, "config", "--global", "--get", "gpg.format")
	if err != nil || format != "ssh" {
		return "", false, ErrNoSigningKey
	}
	named, err := g.line(ctx, "config", "--global", "--type=path", "--get", "user.signingKey")
	if err != nil || named == "" {
		return "", false, ErrNoSigningKey
	}
	if key = readSigningKey(named); key == "" {
		return "", false, fmt.Errorf("user.signingKey %q: %w", named, ErrNoSigningKey)
	}
	sign, err := g.line(ctx, "config", "--global", "--type=bool", "--get", "commit.gpgSign")
	return key, err == nil && sign == "true", nil
}

// readSigningKey takes what git does: a literal key, a public key's file, or a private
// one's with the public one next to it.
func readSigningKey(named string) string {
	text := strings.TrimPrefix(named, "key::")
	for _, file := range []string{named, named + ".pub"} {
		if content, err := os.ReadFile(file); err == nil && !bytes.Contains(content, []byte("PRIVATE KEY")) {
			text = string(content)
		}
	}
	if f := strings.Fields(text); len(f) > 1 && publicTypePattern.MatchString(f[0]) {
		return f[0] + " " + f[1]
	}
	return ""
}

var publicTypePattern = regexp.MustCompile(`^(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+$`)
