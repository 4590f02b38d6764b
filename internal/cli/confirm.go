package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/grant"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// confirm asks a yes/no question that names its target. Without a terminal it
// takes --yes.
func (g *prompts) confirm(question string) error {
	if g.yes {
		return nil
	}
	if g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New("confirmation needed: "+question), "without a terminal, add --yes"), fault.Usage)
	}
	return g.askYes(question)
}

// askYes asks on the terminal, whatever --yes says.
func (g *prompts) askYes(question string) error {
	answer, err := g.ask(question + " [y/N] ")
	if a := strings.ToLower(answer); err == nil && a != "y" && a != "yes" {
		return errNotConfirmed
	}
	return err
}

// approve asks whether this computer may do what the repository says. That is never
// answered by --yes, which scripts have always: where there is no terminal a flag
// names what is approved.
func (g *prompts) approve(a confirmation.Approval) error {
	given := map[string][]string{"--allow-remote": g.allowRemotes, "--allow-program": g.allowPrograms}
	if slices.Contains(given[a.Flag], a.Value) || a.Flag == "--allow-remote" && slices.Contains(g.grants, "remote/"+a.Value) {
		return nil
	}
	if g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New("confirmation needed: "+a.Question), "without a terminal, "+a.Flag+" "+a.Value+" "+
			"confirms this alone"), fault.Usage)
	}
	return g.askYes(a.Question)
}

// confirmed asks the question of a proposal: with a name to type, if there is one; none
// where it has no question.
func (g *prompts) confirmed(question, name string) error {
	switch {
	case name != "":
		return g.confirmName(question, name)
	case question != "":
		return g.confirm(question)
	}
	return nil
}

// confirmName has the operator type the name of what will lose data.
func (g *prompts) confirmName(warning, name string) error {
	if g.yes {
		return nil
	}
	if g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New(warning), "without a terminal, add --yes"), fault.Usage)
	}
	answer, err := g.ask(terminal.Sprintf("%s\nType %s to continue: ", terminal.Text(warning), name))
	if err == nil && answer != name {
		return errNotConfirmed
	}
	return err
}

// confirmOpen has the operator type a hostname that loses its protection, unless --unprotect
// names it. --yes does not confirm it.
func (g *prompts) confirmOpen(hostname string, named []string) error {
	if slices.Contains(named, hostname) {
		return nil
	}
	warning := "everyone will reach " + hostname + ", which asked for protection until now"
	if g.Term == nil {
		return fault.WithCode(fault.WithHint(errors.New(warning), "without a terminal, --unprotect "+hostname+" confirms this alone"), fault.Usage)
	}
	answer, err := g.ask(terminal.Sprintf("%s\nType %s to continue: ", terminal.Text(warning), hostname))
	if err == nil && answer != hostname {
		return errNotConfirmed
	}
	return err
}

// confirmGrants asks about grants of one name: on a terminal with a question that
// says what each means, else only --grant NAME confirms them. --yes does not.
func (g *prompts) confirmGrants(all []grant.Grant) error {
	name := all[0].Name
	if slices.Contains(g.grants, name) {
		return nil
	}
	if g.Term == nil {
		return grant.Unconfirmed([]string{name + " (" + all[0].Text + ")"})
	}
	question := "Grant " + name + "?"
	for _, each := range all {
		question += "\n  " + each.Text
	}
	return g.askYes(question + "\nIs that intended?")
}

var (
	errNotConfirmed = errors.New("not confirmed, nothing was changed")
	errNothingTyped = fmt.Errorf("nothing was typed: %w", errNotConfirmed)
	errInterrupted  = fault.ErrInterrupted
)

// ask puts a question to the terminal and returns the line that is typed, errNothingTyped
// for the end of the input (Ctrl-D), errInterrupted for Ctrl-C.
func (g *prompts) ask(prompt string) (string, error) {
	text, err := g.typed(prompt, func() (string, error) {
		text, err := line(g.Term)
		if errors.Is(err, io.EOF) {
			terminal.Printf(g.Err, "\n")
		}
		return text, err
	})
	return strings.TrimSpace(text), err
}

// typed shows a prompt and waits for what read returns, or for Ctrl-C: a read from
// a terminal can't be ended, so the reader is left behind then, which ends with
// the program.
func (g *prompts) typed(prompt string, read func() (string, error)) (text string, err error) {
	type answer struct {
		text string
		err  error
	}
	g.progress().Suspend(func() {
		select {
		case <-g.interrupted: // at an earlier question
			err = errInterrupted
			return
		default:
		}
		terminal.Printf(g.Err, "%s", terminal.Text(prompt))
		got := make(chan answer, 1)
		go func() {
			text, err := read()
			got <- answer{text, err}
		}()
		select {
		case a := <-got:
			text, err = a.text, a.err
		case <-g.interrupted:
			terminal.Printf(g.Err, "\n")
			err = errInterrupted
		}
	})
	if errors.Is(err, io.EOF) {
		err = errNothingTyped
	}
	return text, err
}

// hidden asks for a line that the terminal does not show, see ask. It shows nothing from
// before the question on: what is pasted answers at once.
func (g *prompts) hidden(prompt string, tty *os.File) (secret.Value, error) {
	restore, err := withoutEcho(tty)
	if err != nil {
		return secret.Value{}, err
	}
	defer restore()
	text, err := g.typed(prompt, func() (string, error) {
		text, err := line(tty)
		terminal.Printf(g.Err, "\n")
		return text, err
	})
	return secret.NewString(text), err
}

// line reads one line from a terminal, less its end, and not a byte more: what is typed
// ahead answers the next question. An input that ends before its line does is io.EOF.
func line(tty io.Reader) (string, error) {
	var text []byte
	for one := make([]byte, 1); ; {
		switch n, err := tty.Read(one); {
		case err != nil:
			return "", err
		case n == 1 && one[0] == '\n':
			return strings.TrimSuffix(string(text), "\r"), nil
		default:
			text = append(text, one[:n]...)
		}
	}
}
