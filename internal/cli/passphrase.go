package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// noPassphraseFlag lets a command that makes a key make one without a passphrase.
func (g *prompts) noPassphraseFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&g.noPassphrase, "no-passphrase", false, "leave the key unencrypted: anyone who can read its file can open everything")
}

// newPassphrase asks twice, or reads --passphrase-file once. It is empty only with
// --no-passphrase.
func (g *prompts) newPassphrase() (secret.Value, error) {
	switch {
	case g.noPassphrase && g.passphraseFile != "":
		return secret.Value{}, fault.WithCode(errors.New("a passphrase file and --no-passphrase contradict each other"), fault.Usage)
	case g.noPassphrase:
		return secret.Value{}, nil
	}
	first, err := g.passphrase("Passphrase for your key: ")
	if err != nil {
		return first, err
	}
	if first.IsZero() {
		return first, fault.WithHint(errors.New("an empty passphrase does not protect anything"), "choose one, and keep it in a "+
			"password manager; --no-passphrase leaves the key unencrypted")
	}
	if g.passphraseFile == "" {
		again, err := g.passphrase("The same again: ")
		if err == nil && string(again.Reveal()) != string(first.Reveal()) {
			err = errors.New("the two passphrases differ; no key was made")
		}
		if err != nil {
			return first, err
		}
	}
	return first, nil
}

// protection says how a new key is protected on the disk.
func protection(passphrase secret.Value) string {
	switch {
	case passphrase.IsZero():
		return "unencrypted: anyone who can read the file can open everything"
	case secret.Weak(passphrase):
		return "protected by the passphrase, which someone with the file could guess: six random words are safe"
	}
	return "protected by the passphrase"
}

// showsOnTerminal reports whether a person sees what is printed, and nothing keeps it.
func (g *prompts) showsOnTerminal() bool {
	out, is := terminal.Under(g.Out).(*os.File)
	return is && term.IsTerminal(int(out.Fd()))
}

// keptPrivate is an error where what is printed goes into a file that others may
// read: nothing that holds the recovery key may be there.
func (g *prompts) keptPrivate(hint string) error {
	out, is := terminal.Under(g.Out).(*os.File)
	if !is {
		return nil
	}
	info, err := out.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o066 == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("standard output is a file that other users can read (mode %04o), and the recovery key would be in it", info.Mode().Perm()), hint)
}
