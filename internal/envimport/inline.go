package envimport

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/scan"
	"salvor/internal/secret"
	"salvor/internal/stack/compose"
	"salvor/internal/yamldoc"
)

// isCompose reports whether a file is taken for a Compose file, in which secrets are written
// out, and not for an env file.
func isCompose(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

// readInline makes variables of the secrets that a Compose file writes out, and the text that
// names them instead.
func (i *importing) readInline() error {
	if !i.composedOf(i.source.repo) {
		return fault.WithHint(fmt.Errorf("%s is not a Compose file of %s, so it can't name variables", i.source.shown, i.stack.Name),
			"delete it if nothing needs it, or encrypt all of it (docs/secrets.md); if it is not real, in fleet.yaml: scan: {allow: ["+i.source.repo+"]}")
	}
	content, err := i.file(i.stackState, i.source.repo)
	if err != nil {
		return err
	}
	in := &inlining{importing: i, text: content, taken: map[string]secret.Value{}}
	found := i.scanner.Find(i.source.repo, content)
	slices.SortStableFunc(found, func(a, b scan.Found) int { return cmp.Compare(in.rank(a), in.rank(b)) })
	var named []scan.Found
	for _, f := range found {
		if as := in.name(f); as != "" {
			f.Name = as
			named = append(named, f)
		}
	}
	switch {
	case len(i.entries) == 0 && i.source.nowhere:
		return nil // its secrets have variables by now
	case len(i.entries) == 0:
		return fault.WithHint(fmt.Errorf("%s has no secret that a variable can replace", i.source.shown), "salvor check")
	}
	slices.SortFunc(named, func(a, b scan.Found) int { return cmp.Compare(b.Start, a.Start) })
	for _, f := range named {
		in.replace(f)
	}
	i.inlined = in.text
	return nil
}

// inlining is a Compose file whose secrets get names.
type inlining struct {
	*importing
	text  []byte
	taken map[string]secret.Value // names that were given
}

// rank has keys name their values first: a password in a URL is often one of those.
func (in *inlining) rank(f scan.Found) int {
	if f.Rule == scan.RuleURL {
		return 1
	}
	return 0
}

// noWord is what a variable's name can't have.
var noWord = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// name gives a value a name in the stack, "" if it is not one that a variable can replace, or a
// default that does not take effect.
func (in *inlining) name(f scan.Found) string {
	value := secret.NewString(strings.ReplaceAll(string(in.text[f.Start:f.End]), "$$", "$"))
	wanted := f.Name
	switch {
	case f.Rule == scan.RulePrivateKey || f.Rule == scan.RuleUnencrypted:
		return ""
	case f.Default != "":
		return in.nameDefault(strings.Fields(f.Default), f.Line, value)
	case f.Rule == scan.RuleURL:
		for _, e := range in.entries {
			if equal(e.Value, value) {
				return e.as
			}
		}
		wanted += "_PASSWORD"
	}
	if !fleet.IsVariable(wanted) {
		wanted = strings.ToUpper(strings.Trim(noWord.ReplaceAllString(wanted, "_"), "_"))
	}
	if !fleet.IsVariable(wanted) {
		wanted = "SECRET"
	}
	for n, as := 2, wanted; ; n++ {
		if in.free(as, value) {
			in.take(as, f.Line, value)
			return as
		}
		as = fmt.Sprintf("%s_%d", wanted, n)
	}
}

// nameDefault sets the variable of a default to it, unless it or one around it is set.
func (in *inlining) nameDefault(names []string, line int, value secret.Value) string {
	own := names[len(names)-1]
	for _, name := range names {
		if set, _ := in.lookup(nil)(name); set != "" {
			return ""
		}
	}
	if given, taken := in.taken[own]; taken && !equal(given, value) {
		return "" // two defaults of one variable: only a person knows which one is meant
	}
	in.take(own, line, value)
	return own
}

// free reports whether a name is not given to another value: by the stack, or by a file that
// relies on its not being set.
func (in *inlining) free(as string, value secret.Value) bool {
	if given, taken := in.taken[as]; taken {
		return equal(given, value)
	}
	if set, is := in.lookup(nil)(as); is {
		return set == string(value.Reveal())
	}
	return !in.mentions.Names[as]
}

func (in *inlining) take(as string, line int, value secret.Value) {
	if _, taken := in.taken[as]; !taken {
		in.taken[as] = value
		in.entries = append(in.entries, entry{compose.EnvEntry{Variable: secret.Variable{Name: as, Value: value}, Line: line}, as})
	}
}

// defaultBefore and defaultAfter are what surrounds a variable's default.
var (
	defaultBefore = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*:?-[ \t"']*$`)
	defaultAfter  = regexp.MustCompile(`^[ \t"']*\}`)
)

// replace writes a variable where a value is, or a variable's default. In a mapping between
// braces, text without quotes can't have any.
func (in *inlining) replace(f scan.Found) {
	before, after := in.text[:f.Start], in.text[f.End:]
	if f.Default != "" {
		head, tail := defaultBefore.FindIndex(before), defaultAfter.FindIndex(after)
		if head == nil || tail == nil {
			return // a part of the default: it stays, and the variable wins over it
		}
		before, after = before[:head[0]], after[tail[1]:]
	}
	for _, reference := range []string{"${" + f.Name + "}", "$" + f.Name} {
		text := slices.Concat(before, []byte(reference), after)
		if _, err := yamldoc.Parse(in.source.repo, text); err == nil {
			in.text = text
			return
		}
	}
}

// hadInline reports whether an earlier content of a Compose file has a value written out.
func (i *importing) hadInline(content []byte, e entry) bool {
	return slices.ContainsFunc(i.scanner.Find(i.source.repo, content), func(f scan.Found) bool {
		return bytes.Equal(bytes.ReplaceAll(content[f.Start:f.End], []byte("$$"), []byte("$")), e.Value.Reveal())
	})
}

// findComposed takes the stacks that include a Compose file from elsewhere.
func (b *batch) findComposed(s *source) error {
	found := false
	for _, declared := range b.importer.checkout.Fleet.Stacks {
		st, err := b.state(declared.Name)
		if err != nil {
			return err
		}
		if st.composedOf(s.repo) {
			b.parts, found = append(b.parts, &importing{batch: b, stackState: st, source: s}), true
		}
	}
	if !found {
		return errNoFolder(s)
	}
	return nil
}

// composedOf reports whether a file is one of the stack's Compose files.
func (st *stackState) composedOf(file string) bool {
	return slices.ContainsFunc(st.mentions.Files, func(f compose.File) bool { return f.Name == file })
}

// errNoFolder is why a Compose file from elsewhere can't be imported.
func errNoFolder(s *source) error {
	return fault.WithCode(fault.WithHint(fmt.Errorf("%s is not in a stack's folder, and no stack includes it", s.shown), "copy it to stacks/NAME/ first"), fault.Usage)
}
