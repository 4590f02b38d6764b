// Package sops reads and writes SOPS files with the SOPS library, handing it
// our own age identities in the process: no environment variable, key file or
// agent is consulted for age. Operator's side only. Files stay ordinary SOPS
// files (https://getsops.io), which the sops program reads and edits.
package sops

import (
	"path"
	"strings"

	lib "github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
)

// Format is how a file's plaintext is laid out.
type Format string

// The formats. Binary is any bytes at all, in a JSON envelope.
const (
	Binary Format = "binary"
	Dotenv Format = "dotenv"
	YAML   Format = "yaml"
	JSON   Format = "json"
	INI    Format = "ini"
)

// FormatOf returns the format that the sops program takes for a path, by its
// extension.
func FormatOf(file string) Format {
	switch strings.ToLower(path.Ext(file)) {
	case ".env":
		return Dotenv
	case ".yaml", ".yml":
		return YAML
	case ".json":
		return JSON
	case ".ini":
		return INI
	}
	return Binary
}

// codec is the part of a SOPS store used here.
type codec interface {
	lib.EncryptedFileLoader
	lib.PlainFileLoader
	lib.EncryptedFileEmitter
	lib.PlainFileEmitter
}

func (f Format) codec() codec {
	quiet()
	c := config.NewStoresConfig()
	switch f {
	case Dotenv:
		return dotenv.NewStore(&c.Dotenv)
	case YAML:
		return yaml.NewStore(&c.YAML)
	case JSON:
		return json.NewStore(&c.JSON)
	case INI:
		return ini.NewStore(&c.INI)
	}
	return json.NewBinaryStore(&c.JSONBinary)
}
