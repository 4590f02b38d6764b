package hostapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
	"salvor/internal/version"
)

const convergeUsage = "usage: salvord converge [--only AREA]... [--check] <REQUEST"

// convergeHost is `salvord converge`: it reads one request, whose body is an
// agentapi.Converge, prepares the host, and writes one agentapi.Converged to out. Its steps
// are on errOut. The exit code is that of the answer's error.
func convergeHost(ctx context.Context, h *agent.Host, args []string, in io.Reader, out, errOut io.Writer) int {
	o, err := convergeOptions(args)
	if err != nil {
		terminal.Printf(errOut, "salvord: %s\n%s\n", terminal.Text(err.Error()), convergeUsage)
		return fault.Usage
	}
	ctx, stop := whileRead(ctx, out)
	defer stop()
	answer, err := converged(ctx, h, in, o, errOut)
	code := fault.OK
	if err != nil {
		answer.Error = wireError(err)
		code = answer.Error.Code
	}
	if err := json.NewEncoder(out).Encode(answer); err != nil {
		return end(errOut, err)
	}
	return code
}

func converged(ctx context.Context, h *agent.Host, in io.Reader, o agent.ConvergeOptions, errOut io.Writer) (agentapi.Converged, error) {
	none := agentapi.Converged{Schema: agentapi.Schema, Salvord: version.String(), Check: o.Check, Resources: []agentapi.Converging{}}
	req, err := readRequest(in)
	if err != nil {
		return none, err
	}
	var body agentapi.Converge
	if err := json.Unmarshal(req.Body, &body); err != nil {
		return none, fault.WithCode(fmt.Errorf("read request: %w", err), fault.Usage)
	}
	if body.Host.Fleet == "" || body.Host.Name == "" {
		return none, fault.WithCode(fault.WithHint(errors.New("the request does not say which host of which fleet this is"), "salvor inventory makes it"), fault.Usage)
	}
	answer, err := agent.Converge(ctx, h, body, o, logSink{errOut})
	answer.Outdated = version.Replaces(req.Salvord, answer.Salvord)
	return answer, err
}

// convergeOptions reads the command line of converge.
func convergeOptions(args []string) (o agent.ConvergeOptions, err error) {
	for i := 0; i < len(args); i++ {
		area, given := strings.CutPrefix(args[i], "--only=")
		switch {
		case args[i] == "--check":
			o.Check = true
			continue
		case args[i] == "--only" && i+1 < len(args):
			i++
			area = args[i]
		case !given:
			return o, fmt.Errorf("converge does not know %q", args[i])
		}
		o.Only = append(o.Only, fleet.Area(area))
	}
	return o, nil
}

// whileRead returns a context that ends when what is written to out is not read any more.
func whileRead(ctx context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if pipe, ok := out.(*os.File); ok {
		go watchReader(pipe, func() { cancel(errReaderGone) })
	}
	return ctx, func() { cancel(nil) }
}
