package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"salvor/internal/fault"
	"salvor/internal/secret"
)

// confirm asks a yes/no question that names its target. Without a terminal it
// takes --yes.
func (g *globals) confirm(question string) error {
	if g.yes {
		return nil
	}
	if g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New("confirmation needed: "+question), "add --yes where there is no terminal"), fault.Usage)
	}
	fmt.Fprintf(g.Err, "%s [y/N] ", question)
	answer, err := g.line()
	if err != nil {
		return err
	}
	if a := strings.ToLower(answer); a != "y" && a != "yes" {
		return errors.New("not confirmed, nothing was changed")
	}
	return nil
}

// confirmName has the operator type the name of what will lose data.
func (g *globals) confirmName(warning, name string) error {
	if g.yes {
		return nil
	}
	if g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New(warning), "add --yes where there is no terminal"), fault.Usage)
	}
	fmt.Fprintf(g.Err, "%s\nType %s to go on: ", warning, name)
	answer, err := g.line()
	if err != nil {
		return err
	}
	if answer != name {
		return errors.New("not confirmed, nothing was changed")
	}
	return nil
}

func (g *globals) line() (string, error) {
	text, err := bufio.NewReader(g.Term).ReadString('\n')
	return strings.TrimSpace(text), err
}

// passphrase reads the identity's passphrase: from --passphrase-file, or from
// the terminal without echo.
func (g *globals) passphrase(prompt string) (secret.Value, error) {
	if g.passphraseFile != "" {
		content, err := os.ReadFile(g.passphraseFile)
		if err != nil {
			return secret.Value{}, err
		}
		return secret.New([]byte(strings.TrimRight(string(content), "\r\n"))), nil
	}
	if g.Term == nil {
		return secret.Value{}, fault.WithCode(fault.WithHint(errors.New("no terminal to ask for the passphrase"), "--passphrase-file FILE"), fault.SecretsShut)
	}
	fmt.Fprint(g.Err, prompt)
	typed, err := term.ReadPassword(int(g.Term.Fd()))
	fmt.Fprintln(g.Err)
	return secret.New(typed), err
}
