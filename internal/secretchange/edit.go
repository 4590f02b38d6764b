package secretchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
	"salvor/internal/secretstore"
)

// An Edit is a secret's text on its way through an editor.
type Edit struct {
	Name  string       // as for PrepareSet, or STACK.env: all of a stack's variables
	File  string       // a file name from which an editor sees the format
	Text  secret.Value // as it is now, with a line end
	stack string       // whose variables they are, "" for a single value
	ends  bool         // the value itself ends with a line end
}

// BeginEdit opens a secret, or with STACK.env all variables of a stack, as text.
func (c *Changes) BeginEdit(ctx context.Context, name string) (Edit, error) {
	e := Edit{Name: name, File: name[strings.LastIndexByte(name, '/')+1:]}
	var value secret.Value
	var err error
	if stack, all := strings.CutSuffix(name, ".env"); all && fleet.ValidName(stack) == nil {
		e.stack = stack
		value, err = c.identity.Store.EnvText(stack)
	} else {
		value, err = c.identity.Secret(ctx, name)
	}
	if errors.Is(err, secret.ErrNotFound) {
		return e, fault.WithHint(err, "salvor secret set NAME creates one, salvor secret ls lists them")
	}
	text := value.Reveal()
	switch {
	case err != nil:
		return e, err
	case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
		return e, fault.WithHint(fmt.Errorf("%s is not text, and an editor would damage it", name), "salvor secret set "+name+" reads a new value from standard input")
	}
	e.ends = bytes.HasSuffix(text, []byte("\n"))
	if e.Text = value; !e.ends {
		e.Text = secret.NewString(string(text) + "\n")
	}
	return e, nil
}

// PrepareEdit encrypts an edited text and proposes to commit it; changed is false where
// the text says what it said. Errors in a STACK.env name the line.
func (c *Changes) PrepareEdit(ctx context.Context, e Edit, text secret.Value) (p proposal.Proposal[Changed], changed bool, err error) {
	files, err := c.edited(ctx, e, text)
	return c.proposed("edit", e.Name, files), len(files) > 0, err
}

// edited returns what an edit changes in the repository, nil for nothing.
func (c *Changes) edited(ctx context.Context, e Edit, text secret.Value) (secretstore.Changes, error) {
	content := text.Reveal()
	switch {
	case bytes.Equal(content, e.Text.Reveal()):
		return nil, nil
	case len(bytes.TrimSpace(content)) == 0:
		return nil, fmt.Errorf("%s is empty now; nothing was changed", e.Name)
	case !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0:
		return nil, fmt.Errorf("%s is not text in UTF-8", e.Name)
	case e.stack != "":
		return c.editedEnv(ctx, e, text)
	}
	if !e.ends { // the line end is the editor's
		content = bytes.TrimSuffix(content, []byte("\n"))
		if bytes.Equal(append(bytes.Clone(content), '\n'), e.Text.Reveal()) {
			return nil, nil
		}
	}
	return c.Encrypt(ctx, e.Name, secret.New(content))
}

// editedEnv is edited for all variables of a stack.
func (c *Changes) editedEnv(ctx context.Context, e Edit, text secret.Value) (secretstore.Changes, error) {
	if err := c.confirmed.MayEncrypt(ctx); err != nil {
		return nil, err
	}
	files, changed, err := c.identity.Store.Writer().ReplaceEnv(e.stack, text)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	if err := c.confirmed.NoteMade(ctx, secretnames.InStack(e.stack, changed)...); err != nil {
		return nil, err
	}
	return files, c.exposed.NoteChanged(files, secretnames.InStack(e.stack, changed)...)
}
