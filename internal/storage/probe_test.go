package storage_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// TestProbeLeavesNothing in a folder that allows everything.
func TestProbeLeavesNothing(t *testing.T) {
	f := open(t, storage.Remotes{"disk": {Type: "local"}}, "disk", t.TempDir()+"/not/there yet")
	p, err := f.Probe(t.Context())
	var steps []string
	for _, took := range p.Steps {
		steps = append(steps, took.Step)
	}
	if err != nil || strings.Join(steps, " ") != "reach write read list delete" || p.Left != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if left, err := f.List(t.Context(), ""); err != nil || len(left) > 0 {
		t.Errorf("left %+v, %v", left, err)
	}
}

// TestProbeSaysWhatIsWrong with a server that refuses one thing.
func TestProbeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	refuse := map[string]int{}
	dav := storage.Remotes{"dav": webdavRemote(proxied(t, func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if status := refuse[r.Method]; status != 0 {
			http.Error(w, http.StatusText(status), status)
			return
		}
		next.ServeHTTP(w, r)
	}))}
	for name, test := range map[string]struct {
		refuse map[string]int
		want   error
		steps  int
	}{
		"wrong password":        {map[string]int{"PROPFIND": 401}, storage.ErrLogin, 0},
		"a folder of another's": {map[string]int{"PROPFIND": 403}, storage.ErrLogin, 0},
		"read-only":             {map[string]int{"PUT": 403}, storage.ErrReadOnly, 1},
		"full":                  {map[string]int{"PUT": 507}, storage.ErrFull, 1},
		"append-only":           {map[string]int{"DELETE": 403}, nil, 4},
	} {
		t.Run(name, func(t *testing.T) {
			refuse = test.refuse
			var p storage.Probe
			f, err := storage.Open(t.Context(), dav, fleet.Location{Remote: "dav", Path: "probed"})
			if err == nil {
				defer func() { _ = f.Close(t.Context()) }()
				p, err = f.Probe(t.Context())
			}
			err = storage.Explain(err, len(p.Steps) > 0)
			if !errors.Is(err, test.want) || len(p.Steps) != test.steps {
				t.Errorf("%+v, %v", p, err)
			}
			if test.want == nil && (err != nil || !strings.HasPrefix(p.Left, "salvor-probe-") || p.Kept == nil) {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

// TestExplainServersOverSSH tells a wrong password from another server.
func TestExplainServersOverSSH(t *testing.T) {
	t.Parallel()
	key, public := newHostKey(t)
	_, other := newHostKey(t)
	address := sftpServer(t, key)
	wrong := sftpRemote(address, public)
	wrong.Options["pass"] = secret.NewString("not it")
	for name, test := range map[string]struct {
		remote storage.Remote
		want   error
	}{
		"wrong password": {wrong, storage.ErrLogin},
		"another server": {sftpRemote(address, other), storage.ErrOtherKey},
		"no server":      {sftpRemote("127.0.0.1:1", public), storage.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := storage.Open(t.Context(), storage.Remotes{"ssh": test.remote}, fleet.Location{Remote: "ssh", Path: "probed"})
			if err = storage.Explain(err, false); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if err := storage.Explain(blob.ErrNotExist, true); err != blob.ErrNotExist { //nolint:errorlint // it is the same one
		t.Errorf("an error that says nothing became %v", err)
	}
}
