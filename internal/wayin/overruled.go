package wayin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/machine"
)

// A Line is a line of sshd's files.
type Line struct {
	File   string
	Number string
	Name   string // of the setting, in small letters
	Value  string
}

// ParseLines reads what `grep -Hn` prints, "FILE:NUMBER:LINE" in each line. It skips lines of another form.
func ParseLines(out []byte) []Line {
	var all []Line
	for text := range strings.Lines(string(out)) {
		parts := strings.SplitN(strings.TrimRight(text, "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		fields := strings.FieldsFunc(parts[2], func(r rune) bool { return r == ' ' || r == '\t' || r == '=' || r == '"' })
		if len(fields) > 1 {
			all = append(all, Line{parts[0], parts[1], strings.ToLower(fields[0]), strings.Join(fields[1:], " ")})
		}
	}
	return all
}

// Overruled says in which settings sshd does otherwise than Salvor's drop-in, and what says so: a line that comes
// first, one for some logins alone (Match), or a configuration that does not include the drop-in. It is empty where
// the drop-in has not been written yet.
func Overruled(ctx context.Context, m machine.Machine, s Spec) ([]string, error) {
	if !s.has(fleet.AreaSSH) {
		return nil, nil
	}
	now, err := ask(ctx, m)
	if errors.Is(err, errUnreadable) {
		return []string{err.Error() + "; until it can, how one gets in is not changed"}, nil
	}
	if err != nil {
		return nil, err
	}
	if now == nil {
		return []string{"the host has no " + program + ": whatever answers there is not Salvor's"}, nil
	}
	if content, err := m.ReadFile(ctx, DropIn); err != nil || string(content) != string(sshd{user: s.User}.content()) {
		return nil, nil // the plan has it
	}
	lines, err := linesOf(ctx, m)
	if err != nil {
		return nil, err
	}
	names, texts := broken(s.User, now)
	var all []string
	for i, name := range names {
		all = append(all, "sshd "+texts[i]+": "+why(lines, name))
	}
	return append(all, matched(lines, s.User)...), nil
}

// linesOf reads the lines of sshd's files that matter here.
func linesOf(ctx context.Context, m machine.Machine) ([]Line, error) {
	names := []string{"include", "match"}
	for _, r := range rules("root") {
		names = append(names, r.name)
	}
	pattern := `^[[:space:]]*(` + strings.Join(names, "|") + `)[[:space:]="]`
	out, err := m.Run(ctx, machine.Cmd{Argv: []string{"grep", "-rHniE", "--include=*.conf", "--include=sshd_config", "-e", pattern, "--", mainFile, folder}, Timeout: quick})
	if exit, ended := errors.AsType[*machine.ExitError](err); ended && exit.Code == 1 {
		return nil, nil
	}
	return ParseLines(out.Stdout), err
}

// why says what keeps the drop-in from counting for a setting.
func why(lines []Line, name string) string {
	for _, l := range lines {
		if l.Name == name && l.File != DropIn && (l.File < DropIn || l.File == mainFile) {
			return fmt.Sprintf("%s, line %s, comes first", l.File, l.Number)
		}
	}
	if !slices.ContainsFunc(lines, func(l Line) bool { return l.Name == "include" && strings.HasPrefix(l.Value, folder+"/") }) {
		return fmt.Sprintf("%s does not include %s; its first line should be: Include %s/*.conf", mainFile, folder, folder)
	}
	return "see `sshd -T` there"
}

// matched are the lines that ask otherwise for some logins alone: what follows a Match in the same file.
func matched(lines []Line, user string) []string {
	var all []string
	var within Line
	for _, l := range lines {
		switch {
		case l.Name == "match":
			within = l
		case l.File != within.File || strings.EqualFold(within.Value, "all"):
		default:
			for _, r := range rules(user) {
				if wrong, ok := r.holds(Options{r.name: {strings.ToLower(l.Value)}}); r.name == l.Name && !ok {
					all = append(all, fmt.Sprintf("sshd %s (%s %s) for some logins: %s, line %s, below Match %s", r.says, r.name, wrong, l.File, l.Number, within.Value))
				}
			}
		}
	}
	return all
}
