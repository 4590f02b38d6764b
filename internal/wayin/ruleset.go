package wayin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Ruleset is a table as nft lists it: its chains and rules in order, without handles.
type Ruleset struct{ parts []part }

// A part is one of them: where it is, in words, and all of it.
type part struct{ where, text string }

// An nftObject is one of the objects that `nft -j` prints, as far as it is compared (libnftables-json(5)).
type nftObject struct {
	Metainfo json.RawMessage `json:"metainfo"`
	Table    json.RawMessage `json:"table"`
	Chain    *nftChain       `json:"chain"`
	Rule     *nftRule        `json:"rule"`
	Set      *nftNamed       `json:"set"`
	Map      *nftNamed       `json:"map"`
}

type nftChain struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Hook   string `json:"hook"`
	Prio   int    `json:"prio"`
	Policy string `json:"policy"`
}

type nftRule struct {
	Chain   string          `json:"chain"`
	Comment string          `json:"comment"`
	Expr    json.RawMessage `json:"expr"`
}

type nftNamed struct {
	Name string `json:"name"`
}

type nftAnswer struct {
	Objects []json.RawMessage `json:"nftables"`
}

// ParseRuleset reads what `nft -j list table` prints.
func ParseRuleset(listing []byte) (Ruleset, error) {
	var answer nftAnswer
	if err := json.Unmarshal(listing, &answer); err != nil {
		return Ruleset{}, fmt.Errorf("nft: %w", err)
	}
	var r Ruleset
	for _, raw := range answer.Objects {
		var o nftObject
		if err := json.Unmarshal(raw, &o); err != nil {
			return Ruleset{}, fmt.Errorf("nft: %w", err)
		}
		if p := o.part(raw); p != (part{}) {
			r.parts = append(r.parts, p)
		}
	}
	if len(r.parts) == 0 && len(answer.Objects) == 0 {
		return Ruleset{}, errors.New("nft: no table in the answer")
	}
	return r, nil
}

// part is what an object is compared by: nothing for the table itself.
func (o nftObject) part(raw json.RawMessage) part {
	switch {
	case o.Metainfo != nil || o.Table != nil:
		return part{}
	case o.Chain != nil:
		return part{"the chain " + o.Chain.Name, fmt.Sprintf("chain %+v", *o.Chain)}
	case o.Rule != nil:
		where := "a rule of the chain " + o.Rule.Chain
		if o.Rule.Comment != "" {
			where += fmt.Sprintf(" (%s)", o.Rule.Comment)
		}
		return part{where, o.Rule.Chain + " " + o.Rule.Comment + " " + compact(o.Rule.Expr)}
	case o.Set != nil:
		return part{"the set " + o.Set.Name, compact(raw)}
	case o.Map != nil:
		return part{"the map " + o.Map.Name, compact(raw)}
	}
	return part{"something of another kind", compact(raw)}
}

func compact(raw json.RawMessage) string {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}

// Differs says how another ruleset differs from this one, "" for not at all.
func (r Ruleset) Differs(is Ruleset) string {
	var said []string
	add := func(text string) {
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	for _, p := range r.parts {
		if !slices.Contains(is.parts, p) {
			add(p.where + " is missing")
		}
	}
	for _, p := range is.parts {
		if !slices.Contains(r.parts, p) {
			add(p.where + " was added")
		}
	}
	if len(said) == 0 && !slices.Equal(r.parts, is.parts) {
		add("its rules are in another order")
	}
	return strings.Join(said, ", ")
}

// replacing is what `nft -j -f` takes to replace the table by a listing of it, in one step; nil removes it.
func replacing(listing []byte) ([]byte, error) {
	var was nftAnswer
	if listing != nil {
		if err := json.Unmarshal(listing, &was); err != nil {
			return nil, fmt.Errorf("nft: %w", err)
		}
	}
	const table = `{"table":{"family":"inet","name":"salvor"}}`
	all := nftAnswer{Objects: []json.RawMessage{json.RawMessage(`{"add":` + table + `}`), json.RawMessage(`{"delete":` + table + `}`)}}
	for _, raw := range was.Objects {
		var o nftObject
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, fmt.Errorf("nft: %w", err)
		}
		if o.Metainfo == nil {
			all.Objects = append(all.Objects, raw)
		}
	}
	return json.Marshal(all)
}
