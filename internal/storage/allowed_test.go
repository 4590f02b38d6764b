package storage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rclone/rclone/fs"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// TestS01NoOptionRunsOrReads has every option of rclone's that names a program or a
// file of this computer, that takes credentials from its surroundings, or that has
// them sent elsewhere.
func TestS01NoOptionRunsOrReads(t *testing.T) {
	harmful := func(option string) bool {
		for _, part := range []string{"command", "_file", "ssh", "socket", "proxy", "env_auth", "profile", "agent", "ask_", "auth_url", "token_url", "download_url", "iam_endpoint", "sts_endpoint", "role_", "headers", "auth_redirect", "insecure", "acl", "set_env", "subsystem", "known_hosts", "pin_", "copy_links", "path_override", "no_data_encryption", "show_mapping"} {
			if strings.Contains(option, part) && option != "key_file_pass" { // the passphrase of key_pem
				return true
			}
		}
		return option == "links"
	}
	tried := 0
	for _, backend := range fs.Registry {
		for _, option := range backend.Options {
			if !harmful(option.Name) {
				continue
			}
			tried++
			remote := storage.Remote{Type: backend.Name, Options: map[string]secret.Value{option.Name: secret.NewString("touch PWNED")}}
			err := storage.Remotes{"nas": remote}.Check()
			var about *storage.OptionError
			if !errors.As(err, &about) || about.Option != option.Name || !strings.Contains(fault.Hint(err), "what "+backend.Name+" may have: ") {
				t.Errorf("%s with %s: %v, want it refused by name, with what is allowed", backend.Name, option.Name, err)
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d options were tried", tried)
	}
}

// TestS01NoRemoteInARemote has crypt wrap what is not declared.
func TestS01NoRemoteInARemote(t *testing.T) {
	for _, inner := range []string{`:sftp,ssh="sh -c id":`, "disk,copy_links=true:/", ":local:/etc", "/etc", ""} {
		remotes := storage.Remotes{"disk": {Type: "local"}, "box": {Type: "crypt", Options: options("remote", inner, "password", canary)}}
		if err := remotes.Check(); err == nil || !strings.Contains(err.Error(), "does not name a declared remote") {
			t.Errorf("crypt around %q: %v", inner, err)
		}
	}
}

// TestS01NoKeysOfTheAgent has an sftp remote without a login of its own, for which
// rclone takes the operator's agent.
func TestS01NoKeysOfTheAgent(t *testing.T) {
	remotes := storage.Remotes{"nas": {Type: "sftp", Options: options("host", "h", "host_keys", "ssh-ed25519 AAAA")}}
	if err := remotes.Check(); err == nil || !strings.Contains(err.Error(), "neither pass nor key_pem") {
		t.Errorf("Check() = %v", err)
	}
}

// TestS22NoPasswordOverPlainHTTP holds remotes to https where they have credentials.
func TestS22NoPasswordOverPlainHTTP(t *testing.T) {
	webdav := func(url string, more ...string) storage.Remote {
		return storage.Remote{Type: "webdav", Options: options(append([]string{"url", url}, more...)...)}
	}
	s3 := func(endpoint string) storage.Remote {
		return storage.Remote{Type: "s3", Options: options("endpoint", endpoint, "access_key_id", "a", "secret_access_key", canary)}
	}
	const plain = "over plain http"
	for name, c := range map[string]struct {
		remote storage.Remote
		want   string // in the error, "" for none
	}{
		"https":                  {webdav("https://nas.example.net/dav", "pass", canary), ""},
		"loopback":               {webdav("http://127.0.0.1:9/dav", "pass", canary), ""},
		"loopback of IPv6":       {webdav("http://[::1]:9/dav", "pass", canary), ""},
		"localhost":              {webdav("http://localhost:9/dav", "pass", canary), ""},
		"without credentials":    {webdav("http://nas.example.net/dav"), ""},
		"as said":                {webdav("http://nas.example.net/dav", "pass", canary, "plain_http", "true"), ""},
		"not as said":            {webdav("http://nas.example.net/dav", "pass", canary, "plain_http", "false"), plain},
		"password":               {webdav("http://nas.example.net/dav", "pass", canary), plain},
		"token":                  {webdav("HTTP://nas.example.net/dav", "bearer_token", canary), plain},
		"password in the URL":    {webdav("http://u:" + "pw@nas.example.net/dav"), plain},
		"a name like loopback":   {webdav("http://localhost.example.net/", "pass", canary), plain},
		"an address like it":     {webdav("http://127.0.0.1.example.net/", "pass", canary), plain},
		"a user like loopback":   {webdav("http://localhost@nas.example.net/", "pass", canary), plain},
		"another protocol":       {webdav("ftp://nas.example.net/", "pass", canary), "not the address of a server"},
		"no protocol":            {webdav("nas.example.net", "pass", canary), "not the address of a server"},
		"S3 by its name":         {s3("s3.example.net"), ""},
		"S3 over https":          {s3("https://s3.example.net"), ""},
		"S3 over http":           {s3("http://s3.example.net"), plain},
		"S3 over http with caps": {s3("hTTp://s3.example.net"), plain},
	} {
		err := storage.Remotes{"nas": c.remote}.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
