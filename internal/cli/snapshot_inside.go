package cli

import (
	"context"
	"fmt"
	"time"

	"salvor/internal/parts"
	"salvor/internal/terminal"
)

// runSnapshotInside lists what is at a place of a snapshot.
func runSnapshotInside(ctx context.Context, g *globals, args []string, o lsOptions) error {
	return reading(ctx, g, args, o.at, func(r *parts.Reader, c parts.Choice) error {
		list, err := r.List(ctx, c, o.recursive)
		if err != nil {
			return err
		}
		g.progress().Close()
		if g.json {
			return g.printJSON(list)
		}
		page := g.page()
		printInside(page, list, taken(list.Snapshot))
		return page.Err()
	})
}

// taken is when a snapshot was taken, by the operator's clock.
func taken(s parts.Snapshot) string {
	return fmt.Sprintf("%s, %s old", s.Taken.Local().Format(time.DateTime), terminal.Duration(time.Since(s.Taken)))
}

func printInside(page *terminal.Page, list parts.Contents, taken string) {
	page.Printf("%s in snapshot %.8s of %s (%s)\n", list.Path, list.ID, list.Stack, taken)
	if (parts.Volume{Form: list.Form}).Dump() {
		page.Printf("It is a database's dump, and not its files: salvor restore %s --snapshot %.8s loads it.\n", list.Stack, list.ID)
	}
	if len(list.Volumes) > 0 {
		rows := []terminal.Row{{"VOLUME", "SIZE", "FILES", "AS"}}
		for _, v := range list.Volumes {
			if v.Form == "" {
				rows = append(rows, terminal.Row{v.Name, "-", "-", "unknown: what the snapshot says of itself can't be read"})
				continue
			}
			rows = append(rows, terminal.Row{v.Name, terminal.Bytes(v.Bytes), v.Files, form(v)})
		}
		page.Table("", rows...)
	}
	if len(list.Entries) > 0 {
		rows := []terminal.Row{{"MODE", "OWNER", "SIZE", "CHANGED", "NAME"}}
		for _, e := range list.Entries {
			rows = append(rows, terminal.Row{e.Mode, fmt.Sprintf("%d:%d", e.UID, e.GID), size(e), e.Changed.Local().Format("2006-01-02 15:04"), label(e)})
		}
		page.Table("", rows...)
	}
	if len(list.Entries)+len(list.Volumes) == 0 {
		page.Printf("It is empty.\n")
	}
}

// form says in words how a snapshot has a volume.
func form(v parts.Volume) string {
	if v.Dump() {
		return "dump of the database (" + v.Form + "), not its files"
	}
	return v.Form
}

func size(e parts.Entry) string {
	if e.Type != "file" {
		return "-"
	}
	return terminal.Bytes(e.Bytes)
}

// label is a name with what it is, as ls -F has it.
func label(e parts.Entry) string {
	switch e.Type {
	case "dir":
		return e.Path + "/"
	case "symlink":
		return e.Path + " -> " + e.Target
	}
	return e.Path
}
