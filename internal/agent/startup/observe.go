package startup

import (
	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostprep"
)

func PreparationOf(spec agentapi.Host) hostprep.Spec {
	return hostprep.Spec{Docker: spec.Docker, LetIn: hostprep.LetIn(spec.SSH), Signers: here.SignersFile(spec.Fleet, spec.Signers)}
}
