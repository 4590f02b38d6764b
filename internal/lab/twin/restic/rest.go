package restic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	"salvor/internal/blob"
)

// rest is a repository behind restic's REST protocol, as a blob.Store.
type rest struct {
	client *http.Client
	base   *url.URL
}

// connect reads "rest:http://user:password@address/".
func connect(location string, dial func(context.Context, string) (net.Conn, error)) (*rest, error) {
	base, err := url.Parse(strings.TrimPrefix(location, "rest:"))
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, addr) }}
	return &rest{client: &http.Client{Transport: transport}, base: base}, nil
}

func (r *rest) close() { r.client.CloseIdleConnections() }

// do sends one request; an answer other than success is an error.
func (r *rest) do(ctx context.Context, method, p, ranged string, body []byte) ([]byte, error) {
	target := *r.base
	target.Path, target.User = "/"+p, nil
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	password, _ := r.base.User.Password()
	req.SetBasicAuth(r.base.User.Username(), password)
	req.Header.Set("Accept", "application/vnd.x.restic.rest.v2")
	if ranged != "" {
		req.Header.Set("Range", ranged)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s does not exist: %w", p, blob.ErrNotExist)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return nil, fmt.Errorf("%s %s: %s: %s", method, p, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

// flat is a path as the protocol has it: packs are in one folder.
func flat(p string) string {
	if kind, _, ok := strings.Cut(p, "/"); ok && kind == "data" {
		return "data/" + path.Base(p)
	}
	return p
}

// Put implements blob.Store.
func (r *rest) Put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	body, err := io.ReadAll(content)
	if err == nil {
		_, err = r.do(ctx, http.MethodPost, flat(p), "", body)
	}
	return blob.Proof{Size: size, By: "restic"}, err
}

// Get implements blob.Store.
func (r *rest) Get(ctx context.Context, p string, offset, length int64) (io.ReadCloser, error) {
	ranged := ""
	switch {
	case length > 0:
		ranged = fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
	case length < 0 && offset > 0:
		ranged = fmt.Sprintf("bytes=%d-", offset)
	}
	body, err := r.do(ctx, http.MethodGet, flat(p), ranged, nil)
	return io.NopCloser(bytes.NewReader(body)), err
}

// Stat implements blob.Store.
func (r *rest) Stat(ctx context.Context, p string) (blob.Object, error) {
	_, err := r.do(ctx, http.MethodHead, flat(p), "", nil)
	return blob.Object{Path: p}, err
}

// List implements blob.Store.
func (r *rest) List(ctx context.Context, dir string) ([]blob.Object, error) {
	body, err := r.do(ctx, http.MethodGet, dir+"/", "", nil)
	if err != nil {
		return nil, err
	}
	var listed []struct {
		Name string `json:"name"`
		Size int64  `json:"size"`
	}
	if err := json.Unmarshal(body, &listed); err != nil {
		return nil, err
	}
	var objects []blob.Object
	for _, l := range listed {
		objects = append(objects, blob.Object{Path: l.Name, Size: l.Size})
	}
	return objects, nil
}

// Delete implements blob.Store.
func (r *rest) Delete(ctx context.Context, p string) error {
	_, err := r.do(ctx, http.MethodDelete, flat(p), "", nil)
	return err
}
