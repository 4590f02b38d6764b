package agent

import (
	"context"
	"fmt"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

// Services says which containers stacks have here, by the engine alone.
func (h *Host) Services(ctx context.Context, req agentapi.AskServices, _ progress.Sink) (agentapi.ServiceList, error) {
	list := agentapi.ServiceList{Schema: agentapi.Schema}
	spec, err := h.base().ReadSpec()
	if err != nil {
		return list, err
	}
	seen, err := h.Stacks.Observe(ctx, req.Stacks...)
	if here.NoEngine(err) {
		return list, fmt.Errorf("no Docker engine answers: %w", err)
	}
	if err != nil {
		return list, err
	}
	for _, s := range seen {
		rows, err := h.rows(ctx, s)
		if err != nil {
			return list, err
		}
		one := agentapi.StackServices{Name: s.Stack, Lost: h.base().Local(s.Stack).Lost, Services: append([]agentapi.ServiceRow{}, rows...)}
		if i := slices.IndexFunc(spec.Stacks, func(st agentapi.Stack) bool { return st.Name == s.Stack }); i >= 0 {
			one.Stopped, one.Failed = spec.Stacks[i].Stopped, failedDeploy(h.base().At(spec, spec.Stacks[i]), s)
		}
		list.Stacks = append(list.Stacks, one)
	}
	return list, nil
}

// rows are a stack's services for people.
func (h *Host) rows(ctx context.Context, s stack.State) ([]agentapi.ServiceRow, error) {
	rows, err := h.Stacks.Rows(ctx, s)
	byHand := h.base().ByHand(s.Stack).Services()
	for i, row := range rows {
		rows[i].ByHand = row.State != "running" && slices.Contains(byHand, row.Name)
	}
	return rows, err
}

// Control restarts, starts or stops services of what is deployed here.
func (h *Host) Control(ctx context.Context, req agentapi.Control, sink progress.Sink) (agentapi.Controlled, error) {
	answer := agentapi.Controlled{Schema: agentapi.Schema, Stack: req.Stack}
	known := []agentapi.ControlAction{agentapi.ActionRestart, agentapi.ActionStart, agentapi.ActionStop}
	if !slices.Contains(known, req.Action) || req.Service == "" && req.Action != agentapi.ActionRestart {
		return answer, fmt.Errorf("%q of service %q can't be asked for", req.Action, req.Service)
	}
	k := h.keeper()
	defer k.Close(ctx)
	s, err := k.Placed(req.Stack)
	if err != nil {
		return answer, err
	}
	err = startup.Control(ctx, startup.New(k, s.Spec, sink).On(s), req)
	h.base().Enter(journal.Entry{Kind: string(req.Action), Stack: req.Stack, Owner: req.Owner, Text: req.Service, Error: here.ErrorText(err)})
	if err != nil {
		return answer, err
	}
	seen, err := h.Stacks.Observe(ctx, req.Stack)
	if err != nil {
		return answer, err
	}
	answer.Services, err = h.rows(ctx, seen[0])
	return answer, err
}
