package identity

import (
	"context"

	"filippo.io/age/plugin"

	"salvor/internal/machine"
	"salvor/internal/secret/command"
)

// asking gives each program the terminal to itself: it may ask the operator.
type asking struct {
	command.Runner
	ask func(func())
}

// Run implements command.Runner.
func (a asking) Run(ctx context.Context, c machine.Cmd) (out machine.Output, err error) {
	a.ask(func() { out, err = a.Runner.Run(ctx, c) })
	return out, err
}

// pluginUI lets age plugins ask at the terminal, one question at a time.
func (id *Identity) pluginUI() *plugin.ClientUI {
	ui := plugin.NewTerminalUI(id.opts.Say, id.opts.Say)
	display, request, confirm := ui.DisplayMessage, ui.RequestValue, ui.Confirm
	ui.DisplayMessage = func(name, message string) (err error) {
		id.opts.Ask(func() { err = display(name, message) })
		return err
	}
	ui.RequestValue = func(name, prompt string, hide bool) (value string, err error) {
		id.opts.Ask(func() { value, err = request(name, prompt, hide) })
		return value, err
	}
	ui.Confirm = func(name, prompt, yes, no string) (chosen bool, err error) {
		id.opts.Ask(func() { chosen, err = confirm(name, prompt, yes, no) })
		return chosen, err
	}
	return ui
}
