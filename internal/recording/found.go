package recording

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/record"
)

// Owner is who has a stack by a ruling, under the name that the machine has now by the
// hosts' recipients.
func Owner(by record.Ruling, recipients map[string]string) deploy.Owner {
	o := deploy.Owner{Host: by.Owner, Key: by.Key, Epoch: by.Epoch}
	for name, key := range recipients {
		if by.Key != "" && key == by.Key {
			o.Host = name
		}
	}
	return o
}

// Used returns the repositories of a stack's name on targets that have a snapshot, each as
// "TARGET ID".
func Used(ctx context.Context, targets []fleet.Target, stack string, open record.Open) ([]string, error) {
	var used []string
	for _, t := range targets {
		folder, err := open(ctx, fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack)})
		if err != nil {
			return nil, fmt.Errorf("snapshot target %s: %w", t.Name, err)
		}
		objects, err := folder.List(ctx, "")
		err = errors.Join(err, folder.Close(context.WithoutCancel(ctx)))
		if err != nil {
			return nil, fmt.Errorf("snapshot target %s: %w", t.Name, err)
		}
		for _, o := range objects {
			if id, rest, _ := strings.Cut(o.Path, "/"); strings.HasPrefix(rest, "snapshots/") {
				used = append(used, t.Name+" "+id)
			}
		}
	}
	return used, nil
}

// Facts returns what hosts wrote down about the placements of a lock, by stack, under the
// names that the hosts have now. Findings are about files that do not count.
func Facts(ctx context.Context, rec *record.Record, lock fleet.Lock, hosts []fleet.Host) (found map[string][]placement.Learned, ignored []finding.Finding, _ error) {
	found = map[string][]placement.Learned{}
	for name, p := range lock.Stacks {
		facts, passed, err := rec.Facts(ctx, name, p.Epoch)
		if err != nil {
			return found, ignored, err
		}
		ignored = append(ignored, record.Findings(name, passed)...)
		for _, f := range facts {
			found[name] = append(found[name], placement.Learned{Host: calledNow(f.Host, hosts), Epoch: f.Epoch, Images: f.Images, Born: f.Born, Wish: f.Wish})
		}
	}
	return found, ignored, nil
}

// calledNow is the name that a host has now.
func calledNow(name string, hosts []fleet.Host) string {
	for _, h := range hosts {
		if h.Formerly != "" && name == h.Formerly {
			return h.Name
		}
	}
	return name
}
