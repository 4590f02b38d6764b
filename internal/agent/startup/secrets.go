package startup

import (
	"context"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/journal"
)

// KindSecrets is the journal's kind of a delivery.
const KindSecrets = "secrets"

// writeSecrets writes a stack's secrets into memory, and into the journal which.
func (s *Start) writeSecrets(ctx context.Context) error {
	sealed, err := s.WithTailnet(ctx)
	if err != nil {
		return err
	}
	report, err := delivery.Deliver(s.Host.Paths.Secrets(), delivery.Secrets{Stack: s.Name, Mounts: s.Project.Secrets, Env: s.Project.Env, Sealed: sealed})
	if err != nil || len(report.Services) == 0 && !report.Env {
		return err
	}
	s.Host.Enter(journal.Entry{Kind: KindSecrets, Stack: s.Name, Commit: s.Run.Spec.Commit, Services: report.Services, Secrets: delivered(s.Stack.Stack, report)})
	return nil
}

// delivered names what a delivery wrote, as `salvor secret ls` does.
func delivered(st agentapi.Stack, report delivery.Report) []string {
	var names []string
	for _, m := range st.Project.Secrets {
		name, isFile := m.File()
		if !isFile {
			name = st.Name + "/" + m.Secret
		}
		if slices.Contains(report.Services, m.Service) {
			names = append(names, name)
		}
	}
	if report.Env {
		for _, key := range st.Project.SecretEnv() {
			names = append(names, st.Name+"/"+key)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
