package wayin

import (
	"context"
	"errors"
	"strings"

	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// Leave removes what would not work without Salvor, and returns what there was of it: the firewall, and what takes
// changes back. sshd's drop-in stays: without it, passwords would be taken again. A change that is not confirmed is
// taken back first, since nothing would do that later. It may be called again.
func Leave(ctx context.Context, m machine.Machine) ([]string, error) {
	if _, err := Undo(ctx, m, ""); err != nil {
		return nil, err
	}
	units := []string{firewallService, undoTimer, undoService}
	var paths []string
	for _, unit := range units {
		paths = append(paths, unitDir+unit)
	}
	h := observe.New(m, observe.Query{Paths: paths})
	var removed []string
	for i, unit := range units {
		is, err := h.File(ctx, paths[i])
		if err != nil {
			return removed, err
		}
		if !is.Exists {
			continue
		}
		if err := errors.Join(systemctl(ctx, m, "disable", unit), systemctl(ctx, m, "stop", unit), remove(ctx, m, paths[i])); err != nil {
			return removed, err
		}
		removed = append(removed, strings.TrimSuffix(unit, ".service"))
	}
	table, err := listed(ctx, m)
	if err != nil || table == nil {
		return removed, err
	}
	return append(removed, "the firewall's table inet salvor"), restore(ctx, m, nil)
}
