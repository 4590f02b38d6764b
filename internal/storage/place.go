package storage

import (
	"cmp"
	"slices"
	"strings"

	"salvor/internal/fleet"
)

// places are the options that say where a remote of a type is, as people call it.
var places = map[string][]string{
	"b2": {"endpoint", "account"}, typeCrypt: {"remote"}, typeDrive: {"team_drive", "root_folder_id", "impersonate"}, "onedrive": {"drive_id"},
	"s3": {"provider", "endpoint", "region"}, typeSFTP: {"user", "host", "port"}, typeWebDAV: {"url"},
}

// Place says where a remote is, in a few words.
func Place(r fleet.Remote) string {
	if r.Type == typeLocal {
		return "a folder of each host"
	}
	var words []string
	for _, option := range places[r.Type] {
		if value := r.Options[option].String(); value != "" && !slices.Contains(words, value) {
			words = append(words, value)
		}
	}
	return cmp.Or(strings.Join(words, " "), "the account's top folder")
}
