package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/storage"
	"salvor/internal/terminal"
)

// A Free says how many bytes are free at a place on a remote; nil where it does not say.
type Free func(ctx context.Context, where fleet.Location) (*int64, error)

// FirstUploads says of each first snapshot how large it is, how long it takes at the speed that
// its host measured, or at that which the remote's bandwidth allows, and how much is free there. One that can't fit is a fatal finding about its
// stack: all that goes to one remote counts together, in the order of the names.
func FirstUploads(ctx context.Context, f *fleet.Fleet, seen map[string]Observation, free Free) []finding.Finding {
	if free == nil {
		return nil
	}
	var all []finding.Finding
	left := map[string]*int64{} // by remote
	for _, host := range slices.Sorted(maps.Keys(seen)) {
		if seen[host].Err != nil || seen[host].State.Report == nil {
			continue
		}
		for _, up := range seen[host].State.Report.First {
			i := slices.IndexFunc(f.Snapshots, func(t fleet.Target) bool { return t.Name == up.Target })
			if i < 0 {
				continue
			}
			where := f.Snapshots[i].Where
			room, asked := left[where.Remote]
			if !asked {
				room, _ = free(ctx, where) // one that does not answer says nothing: the upload will
			}
			said := firstUpload(host, up, room, storage.TimetableOf(f, where.Remote))
			if room != nil && said.Severity == finding.Info {
				rest := *room - up.Bytes
				room = &rest
			}
			left[where.Remote] = room
			all = append(all, said)
		}
	}
	return all
}

func firstUpload(host string, up agentapi.FirstUpload, room *int64, allowed storage.Timetable) finding.Finding {
	size := terminal.Bytes(up.Bytes)
	if up.More {
		size = "more than " + size
	}
	said := finding.Finding{Code: finding.FirstUpload, Severity: finding.Info, Subject: host + "/" + up.Stack,
		Text: fmt.Sprintf("the first snapshot uploads up to %s to %s: %s, %s", size, up.Target, lasts(up, allowed), freeText(room)),
		Fix:  "nothing to do: it has no time limit, and one that is interrupted continues"}
	if up.Speed == 0 {
		said.Fix = "salvor remote test measures how fast a remote is"
	}
	if room == nil || up.Bytes <= *room {
		return said
	}
	said.Code, said.Severity, said.Stack = finding.DoesNotFit, finding.Fatal, up.Stack
	said.Text = fmt.Sprintf("its first snapshot does not fit on %s: %s, of which %s", up.Target, size, freeText(room))
	said.Fix = "make room on the remote, choose another one under data.snapshots, or leave volumes out with protect: none"
	if _, own := fleet.OwnerOf(up.Stack); own {
		said.Severity, said.Stack = finding.Warning, ""
	}
	return said
}

func lasts(up agentapi.FirstUpload, allowed storage.Timetable) string {
	took, limited := allowed.Uploading(up.Bytes, up.Speed, time.Now())
	switch {
	case limited && up.Speed == 0:
		return fmt.Sprintf("at least %s, as the remote's bandwidth allows", terminal.Duration(took))
	case limited:
		return fmt.Sprintf("about %s, as the remote's bandwidth allows", terminal.Duration(took))
	case up.Speed == 0:
		return "how long that takes is not known, since this host has not uploaded much there yet"
	}
	return fmt.Sprintf("about %s at %s a second", terminal.Duration(took), terminal.Bytes(up.Speed))
}

func freeText(room *int64) string {
	if room == nil {
		return "the remote does not say what is free"
	}
	return terminal.Bytes(max(*room, 0)) + " are free there"
}
