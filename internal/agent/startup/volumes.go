package startup

import (
	"fmt"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// refusal turns the first refused volume into an error.
func refusal(st agentapi.Stack, decided map[string]snapshot.Decision) error {
	for _, v := range st.Volumes {
		if d := decided[v.Name]; d.Action == snapshot.Refuse {
			return fault.WithHint(fmt.Errorf("stack %s is not started: volume %s: %s", st.Name, v.Name, d.Reason), d.Hint)
		}
	}
	return nil
}

// markVolumes makes ready what needs no snapshot: new volumes, empty, and those whose
// data is here. What is to be restored is marked as such before anything of the
// stack exists, so that what Docker puts there is not taken for data.
func (s *Start) markVolumes(decided map[string]snapshot.Decision) error {
	for _, v := range s.Protected() {
		m := snapshot.Marker{Identity: s.Identity(v.Name), Epoch: s.Epoch}
		d, err := decided[v.Name], error(nil)
		switch d.Action {
		case snapshot.StartEmpty:
			err = s.Host.Snapshots.StartEmpty(s.Name, v, m)
		case snapshot.Rename:
			was, _, _ := s.Host.Snapshots.Former(s.Name, v, s.Identity(v.Formerly), s.Epoch)
			err = s.Host.Snapshots.Rename(s.Name, was, v, m)
		case snapshot.Accept:
			s.acceptData(v, m, d.Reason)
		case snapshot.Hydrate:
			err = s.Host.Snapshots.Expect(s.Name, v, m.Identity, m.Epoch)
		}
		if err != nil {
			return fmt.Errorf("stack %s: volume %s: %w", s.Name, v.Name, err)
		}
	}
	return nil
}

// acceptData takes the data that is in a volume's place, and says so. Where the
// marker can't be written the stack starts anyway: the data is its own.
func (s *Start) acceptData(v snapshot.Volume, m snapshot.Marker, why string) {
	err := s.Host.Snapshots.Accept(s.Name, v, m)
	s.Host.Enter(journal.Entry{Kind: "volume", Stack: s.Name, Commit: s.Run.Spec.Commit, Text: "volume " + v.Name + " is used as it is on this host: " + why, Error: here.ErrorText(err)})
	if s.Consent == project.ConsentAdopt {
		return // it was asked to
	}
	s.Run.Warn(s.Name, finding.Finding{
		Code: finding.VolumeTaken, Severity: finding.Info, Subject: s.Run.Spec.Name + "/" + s.Name + "/" + v.Name,
		Text: "the data on the host was used as it is: " + why, Fix: "nothing to do",
	})
}
