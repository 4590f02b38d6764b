package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/suggest"
)

// A use says what an option of a remote is for.
type use int

const (
	address use = iota // where data and secrets go, and who can read them there; written in plain text, so that a change is seen
	part               // which part of it
	login              // as whom
	secrets            // with what
	tuning             // how fast
)

// PlainHTTP is an option of Salvor's own: credentials may go over http://.
const PlainHTTP = "plain_http"

// allowed returns the options that a type of remote may have: what reaching it
// needs. rclone has more of them. None is here that names a program, or a file or
// a socket of this computer, that takes credentials from its surroundings, that has
// credentials sent elsewhere, or that weakens what protects the connection or the
// data (docs/adr/0023).
func allowed(kind string) map[string]use {
	all := map[string]use{"description": tuning}
	add := func(what use, names string) {
		for name := range strings.FieldsSeq(names) {
			all[name] = what
		}
	}
	switch kind {
	case "b2":
		add(address, "endpoint "+PlainHTTP)
		add(login, "account")
		add(secrets, "key")
		add(tuning, "chunk_size upload_cutoff copy_cutoff upload_concurrency hard_delete")
	case typeCrypt:
		add(address, "remote")
		add(secrets, "password password2")
		add(address, "filename_encryption directory_name_encryption") // what who has the remote can read
		add(tuning, "filename_encoding suffix strict_names")
	case typeDrive:
		add(part, "root_folder_id team_drive impersonate")
		add(login, "client_id scope")
		add(secrets, "token client_secret service_account_credentials resource_key")
		add(tuning, "chunk_size upload_cutoff list_chunk pacer_min_sleep pacer_burst use_trash disable_http2 acknowledge_abuse")
	case "dropbox":
		add(part, "impersonate root_namespace")
		add(login, "client_id")
		add(secrets, "token client_secret")
		add(tuning, "chunk_size batch_mode batch_size batch_timeout pacer_min_sleep")
	case typeLocal:
		add(tuning, "no_preallocate no_sparse no_set_modtime")
	case "onedrive":
		add(address, "region")
		add(part, "drive_id drive_type root_folder_id")
		add(login, "tenant client_id client_credentials")
		add(secrets, "token client_secret")
		add(tuning, "chunk_size upload_cutoff list_chunk no_versions hard_delete delta disable_site_permission")
	case "s3":
		add(address, "provider endpoint region location_constraint force_path_style storage_class server_side_encryption sse_kms_key_id "+PlainHTTP)
		add(login, "access_key_id")
		add(secrets, "secret_access_key session_token")
		add(tuning, "no_check_bucket no_head list_chunk list_version list_url_encode "+
			"chunk_size upload_cutoff copy_cutoff upload_concurrency max_upload_parts use_multipart_uploads use_data_integrity_protections v2_auth disable_http2 directory_markers")
	case typeSFTP:
		add(address, "host port host_keys host_key_algorithms key_exchange ciphers macs")
		add(login, "user pubkey")
		add(secrets, "pass key_pem key_file_pass")
		add(tuning, "shell_type disable_hashcheck set_modtime chunk_size concurrency connections idle_timeout disable_concurrent_reads disable_concurrent_writes use_fstat")
	case typeWebDAV:
		add(address, "url vendor "+PlainHTTP)
		add(login, "user")
		add(secrets, "pass bearer_token")
		add(tuning, "nextcloud_chunk_size pacer_min_sleep owncloud_exclude_shares owncloud_exclude_mounts")
	}
	return all
}

// IsAddress reports whether an option says where a remote is: in fleet.yaml it is
// never a secret.
func IsAddress(kind, option string) bool {
	what, known := allowed(kind)[option]
	return known && what == address
}

// IsTuning reports whether an option decides neither where a remote is nor who may
// use it.
func IsTuning(kind, option string) bool { return allowed(kind)[option] == tuning }

// IsSecret reports whether an option is a secret with which a remote is reached.
func IsSecret(kind, option string) bool { return allowed(kind)[option] == secrets }

// Credentials returns the options that say as whom and with what a remote is reached,
// which may differ between those who use it, sorted. A crypt remote has none: its
// passwords are the data's.
func Credentials(kind string) []string {
	if kind == typeCrypt {
		return nil
	}
	var names []string
	for option, what := range allowed(kind) {
		if what == login || what == secrets {
			names = append(names, option)
		}
	}
	slices.Sort(names)
	return names
}

// An OptionError is about one option of a remote.
type OptionError struct {
	Option string
	Err    error
}

// Error says what is wrong.
func (e *OptionError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }

// checkOptions refuses the first option that a remote may not have.
func checkOptions(remote Remote) error {
	known := allowed(remote.Type)
	for _, option := range slices.Sorted(maps.Keys(remote.Options)) {
		if _, ok := known[option]; ok {
			continue
		}
		names := slices.Sorted(maps.Keys(known))
		err := fmt.Errorf("%s must not have the option %q%s", remote.Type, option, suggest.DidYouMean(option, names))
		return &OptionError{Option: option, Err: fault.WithHint(err, "what "+remote.Type+" may have: "+strings.Join(names, ", "))}
	}
	return nil
}
