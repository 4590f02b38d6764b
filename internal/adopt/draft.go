package adopt

import (
	"bytes"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/terminal"
)

// draftHead is the comment in front of a Compose file that was made of containers: why, what
// they could not say, and what to do with it.
func draftHead(p agentapi.RunningProject, stack, host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# A draft: salvor adopt made it of the containers of project %s on %s.
# Why: %s.
# It says with what they were made, in addition to their images. They do not say how their images were built, which
# profiles there were, which secrets and configs Compose copied into them, and what was changed inside of them since.
`, p.Name, host, terminal.Line(p.Incomplete))
	for _, text := range p.Unknown {
		fmt.Fprintf(&b, "# Not known of %s.\n", terminal.Line(text))
	}
	fmt.Fprintf(&b, `# Look through it. Then salvor apply --adopt %s makes the containers again from this file; their data stays.

`, stack)
	return b.Bytes()
}
